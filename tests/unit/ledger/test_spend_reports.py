import pytest

from sluicegate.adapters.local.schema import MIGRATIONS
from sluicegate.adapters.local.sqlite import Database
from sluicegate.adapters.local.usage_rows import SqliteUsageStore
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.ledger.service import SpendReports
from sluicegate.ledger.spending import GroupBy, SpendQuery, SpendSums
from sluicegate.ledger.usage import UsageRow

HOUR = 3_600.0


def row(request_id, **fields):
    return UsageRow(
        **{
            "request_id": request_id, "at": 1000.0, "tenant": "acme", "workspace": "growth", "user": "kim",
            "key": "key_a", "agent": None, "mission": None, "task": None, "model": "small",
            "provider": "scripted", "requested_model": "auto", "input_tokens": 10, "cached_input_tokens": 0,
            "cache_write_tokens": 0, "output_tokens": 0, "reasoning_tokens": 0, "cost_nano": 100,
            "held_nano": 300, "estimated": False, "latency_ms": 12.5, "first_byte_ms": None, "cache": "none",
            "outcome": "success", **fields,
        }
    )  # fmt: skip


@pytest.fixture
async def store(tmp_path):
    database = Database(tmp_path / "sluicegate.db")
    yield SqliteUsageStore(database)
    await database.close()


async def test_models_share_each_hour(store):
    await store.append(
        [
            row("1", model="a", cost_nano=300), row("2", model="a", cost_nano=300),
            row("3", model="b", cost_nano=200, input_tokens=60),
            row("4", model="b", cost_nano=0, at=HOUR, input_tokens=0),
            row("5", model="c", tenant="other"),
        ]
    )  # fmt: skip
    shares = await SpendReports(store).model_distribution("acme", 0, 2 * HOUR)
    found = [
        (each.period, each.model, each.share_of_requests, each.share_of_tokens, each.share_of_cost)
        for each in shares
    ]
    assert found == [
        ("1970-01-01T00:00Z", "a", 2 / 3, 0.25, 0.75),
        ("1970-01-01T00:00Z", "b", 1 / 3, 0.75, 0.25),
        ("1970-01-01T01:00Z", "b", 1.0, 0.0, 0.0),
    ]


async def test_by_the_month_there_is_one_period(store):
    await store.append([row("1"), row("2", at=86_400.0)])
    [share] = await SpendReports(store).model_distribution("acme", 0, 10 * 86_400, GroupBy.MONTH)
    assert (share.period, share.sums.requests) == ("1970-01", 2)


async def test_what_one_request_of_a_task_cost(store):
    await store.append(
        [
            row("1", task="chat", cost_nano=100), row("2", task="chat", cost_nano=101),
            row("3", cost_nano=99), row("4", task="code", cost_nano=600),
        ]
    )  # fmt: skip
    tasks = await SpendReports(store).cost_per_task("acme", 0, 2000)
    found = [(each.task, each.sums.requests, each.sums.mean_cost_nano, each.share_of_cost) for each in tasks]
    assert found == [("code", 1, 600, 600 / 900), ("chat", 2, 101, 201 / 900), (None, 1, 99, 99 / 900)]


@pytest.mark.parametrize(
    ("cost", "requests", "mean"), [(0, 0, 0), (10, 4, 3), (9, 4, 2), (2**60 + 1, 2, 2**59 + 1)]
)
def test_a_mean_is_rounded_to_the_nearest_nano_dollar(cost, requests, mean):
    assert SpendSums(requests=requests, cost_nano=cost).mean_cost_nano == mean


async def test_a_distribution_that_no_answer_can_hold_is_refused(store):
    await store.append([row(str(hour), at=hour * HOUR) for hour in range(10_001)])
    with pytest.raises(InvalidRequestError, match="less time"):
        await SpendReports(store).model_distribution("acme", 0, 10_001 * HOUR)
    assert len(await SpendReports(store).model_distribution("acme", 0, 10_000 * HOUR)) == 10_000
    with pytest.raises(InvalidRequestError, match="hour, day or month"):
        await SpendReports(store).model_distribution("acme", 0, 1, GroupBy.USER)


@pytest.mark.parametrize(
    "asked",
    [
        {"since": 5, "until": 5}, {"since": 6, "until": 5}, {"since": float("nan"), "until": 5},
        {"by": (GroupBy.USER, GroupBy.USER)}, {"by": (GroupBy.HOUR, GroupBy.DAY)}, {"by": tuple(GroupBy)[:5]},
        {"where": {GroupBy.DAY: "1970-01-01"}}, {"limit": 0}, {"limit": 10_001},
    ],
)  # fmt: skip
def test_a_question_without_an_answer_is_refused(asked):
    with pytest.raises(InvalidRequestError):
        SpendQuery(**{"since": 0, "until": 10, **asked})


async def test_a_file_of_the_first_release_opens_with_its_rows(tmp_path):
    path = tmp_path / "sluicegate.db"
    first = Database(path, migrations=MIGRATIONS[:1])
    columns = [name for name in row("1").data() if name != "version"]
    values = [{**row("1", tools=()).data(), "tools": "[]"}[name] for name in columns]
    sql = f"INSERT INTO usage_rows ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
    await first.write(lambda connection: connection.execute(sql, values))
    await first.close()
    database = Database(path)
    store = SqliteUsageStore(database)
    assert await store.append([row("1"), row("2", version="small-2026-01-01")]) == 1
    report = await store.report("acme", SpendQuery(0, 2000, (GroupBy.VERSION,)))
    assert {line.groups[0]: line.sums.cost_nano for line in report.lines} == {
        None: 100,
        "small-2026-01-01": 100,
    }
    await database.close()
