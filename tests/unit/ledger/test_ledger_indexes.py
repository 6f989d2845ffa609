from collections import Counter
from dataclasses import fields

from sluicegate.ledger.indexes import (
    COMPOSITE_INDEXES,
    SHARDS,
    UNINDEXED,
    USAGE,
    document_id,
    shard,
)
from sluicegate.ledger.spending import PERIODS, GroupBy
from sluicegate.ledger.usage import UsageRow


def test_every_dimension_of_reports_has_an_index_with_the_time_last():
    found = [index for index in COMPOSITE_INDEXES if index.collection == USAGE]
    first = {index.fields[0].name: index for index in found if index.fields[-1].name == "at"}
    dimensions = {each.value for each in GroupBy if each not in PERIODS} - {"tool"} | {"tools"}
    assert set(first) == dimensions | {"shard"}
    for index in first.values():
        assert [field.name for field in index.fields][-2:] == ["shard", "at"]
    assert first["tools"].fields[0].order == "CONTAINS"
    # What is summed by an index must be in it, after all else: for each scope of `spent`.
    summing = [index for index in found if index.fields[-1].name == "tokens"]
    assert {index.fields[0].name for index in summing} < dimensions | {"shard"}
    for index in summing:
        assert [field.name for field in index.fields][-4:] == ["shard", "at", "cost_nano", "tokens"]


def test_no_field_of_a_row_has_an_index_of_its_own():
    unindexed = {name for each in UNINDEXED if each.collection == USAGE for name in each.fields}
    # The tenant is in the path.
    assert unindexed == {field.name for field in fields(UsageRow)} - {"tenant"} | {"shard", "tokens"}


def test_ids_that_grow_are_spread_evenly_over_documents_and_shards():
    ids = [document_id("acme", f"req_{number:028x}") for number in range(8_000)]
    assert len(set(ids)) == 8_000
    assert all(len(each) == 32 and each.isalnum() for each in ids)
    for counts in (Counter(each[0] for each in ids), Counter(map(shard, ids))):
        assert max(counts.values()) < 2 * 8_000 / len(counts)
    assert {shard(each) for each in ids} == set(range(SHARDS))
    assert document_id("acme", "req_1") == document_id("acme", "req_1")
    assert document_id("acm", "ereq_1") != document_id("acme", "req_1")
