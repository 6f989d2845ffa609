"""Reports from sums of hours say what reports from rows say, whatever was asked and however rows came."""

import asyncio
import random
from itertools import combinations

import pytest

from sluicegate.adapters.gcp.firestore.documents import Query, tenant_path
from sluicegate.adapters.gcp.firestore.spend_documents import HOUR_S, parts_of
from sluicegate.adapters.gcp.firestore.usage_rows import FirestoreUsageStore
from sluicegate.adapters.local.sqlite import Database
from sluicegate.adapters.local.usage_rows import SqliteUsageStore
from sluicegate.ledger.indexes import SPEND
from sluicegate.ledger.spending import PERIODS, GroupBy, SpendQuery
from sluicegate.ledger.usage import UsageRow

HOURS = 72


def some_row(chance, number, **fields):
    return UsageRow(
        **{
            "request_id": f"req_{number}", "at": chance.uniform(0, HOURS * HOUR_S), "tenant": "acme",
            "workspace": chance.choice("ab"), "user": chance.choice(("kim", "lee")), "key": "key_a",
            "agent": chance.choice((None, "coder")), "mission": None, "task": chance.choice((None, "größe")),
            "model": chance.choice(("small", "large")), "provider": "scripted", "requested_model": "auto",
            "input_tokens": chance.randrange(9), "cached_input_tokens": chance.randrange(9),
            "cache_write_tokens": chance.randrange(9), "output_tokens": chance.randrange(9),
            "reasoning_tokens": chance.randrange(9), "cost_nano": chance.randrange(10**16), "held_nano": 5,
            "estimated": chance.random() < 0.3, "latency_ms": float(chance.randrange(99)),
            "first_byte_ms": None, "cache": chance.choice(("none", "l1")),
            "outcome": chance.choice(("success", "failure")),
            "tools": chance.choice(((), ("search",), ("search", "llm"))), **fields,
        }
    )  # fmt: skip


def queries(chance):
    """Every dimension, some crossings and conditions, over times that begin and end within hours."""
    # Each row has the same key here; SQLite's reports cannot cross it with tools.
    dimensions = [each for each in GroupBy if each not in {*PERIODS, GroupBy.KEY}]
    crossings = [(), *((each,) for each in GroupBy), *combinations(dimensions, 2)]
    conditions = [
        {}, {GroupBy.USER: "kim"}, {GroupBy.TASK: None}, {GroupBy.TOOL: "llm"}, {GroupBy.TOOL: None},
        {GroupBy.AGENT: "coder", GroupBy.MODEL: "large"},
    ]  # fmt: skip
    for number, crossing in enumerate(chance.sample(crossings, 30)):
        by = crossing
        since = chance.choice((0.0, 5.0 * HOUR_S, chance.uniform(0, 20 * HOUR_S)))
        until = chance.choice((1e7, 70.0 * HOUR_S, chance.uniform(50 * HOUR_S, 72 * HOUR_S)))
        if by and by[0] not in PERIODS and number % 3 == 0:
            by = (chance.choice(PERIODS), *by)
        yield SpendQuery(since, until, by, chance.choice(conditions), limit=chance.choice((5, 1000)))


@pytest.fixture
async def sqlite(tmp_path):
    database = Database(tmp_path / "sluicegate.db")
    yield SqliteUsageStore(database)
    await database.close()


async def test_sums_of_hours_rows_and_sqlite_agree(firestore, other_firestore, sqlite):
    chance = random.Random(7)
    sums, rows = FirestoreUsageStore(firestore, rows_hours=0), FirestoreUsageStore(
        other_firestore, rows_hours=10**9
    )  # fmt: skip
    kept = [some_row(chance, number) for number in range(400)]
    # Estimates of lost owners, at other times and of other models than the owners' rows, which come later.
    estimates = [some_row(chance, number, reaped=True, model="large") for number in range(0, 400, 5)]
    batches = [estimates[at : at + 20] for at in range(0, 80, 20)]
    for batch in batches:
        await sqlite.append(batch)
    await asyncio.gather(*((sums, rows)[n % 2].append(batch) for n, batch in enumerate(batches)))
    batches = [kept[at : at + 60] for at in range(0, 400, 40)]  # overlapping: some come twice
    for batch in batches:
        await sqlite.append(batch)
    await asyncio.gather(*((sums, rows)[n % 2].append(batch) for n, batch in enumerate(batches)))
    for query in queries(chance):
        expected = await sqlite.report("acme", query)
        for store in (sums, rows):
            found = await store.report("acme", query)
            assert found.truncated == expected.truncated
            assert same(found.total, expected.total)
            assert [line.groups for line in found.lines] == [line.groups for line in expected.lines]
            assert all(same(one.sums, two.sums) for one, two in zip(found.lines, expected.lines, strict=True))


def same(one, two):
    """Equal to the last nano-dollar; means up to rounding."""
    names = [name for name in type(one).__slots__ if name != "latency_ms"]
    exact = all(getattr(one, name) == getattr(two, name) for name in names)
    return exact and one.latency_ms == pytest.approx(two.latency_ms)


async def test_many_rows_are_few_documents_of_bounded_size(firestore):
    chance, usage = random.Random(1), FirestoreUsageStore(firestore)
    rows = [some_row(chance, number, at=100.0, tools=(f"tool-{number}" * 400,)) for number in range(400)]
    await usage.append(rows)
    found = await firestore.run(lambda session: session.find(Query(tenant_path("acme", SPEND))))
    assert 1 < len(found) < 8
    assert all(len(each.fields["cells"].encode()) < 2**20 for each in found)
    assert sum(part.amounts[0] for each in found for part in parts_of(each)) == 400
    await usage.append([some_row(chance, number, at=100.0) for number in range(500, 900)])
    found = await firestore.run(lambda session: session.find(Query(tenant_path("acme", SPEND))))
    assert len(found) < 10


async def test_rows_of_very_many_hours_are_stored(firestore):
    chance, usage = random.Random(2), FirestoreUsageStore(firestore, rows_hours=0)
    rows = [some_row(chance, number, at=float(number * HOUR_S), cost_nano=1) for number in range(1_200)]
    assert await usage.append(rows) == 1_200
    assert (await usage.report("acme", SpendQuery(0, 1e7))).total.cost_nano == 1_200


async def test_a_forgotten_person_is_a_pseudonym_in_sums_too(firestore):
    chance, usage = random.Random(3), FirestoreUsageStore(firestore, rows_hours=0)
    await usage.append([some_row(chance, number) for number in range(100)])
    by_user = SpendQuery(0, 1e7, (GroupBy.USER,))
    before = {line.groups[0]: line.sums for line in (await usage.report("acme", by_user)).lines}
    await usage.forget_person("acme", "kim", "u:1")
    after = {line.groups[0]: line.sums for line in (await usage.report("acme", by_user)).lines}
    assert after == {"u:1": before["kim"], "lee": before["lee"]}
    everything = await firestore.run(lambda session: session.find(Query(tenant_path("acme", SPEND))))
    assert "kim" not in str([each.fields for each in everything])
    assert await usage.forget_tenant("acme") == 100
    assert await usage.forget_tenant("acme") == 0
    report = await usage.report("acme", by_user)
    assert [line.groups for line in report.lines] == [("erased",)]
