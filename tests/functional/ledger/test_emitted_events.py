"""What admission's scripts tell fits its schema, and the ledger takes all of it."""

from jsonschema import Draft202012Validator

from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.adapters.redis.outbox import RedisOutbox
from sluicegate.admission.counters import compile_counters
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.types import Subject
from sluicegate.events.registry import data_schema
from sluicegate.kernel.clock import SystemClock
from sluicegate.kernel.event_decoding import decode_event
from sluicegate.kernel.events import BUDGET_THRESHOLD, USAGE_RECORDED
from sluicegate.ledger.decoding import decode_usage

DOLLAR = 1_000_000_000


async def test_what_the_scripts_tell_fits_its_schema(redis):
    budgets = BudgetPolicy.model_validate(
        {"budgets": [{"scope": scope, "period": "day", "limit_usd": 1} for scope in ("tenant", "user")]}
    )
    subject = Subject("acme", "growth", "größe|x/1", "key_a", "vendor/model:1", tools=("llm",), agent="coder")
    counters = compile_counters(subject, budgets, LimitPolicy(), (), SystemClock().now())
    store = RedisAdmissionStore(redis, lifetime_s=0)
    await store.seed("acme", [(counter, 0) for counter in counters.amounts])
    generation, _ = await store.begin("acme", (), "g1", 0)
    for request in ("req_1", "req_2", "req_2~1"):
        await store.admit(counters, request, (DOLLAR // 3, 10), (DOLLAR // 3, 10), count=True)
    assert await store.reap("acme", "req_2") == DOLLAR // 3  # its owner is dead
    assert await store.reap("acme", "req_2~1") == DOLLAR // 3
    await store.settle(counters, "req_2~1", generation, 0, 0, b"")  # or lived, and had used nothing
    await store.settle(counters, "req_1", generation, DOLLAR, 7, b"")

    found = [decode_event(body, "acme") for _, body in await RedisOutbox(redis).pending("acme", 100)]
    for event in found:
        Draft202012Validator(data_schema(event.type)).validate(event.data)
        if event.type == USAGE_RECORDED:
            decode_usage(event)
    usage = [event.id for event in found if event.type == USAGE_RECORDED]
    assert usage == ["req_2:estimated", "req_2~1:estimated", "req_2~1:withdrawn"]
    alerts = {
        (event.data["scope"], event.data["percent"]) for event in found if event.type == BUDGET_THRESHOLD
    }
    assert {scope for scope, _ in alerts} == {"tenant", "user"}
