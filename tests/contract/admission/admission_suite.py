"""What the contract suites of admission share: a subject, its counters, and how they are looked at."""

import json
from typing import Any

import pytest

from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.admission.counters import CounterSet, compile_counters
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.types import Subject

NOW = 4_000_000_000.0  # 2096: periods that end after any test run
SUBJECT = Subject(tenant="acme", workspace="growth", user="ann", key="k1", model="m1", agent="coder")
DOLLAR = 1_000_000_000


def counters(subject: Subject = SUBJECT, **limits: Any) -> CounterSet:
    budgets = BudgetPolicy.model_validate(
        {
            "budgets": [
                {"scope": "workspace", "period": "day", "limit_usd": 10},
                {"scope": "tenant", "period": "month", "limit_usd": 100},
                {"scope": "user", "period": "day", "limit_usd": 6},
            ]
        }
    )
    policy = LimitPolicy.model_validate(
        {
            "rates": [
                {"scope": "key", "period": "hour", "limit": limits.get("rate", 1000)},
                {"scope": "tenant", "period": "day", "limit": 100_000},
            ],
            "tokens": [{"scope": "workspace", "period": "day", "limit": limits.get("tokens", 5000)}],
            "concurrency": [{"scope": "key", "limit": limits.get("slots", 100)}],
        }
    )
    return compile_counters(subject, budgets, policy, (), NOW)


async def events(client: Any, tenant: str = "acme") -> list[dict[str, Any]]:
    entries = await client.execute("XRANGE", f"slg:{{{tenant}}}:outbox", "-", "+")
    found = []
    for _, fields in entries:
        raw = fields[b"event"] if isinstance(fields, dict) else fields[fields.index(b"event") + 1]
        found.append(json.loads(raw))
    return found


async def server_time(client: Any) -> float:
    seconds, micros = await client.execute("TIME")
    return int(seconds) + int(micros) / 1e6


async def seed(
    store: RedisAdmissionStore, tenant: str, amounts: Any, generation: str, recovery_s: float
) -> tuple[str, float]:
    await store.seed(tenant, amounts)
    return await store.begin(tenant, (), generation, recovery_s)


class StoreSuite:
    """The ground of a suite. `store` and `client` come from the adapter under test."""

    @pytest.fixture
    def store(self, client: Any) -> RedisAdmissionStore:
        raise NotImplementedError

    @pytest.fixture
    async def seeded(self, store: RedisAdmissionStore) -> CounterSet:
        each = counters()
        await seed(store, "acme", [(counter, 0) for counter in each.amounts], "g1", 0)
        return each

    async def amounts(self, store: RedisAdmissionStore, each: CounterSet) -> list[tuple[int, int] | None]:
        return await store.read(each.subject.tenant, each.amounts)

    async def admit(
        self,
        store: RedisAdmissionStore,
        each: CounterSet,
        hold: str,
        nano: int = DOLLAR,
        *,
        floor: int | None = None,
        tokens: int = 100,
        count: bool = True,
    ) -> Any:
        least = nano if floor is None else floor
        return await store.admit(each, hold, (nano, tokens), (least, tokens), count=count)
