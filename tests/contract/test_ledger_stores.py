import asyncio

import pytest

from sluicegate.adapters.gcp.firestore.events import FirestoreEventStore
from sluicegate.adapters.gcp.firestore.overrides import FirestoreOverrideStore
from sluicegate.adapters.gcp.firestore.usage_rows import FirestoreUsageStore
from sluicegate.adapters.local.events import SqliteEventStore
from sluicegate.adapters.local.overrides import SqliteOverrideStore
from sluicegate.adapters.local.sqlite import Database
from sluicegate.adapters.local.usage_rows import SqliteUsageStore
from sluicegate.admission.overrides import BudgetOverride
from sluicegate.kernel.clock import SystemClock
from sluicegate.kernel.events import Event
from sluicegate.ledger.spending import GroupBy, SpendLine, SpendQuery, SpendSums
from sluicegate.ledger.usage import UsageRow


def row(request_id: str = "req_1", **fields) -> UsageRow:
    return UsageRow(
        **{
            "request_id": request_id, "at": 1000.0, "tenant": "acme", "workspace": "growth", "user": "kim",
            "key": "key_a", "agent": None, "mission": None, "task": None, "model": "small",
            "provider": "scripted", "requested_model": "auto", "input_tokens": 10, "cached_input_tokens": 3,
            "cache_write_tokens": 2, "output_tokens": 5, "reasoning_tokens": 4, "cost_nano": 100,
            "held_nano": 300, "estimated": False, "latency_ms": 12.5, "first_byte_ms": None, "cache": "none",
            "outcome": "success", **fields,
        }
    )  # fmt: skip


class UsageStoreContract:
    """What every `ledger.ports.UsageStore` does. `other` is another process's view."""

    async def test_a_request_is_counted_once_however_often_it_is_appended(self, store, other):
        assert await store.append([row(), row("req_2")]) == 2
        assert await other.append([row(), row("req_3"), row("req_3")]) == 1
        assert await store.spent("acme", "tenant", "acme", 0, 2000) == (300, 60)

    async def test_appending_at_once_from_two_places_counts_once(self, store, other):
        batches = [[row(f"req_{n}") for n in range(start, start + 30)] for start in range(0, 60, 10)]
        places = (store, other)
        added = await asyncio.gather(*(places[i % 2].append(b) for i, b in enumerate(batches)))
        assert sum(added) == 80
        assert await store.spent("acme", "key", "key_a", 0, 2000) == (8000, 1600)

    async def test_the_first_row_wins(self, store):
        await store.append([row(cost_nano=100)])
        assert await store.append([row(cost_nano=999)]) == 0
        assert await store.append([row(cost_nano=999, reaped=True, estimated=True)]) == 0
        assert await store.spent("acme", "tenant", "acme", 0, 2000) == (100, 20)

    async def test_a_lost_owners_own_row_replaces_the_one_that_stood_in_for_it(self, store):
        await store.append([row(cost_nano=300, input_tokens=0, reaped=True, estimated=True)])
        assert await store.append([row(cost_nano=120)]) == 1
        assert await store.spent("acme", "tenant", "acme", 0, 2000) == (120, 20)
        assert await store.append([row(cost_nano=300, reaped=True)]) == 0
        assert await store.spent("acme", "tenant", "acme", 0, 2000) == (120, 20)

    async def test_a_withdrawn_estimate_costs_nothing_until_the_owners_own_row_comes(self, store):
        await store.append([row(cost_nano=300, reaped=True, estimated=True)])
        assert await store.append([row(cost_nano=0, reaped=True)]) == 1
        assert (await store.spent("acme", "tenant", "acme", 0, 2000))[0] == 0
        assert await store.append([row(cost_nano=300, reaped=True, estimated=True)]) == 0
        assert await store.append([row(cost_nano=120)]) == 1
        assert (await store.spent("acme", "tenant", "acme", 0, 2000))[0] == 120

    async def test_request_ids_of_tenants_do_not_collide(self, store):
        await store.append([row(), row(tenant="other", cost_nano=7)])
        assert await store.spent("other", "workspace", "growth", 0, 2000) == (7, 20)
        assert await store.spent("acme", "workspace", "growth", 0, 2000) == (100, 20)

    async def test_spent_takes_the_start_in_and_leaves_the_end_out(self, store):
        await store.append([row("req_1", at=1000.0), row("req_2", at=1999.999), row("req_3", at=2000.0)])
        assert await store.spent("acme", "tenant", "acme", 1000.0, 2000.0) == (200, 40)
        assert await store.spent("acme", "tenant", "acme", 2000.0, 2000.0) == (0, 0)

    @pytest.mark.parametrize(
        ("scope", "name"),
        [
            ("tenant", "acme"), ("workspace", "w2"), ("user", "u2"), ("key", "k2"), ("agent", "coder"),
            ("mission", "build"), ("model", "m2"), ("provider", "p2"), ("tool", "search"),
        ],
    )  # fmt: skip
    async def test_every_scope_sums_its_own(self, store, scope, name):
        mine = {"tools": ("search", "llm")} if scope == "tool" else {scope: name}
        await store.append([row("req_1", **mine), row("req_2", workspace="w9", user="u9", tenant="zzz")])
        assert await store.spent("acme", scope, name, 0, 2000) == (100, 20)
        assert await store.spent("acme", scope, "nobody", 0, 2000) == (0, 0)

    async def test_an_unknown_scope_is_an_error(self, store):
        with pytest.raises(ValueError, match="scope"):
            await store.spent("acme", "cost_nano = cost_nano OR key", "x", 0, 1)

    async def test_answers_from_the_cache_bought_no_tokens(self, store):
        await store.append(
            [row("req_1", cache="l1", cost_nano=0), row("req_2", cache="coalesced", cost_nano=0)]
        )
        assert await store.spent("acme", "tenant", "acme", 0, 2000) == (0, 0)

    async def test_large_sums_stay_exact(self, store):
        big = 9_000_000 * 10**9 - 1
        await store.append([row(f"req_{n}", cost_nano=big) for n in range(100)])
        assert (await store.spent("acme", "tenant", "acme", 0, 2000))[0] == 100 * big

    async def test_a_report_sums_per_group_the_dearest_first(self, store):
        await store.append(
            [
                row("req_1", model="cheap", cost_nano=1),
                row("req_2", model="dear", cost_nano=50, estimated=True, outcome="failure", latency_ms=10.5),
                row("req_3", model="dear", cost_nano=60),
                row("req_4", model="elsewhen", at=5000.0),
                row("req_5", model="elsewhere", tenant="other"),
            ]
        )
        report = await store.report("acme", SpendQuery(0, 2000, (GroupBy.MODEL,)))
        assert report.lines == (
            SpendLine(("dear",), SpendSums(2, 1, 20, 6, 4, 10, 8, 110, 50, 600, 11.5)),
            SpendLine(("cheap",), SpendSums(1, 0, 10, 3, 2, 5, 4, 1, 0, 300, 12.5)),
        )
        assert report.total == SpendSums(3, 1, 30, 9, 6, 15, 12, 111, 50, 900, 35.5 / 3)
        assert not report.truncated

    async def test_every_dimension_can_be_reported_beside_tools(self, store):
        await store.append([row("a", tools=("llm",))])
        for by in GroupBy:
            if by is not GroupBy.TOOL:
                report = await store.report("acme", SpendQuery(0, 2000, (GroupBy.TOOL, by)))
                assert [line.sums.requests for line in report.lines] == [1], by

    async def test_a_report_by_tool_counts_a_request_for_each_and_keeps_those_without(self, store):
        await store.append([row("req_1", tools=("a", "b"), cost_nano=9), row("req_2", cost_nano=1)])
        report = await store.report("acme", SpendQuery(0, 2000, (GroupBy.TOOL,)))
        lines = [(line.groups[0], line.sums.cost_nano) for line in report.lines]
        assert lines == [("a", 9), ("b", 9), (None, 1)]
        assert report.total.cost_nano == 10

    @pytest.mark.parametrize(
        ("by", "groups"),
        [
            (GroupBy.MONTH, ["1970-01", "1970-02"]),
            (GroupBy.DAY, ["1970-01-31", "1970-02-01"]),
            (GroupBy.HOUR, ["1970-01-31T23:00Z", "1970-02-01T00:00Z"]),
        ],
    )
    async def test_periods_come_in_order(self, store, by, groups):
        midnight = 31 * 86_400.0
        await store.append(
            [row("req_1", at=midnight, cost_nano=9), row("req_2", at=midnight - 0.1, cost_nano=1)]
        )
        report = await store.report("acme", SpendQuery(0, 1e7, (by,)))
        assert [line.groups[0] for line in report.lines] == groups

    @pytest.mark.parametrize("by", list(GroupBy))
    async def test_every_group_reports_all_that_was_spent(self, store, by):
        await store.append([row("req_1"), row("req_2", agent="coder", at=500.0)])
        report = await store.report("acme", SpendQuery(0, 2000, (by,)))
        assert sum(line.sums.cost_nano for line in report.lines) == report.total.cost_nano == 200

    async def test_dimensions_cross(self, store):
        await store.append(
            [
                row("req_1", model="m", task="chat", cost_nano=1),
                row("req_2", model="m", task="chat", cost_nano=2),
                row("req_3", model="m", cost_nano=4, at=1999.0),
                row("req_4", model="n", task="chat", cost_nano=8),
            ]
        )
        report = await store.report("acme", SpendQuery(0, 2000, (GroupBy.TASK, GroupBy.MODEL)))
        assert {line.groups: line.sums.cost_nano for line in report.lines} == {
            ("chat", "m"): 3, ("chat", "n"): 8, (None, "m"): 4,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("where", "cost"),
        [
            ({GroupBy.TASK: "chat"}, 3), ({GroupBy.TASK: None}, 12), ({GroupBy.TOOL: "search"}, 4),
            ({GroupBy.TOOL: None}, 11), ({GroupBy.VERSION: "m-2026"}, 8),
            ({GroupBy.TASK: None, GroupBy.TOOL: None}, 8), ({GroupBy.USER: "nobody' OR 1=1 --"}, 0),
        ],
    )  # fmt: skip
    async def test_only_what_matches_is_summed(self, store, where, cost):
        await store.append(
            [
                row("req_1", task="chat", cost_nano=1), row("req_2", task="chat", cost_nano=2),
                row("req_3", tools=("search", "llm"), cost_nano=4),
                row("req_4", version="m-2026", cost_nano=8),
            ]
        )  # fmt: skip
        report = await store.report("acme", SpendQuery(0, 2000, (GroupBy.TOOL,), where))
        assert report.total.cost_nano == cost

    async def test_lines_beyond_the_limit_are_cut_and_the_total_is_whole(self, store):
        await store.append([row(f"req_{n}", model=f"m{n}", cost_nano=n) for n in range(5)])
        report = await store.report("acme", SpendQuery(0, 2000, (GroupBy.MODEL,), limit=2))
        assert [line.groups[0] for line in report.lines] == ["m4", "m3"]
        assert (report.truncated, report.total.requests, report.total.cost_nano) == (True, 5, 10)

    async def test_nothing_spent_is_an_empty_report(self, store):
        report = await store.report("acme", SpendQuery(0, 2000, (GroupBy.MODEL,)))
        assert (report.lines, report.total) == ((), SpendSums())

    async def test_a_forgotten_person_is_a_pseudonym_in_every_row(self, store, files):
        await store.append(
            [row("req_1", user="kim.secret"), row("req_2", user="lee"), row("req_3", tenant="b")]
        )
        assert await store.forget_person("acme", "kim.secret", "u:1") == 1
        assert await store.forget_person("acme", "kim.secret", "u:1") == 0
        report = await store.report("acme", SpendQuery(0, 2000, (GroupBy.USER,)))
        assert {line.groups[0] for line in report.lines} == {"u:1", "lee"}
        assert all(b"kim.secret" not in path.read_bytes() for path in files())


class EventStoreContract:
    """What every `ledger.ports.EventStore` does."""

    async def test_an_event_is_recorded_once_per_source_and_id(self, store):
        event = Event("1", "/a", "t.v1", 10.5, "acme", "budget", {"percent": 80, "name": "größe"})
        assert await store.record([event, event, Event("1", "/b", "t.v1", 11.0, "acme")]) == 2
        assert await store.record([event]) == 0
        assert list(await store.events("acme")) == [Event("1", "/b", "t.v1", 11.0, "acme"), event]

    async def test_events_are_found_by_type_and_tenant(self, store):
        await store.record([Event(str(n), "/a", f"t{n % 2}.v1", float(n), "acme") for n in range(6)])
        await store.record([Event("x", "/a", "t0.v1", 1.0, "other")])
        assert [e.id for e in await store.events("acme", "t0.v1", limit=2)] == ["4", "2"]
        assert [e.id for e in await store.events("other")] == ["x"]

    async def test_events_that_name_a_forgotten_person_are_gone(self, store, files):
        named = {"scope": "user", "name": "kim.secret"}
        await store.record(
            [
                Event("1", "/a", "t.v1", 1.0, "acme", "user/kim.secret/day", named),
                Event("2", "/a", "t.v1", 1.0, "acme", "user/kim/day", {"name": "kim"}),
                Event("3", "/a", "t.v1", 1.0, "other", None, {"name": "kim.secret"}),
            ]
        )
        assert await store.forget_person("acme", "kim.secret", "u:1") == 1
        assert [event.id for event in await store.events("acme")] == ["2"]
        assert await store.forget_tenant("other") == 1
        assert all(b"kim.secret" not in path.read_bytes() for path in files())


class OverrideStoreContract:
    """What every `admission.ports.OverrideStore` does."""

    async def test_an_override_is_set_changed_and_taken_back(self, store, other):
        budget = ("workspace", "growth", "day")
        await store.set_override("acme", BudgetOverride(*budget, 5))
        await store.set_override("acme", BudgetOverride(*budget, 7))
        await store.set_override("acme", BudgetOverride("workspace", "growth", "month", 0))
        await store.set_override("other", BudgetOverride(*budget, 1))
        assert set(await other.overrides("acme")) == {
            BudgetOverride(*budget, 7),
            BudgetOverride("workspace", "growth", "month", 0),
        }
        await other.set_override("acme", BudgetOverride(*budget, None))
        await other.set_override("acme", BudgetOverride("key", "never", "day", None))
        assert list(await store.overrides("acme")) == [BudgetOverride("workspace", "growth", "month", 0)]
        assert list(await store.overrides("other")) == [BudgetOverride(*budget, 1)]


class _Sqlite:
    kind = None

    @pytest.fixture
    def files(self, tmp_path):
        """All files of the store, as they are now."""
        return lambda: [path for path in tmp_path.iterdir() if path.is_file()]

    @pytest.fixture
    async def store(self, tmp_path):
        database = Database(tmp_path / "sluicegate.db")
        yield self.kind(database)
        await database.close()

    @pytest.fixture
    async def other(self, tmp_path):
        database = Database(tmp_path / "sluicegate.db")
        yield self.kind(database)
        await database.close()


class TestSqliteUsageStore(_Sqlite, UsageStoreContract):
    kind = SqliteUsageStore


class TestSqliteEventStore(_Sqlite, EventStoreContract):
    kind = SqliteEventStore


class TestSqliteOverrideStore(_Sqlite, OverrideStoreContract):
    kind = SqliteOverrideStore


class _Firestore:
    kind = None

    @pytest.fixture
    def files(self):
        """None that we could read: what Firestore keeps of the past is point-in-time recovery and backups."""
        return list

    @pytest.fixture
    async def store(self, firestore):
        return self.kind(firestore)

    @pytest.fixture
    async def other(self, other_firestore):
        return self.kind(other_firestore)


class TestFirestoreUsageStore(_Firestore, UsageStoreContract):
    kind = FirestoreUsageStore


class TestFirestoreEventStore(_Firestore, EventStoreContract):
    @staticmethod
    def kind(firestore):
        return FirestoreEventStore(firestore, SystemClock())


class TestFirestoreOverrideStore(_Firestore, OverrideStoreContract):
    kind = FirestoreOverrideStore
