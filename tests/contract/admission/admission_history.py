"""Random histories of the admission scripts against a model in plain Python."""

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from itertools import count
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.adapters.redis.client import RedisClient
from sluicegate.admission.counters import Counter, CounterSet, compile_counters
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.replies import Grown, Held, LentOut, Refused, RefusedBy, Settled, Unseeded
from sluicegate.admission.types import Subject

T = TypeVar("T")
NOW = 4_000_000_000.0
BUDGETS = BudgetPolicy.model_validate(
    {
        "budgets": [
            {"scope": "tenant", "period": "total", "limit_usd": "0.000001"},
            {"scope": "user", "period": "day", "limit_usd": "0.0000006", "alert_percent": [50, 80, 100]},
        ]
    }
)
LIMITS = LimitPolicy.model_validate(
    {
        "tokens": [{"scope": "tenant", "period": "day", "limit": 500}],
        "concurrency": [{"scope": "user", "limit": 3}],
    }
)
SETS = [
    compile_counters(Subject("acme", "w", user, "k", "m"), BUDGETS, LIMITS, (), NOW)
    for user in ("ann", "bob")
]
HOLDS = st.sampled_from([f"h{number}" for number in range(6)])
# Those of swaps have the next numbers.
ANY = st.sampled_from([f"h{number}" for number in range(10)])
# Coarse steps, so that amounts meet limits and thresholds exactly.
NANO = st.integers(0, 14).map(lambda number: number * 50)
TOKENS = st.integers(0, 300)


@dataclass
class Slice:
    """A lease as its owner knows it: what nobody took, and what each share took."""

    each: CounterSet
    nano: int
    tokens: int
    slots: int
    number: int = 0
    shares: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def held(self) -> tuple[int, int]:
        taken = self.shares.values()
        return self.nano + sum(each[0] for each in taken), self.tokens + sum(each[1] for each in taken)


class Model:
    """What the counters must say: sums over what was settled and what is held."""

    def __init__(self) -> None:
        self.generation = 1
        self.holds: dict[str, tuple[CounterSet, int, int, str]] = {}
        self.leases: dict[str, Slice] = {}
        self.past: dict[str, tuple[CounterSet, int, int] | None] = {}
        self.settled: dict[str, int] = {counter.id: 0 for each in SETS for counter in each.amounts}
        self.alerts: list[tuple[str, int]] = []

    def held(self, counter: Counter) -> int:
        holds = [(each, nano, tokens) for each, nano, tokens, _ in self.holds.values()]
        return sum(
            nano if counter.unit == "n" else tokens
            for each, nano, tokens in [*holds, *((one.each, *one.held) for one in self.leases.values())]
            if any(other.id == counter.id for other in each.amounts)
        )

    def slots(self, each: CounterSet) -> int:
        lent = sum(one.slots + len(one.shares) for one in self.leases.values() if one.each is each)
        return lent + sum(other is each for other, *_ in self.holds.values())

    def left(self, counter: Counter) -> int:
        return counter.limit - self.settled[counter.id] - self.held(counter)

    def book(self, each: CounterSet, nano: int, tokens: int) -> None:
        for counter in each.amounts:
            before = self.settled[counter.id]
            self.settled[counter.id] = before + (nano if counter.unit == "n" else tokens)
            for amount, percent in counter.alerts:
                if before < amount <= self.settled[counter.id]:
                    self.alerts.append((counter.scope, percent))

    def admit(
        self, each: CounterSet, hold: str, want: tuple[int, int], floor: tuple[int, int]
    ) -> tuple[int, int] | RefusedBy:
        if hold in self.holds:
            return self.holds[hold][1:3]
        if self.slots(each) >= each.slots[0].limit:
            return RefusedBy.SLOTS
        tokens = min([want[1], *(self.left(counter) for counter in each.tokens)])
        if tokens < floor[1]:
            return RefusedBy.TOKENS
        nano = min([want[0], *(self.left(counter) for counter in each.money)])
        if nano < floor[0]:
            return RefusedBy.MONEY
        self.holds[hold] = (each, nano, tokens, f"g{self.generation}")
        return nano, tokens


def refused_by(reply: object) -> RefusedBy:
    # That something may be lent out is a matter of time, and so not of the model.
    refused = reply.refused if isinstance(reply, LentOut) else reply
    assert isinstance(refused, Refused)
    return refused.by


class AdmissionHistory(RuleBasedStateMachine):
    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.runner = asyncio.Runner()
        self.overdrawn = False
        self.used = {f"h{number}" for number in range(6)}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        self.do(self._connect())

    async def _connect(self) -> None:
        self.client = RedisClient.from_url(self.url)
        self.store = RedisAdmissionStore(self.client, lifetime_s=600)
        await self.client.execute("FLUSHALL")
        await self._seed()

    async def _seed(self) -> None:
        for each in SETS:
            await self.store.seed(
                "acme", [(counter, self.model.settled[counter.id]) for counter in each.amounts]
            )
        await self.store.begin("acme", (), f"g{self.model.generation}", 0)

    @rule()
    def thresholds_agree(self) -> None:
        """Each crossing from below made one event, and nothing else did."""
        entries = self.do(self.client.execute("XRANGE", "slg:{acme}:outbox", "-", "+"))
        found = [json.loads(fields[1]) for _, fields in entries]
        crossed = [
            (event["data"]["scope"], event["data"]["percent"])
            for event in found
            if event.get("type") == "dev.sluicegate.budget.threshold.v1"
        ]
        assert sorted(crossed) == sorted(self.model.alerts)

    def teardown(self) -> None:
        if hasattr(self, "client"):
            self.do(self.client.close())
        self.runner.close()

    @rule(each=st.sampled_from(SETS), hold=HOLDS, nano=NANO, tokens=TOKENS, ease=st.integers(0, 4))
    def admit(self, each: CounterSet, hold: str, nano: int, tokens: int, ease: int) -> None:
        want, floor = (nano, tokens), (nano * ease // 4, tokens * ease // 4)
        if hold in self.model.past:
            return  # the id of a hold that was reaped or charged is never used again
        expected = self.model.admit(each, hold, want, floor)
        reply = self.do(self.store.admit(each, hold, want, floor, count=True))
        if isinstance(expected, RefusedBy):
            assert refused_by(reply) is expected
        else:
            assert isinstance(reply, Held)
            assert (reply.nano, reply.tokens) == expected

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data(), each=st.sampled_from(SETS), nano=NANO, tokens=TOKENS, ease=st.integers(0, 4))
    def swap(self, data: Any, each: CounterSet, nano: int, tokens: int, ease: int) -> None:
        """The same decision as if the old hold had been released before; with a no it stands as it was."""
        want, floor = (nano, tokens), (nano * ease // 4, tokens * ease // 4)
        model = self.model
        old = data.draw(st.sampled_from([*sorted(model.holds), "never was"]))
        hold = next(name for number in count() if (name := f"h{number}") not in self.used)
        self.used.add(hold)
        before = model.holds.pop(old, None)
        expected = model.admit(each, hold, want, floor)
        reply = self.do(self.store.admit(each, hold, want, floor, count=False, instead_of=old))
        if isinstance(expected, RefusedBy):
            if before is not None:
                model.holds[old] = before
            assert refused_by(reply) is expected
        else:
            assert isinstance(reply, Held)
            assert (reply.nano, reply.tokens, reply.swapped) == (*expected, before is not None)

    @rule(hold=ANY, nano=NANO, tokens=TOKENS, within=st.booleans(), stale=st.booleans())
    def settle(self, hold: str, nano: int, tokens: int, *, within: bool, stale: bool) -> None:
        model = self.model
        generation = "g0" if stale else f"g{model.generation}"
        each = SETS[0]
        if hold in model.holds:
            each, held, held_tokens, generation = model.holds.pop(hold)
            if within:
                nano, tokens = min(nano, held), min(tokens, held_tokens)
            self.overdrawn = self.overdrawn or not within
            model.book(each, nano, tokens)
            expected = Settled.SETTLED
        elif model.past.get(hold) is not None:
            each, held, held_tokens = model.past[hold]  # type: ignore[misc]
            model.past[hold] = None
            model.book(each, nano - held, tokens - held_tokens)
            self.overdrawn = True
            expected = Settled.CORRECTED
        elif hold in model.past or generation == f"g{model.generation}":
            expected = Settled.GONE
        else:
            expected = Settled.UNHELD
        assert self.do(self.store.settle(each, hold, generation, nano, tokens, b"{}")) is expected
        if expected is Settled.UNHELD:
            model.book(each, nano, tokens)
            model.past[hold] = None
            self.overdrawn = True
            assert self.do(self.store.charge(each, hold, nano, tokens, b"{}")) is Settled.CHARGED
            assert self.do(self.store.charge(each, hold, nano, tokens, b"{}")) is Settled.GONE

    @rule(hold=ANY, nano=NANO, tokens=TOKENS)
    def grow(self, hold: str, nano: int, tokens: int) -> None:
        model = self.model
        each, held, held_tokens, generation = model.holds.get(hold, (SETS[0], 0, 0, ""))
        if hold not in model.holds:
            expected = Grown.GONE
        elif any(model.left(counter) < (nano if counter.unit == "n" else tokens) for counter in each.amounts):
            expected = Grown.REFUSED
        else:
            expected = Grown.GROWN
            model.holds[hold] = (each, held + nano, held_tokens + tokens, generation)
        assert self.do(self.store.grow(each, hold, nano, tokens)) is expected

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data())
    def owner_dies(self, data: Any) -> None:
        hold = data.draw(st.sampled_from(sorted(self.model.holds)))
        assert self.do(self.store.reap("acme", hold)) is None
        self.do(self.client.execute("ZADD", "slg:{acme}:due", 1, hold))
        assert self.do(self.store.renew("acme", (), 10)).overdue == [hold]
        each, nano, tokens, _ = self.model.holds.pop(hold)
        self.model.book(each, nano, tokens)
        self.model.past[hold] = (each, nano, tokens)
        assert self.do(self.store.reap("acme", hold)) == nano
        assert self.do(self.store.reap("acme", hold)) is None

    @rule(kept=st.sets(ANY), chance=st.integers(0, 4))
    def flush(self, kept: set[str], chance: int) -> None:
        """All is lost; the ledger knows what was settled, living owners put their holds back."""
        if chance:
            return
        self.do(self.client.execute("FLUSHALL"))
        model = self.model
        model.generation += 1
        model.past = {}
        model.alerts = []
        for one in model.leases.values():
            # Its owner knows the requests, and puts them back by their own names.
            for name, taken in one.shares.items():
                model.holds[name] = (one.each, *taken, "")
        model.leases = {}
        for each in SETS:
            assert self.do(self.store.admit(each, "new", (1, 0), (1, 0), count=True)) == Unseeded()
        self.do(self._seed())
        for hold, (each, nano, tokens, _) in list(model.holds.items()):
            if hold in kept:
                assert self.do(self.store.restore(each, hold, nano, tokens, NOW)) is None
                model.holds[hold] = (each, nano, tokens, f"g{model.generation}")
            else:
                del model.holds[hold]

    @invariant()
    def counters_agree(self) -> None:
        if not hasattr(self, "store"):
            return
        for each in SETS:
            for counter, value in zip(
                each.amounts, self.do(self.store.read("acme", each.amounts)), strict=True
            ):
                held, settled = self.model.held(counter), self.model.settled[counter.id]
                assert value == (settled + held, settled)
                assert self.overdrawn or settled + held <= counter.limit
            slots = self.do(self.client.execute("HGET", "slg:{acme}:counters", each.slots[0].field))
            assert int(slots or 0) == self.model.slots(each)

    @invariant()
    def holds_agree(self) -> None:
        if not hasattr(self, "store"):
            return
        for key, command in (("holds", "HLEN"), ("due", "ZCARD")):
            known = len(self.model.holds) + len(self.model.leases)
            assert self.do(self.client.execute(command, f"slg:{{acme}}:{key}")) == known
