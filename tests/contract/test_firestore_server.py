"""The rig's Firestore, asked by the published client library: it must do as the published protocol says.

With FIRESTORE_EMULATOR_HOST the same is asked of that server.
"""

import asyncio
import math
from datetime import UTC, datetime, timedelta

import pytest
from firestore_process import skip_where_not_ours

exceptions = pytest.importorskip("google.api_core.exceptions", reason="the extra 'gcp' is not installed")
library = pytest.importorskip("google.cloud.firestore_v1", reason="the extra 'gcp' is not installed")

FieldFilter = library.FieldFilter


@pytest.fixture
async def client(firestore):
    """The library's own client, connected as the adapters connect it."""
    return await firestore._open()


async def names(query):
    return [each.id async for each in query.stream()]


# --- values, their order, queries

ORDERED = [
    ("null", None), ("false", False), ("true", True), ("nan", math.nan), ("minus", -math.inf), ("int", -5),
    ("half", 0.5), ("one", 1), ("big", 2**62), ("bigger", 2**62 + 1),
    ("time", datetime(2026, 1, 1, tzinfo=UTC)),
    ("later", datetime(2026, 1, 2, tzinfo=UTC)), ("upper", "B"), ("lower", "a"), ("wide", "\uffff"),
    ("astral", "\U0001f600"), ("bytes", b"\0"), ("point", library.GeoPoint(1, 2)), ("empty", []),
    ("list", [1]), ("longer", [1, 0]), ("second", [2]), ("map", {"a": 1}), ("map2", {"a": 1, "b": 0}),
    ("map3", {"b": -1}),
]  # fmt: skip


async def test_values_of_all_kinds_come_back_and_are_ordered(client):
    values = client.collection("values")
    await asyncio.gather(*(values.document(name).set({"v": value}) for name, value in ORDERED))
    await values.document("without").set({"w": 1})
    found = [each async for each in values.order_by("v").stream()]
    assert [each.id for each in found] == [name for name, _ in ORDERED]
    assert [each.get("v") for each in found if each.id != "nan"] == [v for n, v in ORDERED if n != "nan"]
    falling = await names(values.order_by("v", direction="DESCENDING"))
    assert falling == [name for name, _ in ORDERED][::-1]


@pytest.mark.parametrize(
    ("op", "value", "expected"),
    [
        ("<", 3, "12"), ("<=", 3, "123"), (">", 3, "45"), (">=", 3.0, "345"), ("==", 3, "3"),
        ("!=", 3, "1245s"), ("in", [1, 5, 9], "15"), ("not-in", [1, 5], "234s"), ("==", None, "n"),
        (">", "a", "s"), ("<", "z", "s"),
    ],
)  # fmt: skip
async def test_filters_compare_within_a_kind(client, op, value, expected):
    numbers = client.collection("numbers")
    for number in range(1, 6):
        await numbers.document(str(number)).set({"v": number})
    await numbers.document("n").set({"v": None})
    await numbers.document("s").set({"v": "text"})
    await numbers.document("x").set({"w": 1})
    assert "".join(sorted(await names(numbers.where(filter=FieldFilter("v", op, value))))) == expected


async def test_arrays_composites_and_groups(client):
    for tenant in "ab":
        rows = client.collection("tenants", tenant, "rows")
        for number in range(4):
            await rows.document(f"{tenant}{number}").set({"tags": [number % 2, "t"], "n": number})
    rows = client.collection("tenants", "a", "rows")
    assert await names(rows.where(filter=FieldFilter("tags", "array_contains", 1))) == ["a1", "a3"]
    either = library.base_query.Or([FieldFilter("n", "==", 0), FieldFilter("n", "==", 3)])
    assert await names(rows.where(filter=either)) == ["a0", "a3"]
    any_of = FieldFilter("tags", "array_contains_any", [1, "none"])
    assert await names(rows.where(filter=any_of)) == ["a1", "a3"]
    assert len(await names(client.collection_group("rows"))) == 8


async def test_cursors_limits_offsets_and_projections(client):
    numbers = client.collection("numbers")
    for number in range(10):
        await numbers.document(f"d{number}").set({"v": number // 2, "w": {"x": number, "y": 0}})
    ordered = numbers.order_by("v")
    assert await names(ordered.start_at({"v": 4})) == ["d8", "d9"]
    assert await names(ordered.start_after({"v": 3})) == ["d8", "d9"]
    assert await names(ordered.end_before({"v": 1})) == ["d0", "d1"]
    assert await names(ordered.end_at({"v": 0})) == ["d0", "d1"]
    assert await names(ordered.offset(3).limit(2)) == ["d3", "d4"]
    assert [each.id for each in await numbers.order_by("v").limit_to_last(2).get()] == ["d8", "d9"]
    page, seen = None, []
    while True:
        found = [e async for e in (ordered if page is None else ordered.start_after(page)).limit(3).stream()]
        if not found:
            break
        seen += [each.id for each in found]
        page = found[-1]  # a whole snapshot: ties are told apart by the document's name
    assert seen == [f"d{n}" for n in range(10)]
    (first,) = [each async for each in ordered.select(["w.x"]).limit(1).stream()]
    assert first.to_dict() == {"w": {"x": 0}}


async def test_aggregations_are_exact(client):
    numbers = client.collection("numbers")
    for number in range(3):
        await numbers.document(str(number)).set({"v": 2**61 + number, "f": number / 2})
    await numbers.document("without").set({"f": 7})
    asked = numbers.count(alias="c").sum("v", alias="s")
    (results,) = await asked.get()
    assert {each.alias: each.value for each in results} == {"c": 3, "s": 3 * 2**61 + 3}
    ((mean,),) = await numbers.avg("f", alias="m").get()
    assert mean.value == (0 + 0.5 + 1 + 7) / 4
    ((nothing,),) = await numbers.where(filter=FieldFilter("v", "==", 0)).sum("v", alias="s").get()
    assert nothing.value == 0


# --- writing


async def test_preconditions(client):
    one = client.document("c/one")
    created = await one.create({"a": 1})
    with pytest.raises(exceptions.AlreadyExists):
        await one.create({"a": 2})
    with pytest.raises(exceptions.NotFound):
        await client.document("c/none").update({"a": 1})
    await one.update({"a": 2}, option=client.write_option(last_update_time=created.update_time))
    with pytest.raises(exceptions.FailedPrecondition):
        await one.update({"a": 3}, option=client.write_option(last_update_time=created.update_time))
    assert (await one.get()).to_dict() == {"a": 2}


async def test_a_batch_is_written_wholly_or_not_at_all(client):
    await client.document("c/there").set({"a": 1})
    batch = client.batch()
    batch.set(client.document("c/new"), {"a": 1})
    batch.create(client.document("c/there"), {"a": 2})
    with pytest.raises(exceptions.AlreadyExists):
        await batch.commit()
    assert not (await client.document("c/new").get()).exists


async def test_masks_merges_and_deleted_fields(client):
    one = client.document("c/one")
    await one.set({"a": {"x": 1, "y": 2}, "b": 1})
    await one.set({"a": {"x": 5}}, merge=True)
    assert (await one.get()).to_dict() == {"a": {"x": 5, "y": 2}, "b": 1}
    await one.update({"a.y": library.DELETE_FIELD, "c.d": 1})
    assert (await one.get()).to_dict() == {"a": {"x": 5}, "b": 1, "c": {"d": 1}}
    before = (await one.get()).update_time
    await one.update({"b": 1})
    assert (await one.get()).update_time == before, "what changes nothing leaves the time of the last change"


async def test_transforms(client):
    one = client.document("c/one")
    await one.set({"n": 2**63 - 2, "list": [1, "a"], "f": 1})
    await one.update(
        {
            "n": library.Increment(5), "new": library.Increment(3), "f": library.Increment(0.5),
            "list": library.ArrayUnion([1.0, "b", "b"]), "most": library.Maximum(4),
            "at": library.SERVER_TIMESTAMP,
        }
    )  # fmt: skip
    found = (await one.get()).to_dict()
    assert abs(found.pop("at") - datetime.now(UTC)) < timedelta(minutes=1)
    assert found == {"n": 2**63 - 1, "new": 3, "f": 1.5, "list": [1, "a", "b"], "most": 4}
    await one.update({"list": library.ArrayRemove(["a", 1]), "most": library.Minimum(2.0)})
    found = (await one.get()).to_dict()
    assert (found["list"], found["most"]) == (["b"], 2.0)


async def test_what_cannot_be_stored_is_refused(client):
    for fields in ({"a": [[1]]}, {"__a__": 1}, {"a": "x" * 1_100_000}):
        with pytest.raises(exceptions.InvalidArgument):
            await client.document("c/one").set(fields)
    wide = FieldFilter("v", "in", list(range(31)))
    with pytest.raises(exceptions.InvalidArgument):
        await names(client.collection("c").where(filter=wide))


async def test_documents_are_listed_page_by_page_with_those_that_have_only_children(client):
    for number in range(5):
        await client.document(f"c/{number}").set({"a": 1})
    await client.document("c/parent/sub/child").set({"a": 1})
    listed = [each.id async for each in client.collection("c").list_documents(page_size=2)]
    assert sorted(listed) == ["0", "1", "2", "3", "4", "parent"]
    assert [each.id async for each in client.document("c/parent").collections()] == ["sub"]


async def test_a_bulk_write_tells_the_fate_of_each(client):
    await client.document("c/there").set({"a": 1})
    writes = [
        library.types.Write(update={"name": client.document(f"c/{name}")._document_path, "fields": {}})
        for name in ("there", "new")
    ]
    for write in writes:
        write.current_document = library.types.Precondition(exists=False)
    answer = await client._firestore_api.batch_write(
        request={"database": client._database_string, "writes": writes}, metadata=client._rpc_metadata
    )
    assert [status.code for status in answer.status] == [6, 0]


# --- transactions


async def test_contended_transactions_lose_no_update(client):
    counter = client.document("c/counter")
    await counter.set({"n": 0})

    @library.async_transactional
    async def add_one(transaction):
        snapshot = await counter.get(transaction=transaction)
        await asyncio.sleep(0)
        transaction.update(counter, {"n": snapshot.get("n") + 1})

    await asyncio.gather(*(add_one(client.transaction(max_attempts=50)) for _ in range(8)))
    assert (await counter.get()).get("n") == 8


async def test_a_transaction_sees_no_change_between_its_reads_and_its_commit(client):
    """Two who each check that the sum allows it, and write another document: only one may."""
    accounts = client.collection("accounts")
    for name in "ab":
        await accounts.document(name).set({"n": 1})

    @library.async_transactional
    async def take(transaction, name):
        total = 0
        async for each in accounts.stream(transaction=transaction):
            total += each.get("n")
        if total > 1:
            transaction.update(accounts.document(name), {"n": 0})
        return total > 1

    done = await asyncio.gather(*(take(client.transaction(max_attempts=50), name) for name in "ab"))
    assert sorted(done) == [False, True]
    assert sum([each.get("n") async for each in accounts.stream()]) == 1


async def test_a_read_only_transaction_reads_one_moment(client):
    one = client.document("c/one")
    await one.set({"n": 1})

    @library.async_transactional
    async def read_twice(transaction):
        first = (await one.get(transaction=transaction)).get("n")
        await one.set({"n": 2})
        return first, (await one.get(transaction=transaction)).get("n")

    assert await read_twice(client.transaction(read_only=True)) == (1, 1)


async def test_a_query_without_an_index_is_refused(client):
    skip_where_not_ours()
    rows = client.collection("tenants", "acme", "usage")
    with pytest.raises(exceptions.FailedPrecondition, match="requires an index"):
        await names(rows.where(filter=FieldFilter("user", "==", "kim")).order_by("cost_nano"))
    with pytest.raises(exceptions.FailedPrecondition, match="requires an index"):
        await names(rows.order_by("at"))
