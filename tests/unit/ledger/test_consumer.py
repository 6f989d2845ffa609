import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate.adapters.local.events import SqliteEventStore
from sluicegate.adapters.local.sqlite import Database
from sluicegate.adapters.local.usage_rows import SqliteUsageStore
from sluicegate.kernel.events import AUDIT_ACTION, BUDGET_THRESHOLD, USAGE_RECORDED, Event
from sluicegate.ledger.consumer import LedgerConsumer


class Ledger:
    def __init__(self, path):
        self.database = Database(path / "sluicegate.db", synchronous="NORMAL")
        self.usage = SqliteUsageStore(self.database)
        self.events = SqliteEventStore(self.database)
        self.consumer = LedgerConsumer(self.usage, self.events)

    async def spent(self, tenant="acme"):
        return (await self.usage.spent(tenant, "tenant", tenant, 0, 100))[0]


@pytest.fixture
async def ledger(tmp_path):
    ledger = Ledger(tmp_path)
    yield ledger
    await ledger.database.close()


def usage(request_id, cost=100, tenant="acme", **data):
    content = {"request_id": request_id, "cost_nano": cost, **data}
    return Event(request_id, "/g", USAGE_RECORDED, 5.0, tenant, request_id, content)


def reaped(request_id, cost, word, tenant="acme"):
    """What admission's scripts say of a request whose owner died, or of one that lived after all."""
    content = {"request_id": request_id, "cost_nano": cost, "estimated": word == "estimated"}
    event_id = f"{request_id}:{word}"
    return Event(event_id, "/sluicegate/admission", USAGE_RECORDED, 5.0, tenant, request_id, content)


async def test_usage_becomes_rows_and_other_events_are_kept(ledger):
    alert = Event("b1", "/a", BUDGET_THRESHOLD, 5.0, "acme", "workspace/growth/day", {"percent": 100})
    failures = await ledger.consumer.handle(
        [usage("req_1"), alert, usage("req_2", 7, version="m-2026-01-01")]
    )
    assert list(failures) == []
    assert await ledger.spent() == 107
    assert list(await ledger.events.events("acme", BUDGET_THRESHOLD)) == [alert]
    counts = ledger.consumer.counts
    assert (counts.rows, counts.events, counts.duplicates) == (2, 1, 0)


async def test_an_unusable_event_is_named_and_the_others_are_applied(ledger):
    failures = await ledger.consumer.handle([usage("req_1"), usage("req_2", -5), usage("req_3", 7)])
    assert [(each.index, each.final, "cost_nano" in each.reason) for each in failures] == [(1, True, True)]
    assert await ledger.spent() == 107


async def test_an_unknown_type_is_refused_so_that_it_can_be_replayed(ledger):
    strange = Event("1", "/a", "dev.sluicegate.usage.recorded.v2", 5.0, "acme")
    [failure] = await ledger.consumer.handle([usage("req_1"), strange])
    assert (failure.index, failure.final) == (1, True)
    assert "usage.recorded.v2" in failure.reason


async def test_what_only_the_log_keeps_leaves_no_trace_in_the_ledger(ledger, tmp_path):
    action = Event(
        "1", "/a", AUDIT_ACTION, 5.0, "acme", None, {"action": "sign_in.failed", "ip": "203.0.113.77"}
    )
    assert list(await ledger.consumer.handle([action, usage("req_1")])) == []
    assert list(await ledger.events.events("acme")) == []
    assert all(b"203.0.113.77" not in path.read_bytes() for path in tmp_path.iterdir())


tenants = itertools.count()

# What can happen to a request: its owner settles it, or dies and is charged the hold (estimated), or lives
# after all having used nothing (withdrawn).
HISTORIES = st.sampled_from(
    ["own", "estimated", "estimated own", "estimated withdrawn", "estimated withdrawn own"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(HISTORIES, min_size=1, max_size=6), st.data())
async def test_neither_order_nor_repetition_nor_batches_change_what_the_ledger_says(ledger, histories, data):
    tenant = f"t{next(tenants)}"
    events, expected = [], 0
    for number, history in enumerate(histories):
        words = history.split()
        for word in words:
            cost = {"own": 10**number, "estimated": 5 * 10**number, "withdrawn": 0}[word]
            request = f"req_{number}"
            events.append(
                usage(request, cost, tenant) if word == "own" else reaped(request, cost, word, tenant)
            )
        last = next(word for word in ("own", "withdrawn", "estimated") if word in words)
        expected += {"own": 10**number, "withdrawn": 0, "estimated": 5 * 10**number}[last]
    delivered = data.draw(st.permutations([*events, *data.draw(st.lists(st.sampled_from(events)))]))
    while delivered:
        size = data.draw(st.integers(1, len(delivered)))
        assert list(await ledger.consumer.handle(delivered[:size])) == []
        delivered = delivered[size:]
    assert await ledger.spent(tenant) == expected
    before = await ledger.usage.spent(tenant, "key", "unknown", 0, 100)
    await ledger.consumer.handle(events)
    assert await ledger.usage.spent(tenant, "key", "unknown", 0, 100) == before
