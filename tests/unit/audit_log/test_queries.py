import pytest
from audit_rig.logs import START, done, make_log, usage
from audit_rig.memory import Disk, MemoryBlobs

from sluicegate.audit.errors import OutOfTreeError
from sluicegate.audit.log_reader import read_leaf_set
from sluicegate.audit.merkle import leaf_hash
from sluicegate.audit.ports import EntryFilter
from sluicegate.audit.proof import verify_consistency, verify_inclusion
from sluicegate.audit.queries import Privacy
from sluicegate.kernel.errors import InvalidRequestError, NotFoundError


@pytest.fixture
async def log():
    log = make_log(Disk())
    events = [usage(n, tenant="acme" if n % 3 else "zeta", user=f"user-{n % 4}") for n in range(270)]
    events += [
        done(
            "key.created",
            payload={"key": "key_9", "note": "for bob@example.com", "api_key": "x"},
            ip="10.1.2.3",
        ),
        done("sign_in.failed", result="failure", reason="wrong code", user_agent="Browser/1"),
        done("guardrail.blocked", result="blocked", payload={"rule": "no-pii", "text": "my number is 5"}),
        done("key.revoked", workspace="ops", domain="trading"),
    ]
    assert await log.consumer.handle(events) == []
    return log


async def all_of(log, tenant, wanted=None, **options):
    records, cursor = [], None
    while True:
        page = await log.queries.entries(tenant, wanted, cursor=cursor, **options)
        records += page.records
        cursor = page.cursor
        if cursor is None:
            return records


@pytest.mark.parametrize("newest_first", [True, False])
async def test_pages_follow_one_another_without_gap_or_repeat(log, newest_first):
    whole = (await log.queries.entries("acme", limit=1_000, newest_first=newest_first)).records
    parts = await all_of(log, "acme", limit=7, newest_first=newest_first)
    assert parts == list(whole)
    assert len(whole) == 180 + 4
    times = [record.entry.timestamp for record in whole]
    assert times == sorted(times, reverse=newest_first)


async def test_entries_that_come_while_one_pages_do_not_disturb(log):
    first = await log.queries.entries("acme", limit=10)
    await log.consumer.handle([usage(9_000 + n, at=START + 500) for n in range(5)])
    second = await log.queries.entries("acme", limit=10, cursor=first.cursor)
    whole = [r.index for r in (await log.queries.entries("acme", limit=25)).records]
    assert [r.index for r in (*first.records, *second.records)] == whole[5:25]


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (EntryFilter(action="key.*"), 2),
        (EntryFilter(action="key.created"), 1),
        (EntryFilter(action="key"), 0),
        (EntryFilter(action="model.*"), 180),
        (EntryFilter(result="blocked"), 1),
        (EntryFilter(result="failure"), 1),
        (EntryFilter(domain="trading"), 1),
        (EntryFilter(workspace="ops"), 1),
        (EntryFilter(user="user-1"), 46),
        (EntryFilter(user="alice"), 4),
        (EntryFilter(user="alice", action="model.*"), 0),
        (EntryFilter(user="nobody"), 0),
        (EntryFilter(since_ms=int(START * 1000) + 100), 114),
        (EntryFilter(until_ms=int(START * 1000) + 3), 6),
        (EntryFilter(below=10), 6),
    ],
)
async def test_filters(log, wanted, count):
    assert len(await all_of(log, "acme", wanted, limit=50)) == count


async def test_what_is_shown_is_what_was_done_less_what_must_not_be_kept(log):
    record = (await log.queries.entries("acme", EntryFilter(action="key.created"), reveal=True)).records[0]
    assert record.privacy is Privacy.OPEN
    entry = record.entry
    assert entry.userId == "alice"
    assert entry.payload == {"key": "key_9", "note": "for [email]", "api_key": "[secret]"}
    assert entry.ipAddress == "10.1.2.3"
    blocked = (await log.queries.entries("acme", EntryFilter(result="blocked"), reveal=True)).records[0].entry
    assert blocked.payload["rule"] == "no-pii"
    assert blocked.payload["text"]["characters"] == 14
    assert "number" not in str(blocked.payload)
    failed = (await log.queries.entries("acme", EntryFilter(result="failure"), reveal=True)).records[0].entry
    assert (failed.reason, failed.userAgent) == ("wrong code", "Browser/1")


async def test_nothing_private_is_shown_unasked(log):
    for record in await all_of(log, "acme", limit=100):
        assert record.privacy is Privacy.SEALED
        assert record.entry.userId.startswith("u:")
        assert record.private is None
        assert (record.entry.payload, record.entry.reason, record.entry.ipAddress) == (None, None, None)


async def test_another_tenant_s_entries_are_not_there(log):
    theirs = (await log.queries.entries("zeta", limit=1)).records[0]
    with pytest.raises(NotFoundError) as missing:
        await log.queries.entry("acme", "0" * 32)
    for key in (theirs.entry.id, theirs.index, 10_000, -1, "no id", "é" * 32):
        for ask in (log.queries.entry, log.queries.inclusion):
            with pytest.raises(NotFoundError) as error:
                await ask("acme", key)
            assert error.value.message == missing.value.message
    assert (await log.queries.entry("zeta", theirs.index)).entry == theirs.entry
    pseudonym = theirs.entry.userId
    assert not (await log.queries.entries("acme", EntryFilter(user=pseudonym))).records


async def test_the_same_user_of_two_tenants_has_nothing_in_common():
    log = make_log(Disk())
    await log.consumer.handle([usage(1), usage(2, tenant="zeta"), usage(3)])
    ours = [record.entry.userId for record in (await log.queries.entries("acme")).records]
    theirs = [record.entry.userId for record in (await log.queries.entries("zeta")).records]
    assert len(set(ours)) == 1
    assert set(ours).isdisjoint(theirs)


async def test_proofs_hold_for_this_and_for_earlier_sizes(log):
    early, _ = await log.queries.checkpoint()
    await log.consumer.handle([usage(n) for n in range(1_000, 1_300)])
    now, _ = await log.queries.checkpoint()
    assert (early.size, now.size) == (274, 574)
    record = await log.queries.entry("acme", 256)
    for checkpoint, size in ((now, None), (now, now.size), (early, early.size)):
        proof = await log.queries.inclusion("acme", record.entry.id, size)
        assert proof.leaf_hash == leaf_hash(record.leaf)
        verify_inclusion(proof.leaf_hash, 256, checkpoint.size, proof.proof, checkpoint.root)
    for first, second in ((early.size, None), (0, None), (now.size, now.size)):
        await log.queries.consistency(first, second)
    proof = await log.queries.consistency(early.size)
    verify_consistency(early.size, now.size, proof, early.root, now.root)
    many = await log.queries.inclusions(list(range(0, 574, 9)), now.size)
    for index, one in zip(range(0, 574, 9), many, strict=True):
        leaf = next(iter((await leaves(log, index)).values()))
        verify_inclusion(leaf_hash(leaf), index, now.size, one, now.root)
    for size in (256, 575, -1):
        with pytest.raises((OutOfTreeError, NotFoundError)):
            await log.queries.inclusion("acme", 256, size)
    with pytest.raises(OutOfTreeError):
        await log.queries.consistency(5, 10_000)


async def leaves(log, index):
    return await read_leaf_set(log._parts.blobs, [index], (await log.queries.checkpoint())[0].size)


@pytest.mark.parametrize("cursor", ["", "!", "MS4y=", "LTEuMg", "MS4", "a" * 500, "MS4yLjM"])
async def test_a_cursor_that_is_none_is_refused(log, cursor):
    with pytest.raises(InvalidRequestError):
        await log.queries.entries("acme", cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 1_001])
async def test_a_limit_out_of_bounds_is_refused(log, limit):
    with pytest.raises(InvalidRequestError):
        await log.queries.entries("acme", limit=limit)


@pytest.mark.parametrize("at", [5, 200, -20, -1])
async def test_a_changed_sealed_part_is_said_to_be_damaged(at):
    disk = Disk()
    log = make_log(disk)
    await log.consumer.handle([usage(1)])
    (name,) = await MemoryBlobs(disk).list("sealed/")
    content = bytearray(disk.blobs[name])
    if at == 5:
        at = 12 + 40
    content[at] ^= 1
    disk.blobs[name] = bytes(content)
    record = (await log.queries.entries("acme", reveal=True)).records[0]
    assert record.privacy is Privacy.DAMAGED
    assert record.entry.payload is None


async def test_a_payload_that_is_too_large_or_cannot_be_written_leaves_a_trace_of_itself():
    log = make_log(Disk())
    huge = {"text": "x" * 100_000}
    exact = {"number": 2**60}
    assert await log.consumer.handle([done("a.b", payload=huge), done("a.c", payload=exact)]) == []
    shown = (await log.queries.entries("acme", reveal=True, newest_first=False)).records
    assert shown[0].entry.payload["too_large"] is True
    assert shown[0].entry.payload["bytes"] > 100_000
    assert shown[1].entry.payload["unencodable"] is True
