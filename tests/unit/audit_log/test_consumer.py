import pytest
from audit_rig.logs import LOG_KEY, ORIGIN, START, check, done, make_log, publisher, usage
from audit_rig.memory import Disk, MemoryBlobs
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.audit.actions import action_of, entry_id
from sluicegate.audit.checkpoint import Checkpoint, sign_checkpoint
from sluicegate.audit.cosignature import CosignatureVerifier, cosign
from sluicegate.audit.errors import CorruptLogError, MalformedError, UnverifiedError
from sluicegate.audit.keys import Ed25519Signer
from sluicegate.audit.note import format_note, parse_note
from sluicegate.audit.rehearsal import append_made_up, made_up_events
from sluicegate.audit.usage_actions import usage_action
from sluicegate.kernel.errors import DependencyUnavailableError, NotFoundError
from sluicegate.kernel.events import (
    BUDGET_THRESHOLD,
    CACHE_INVALIDATED,
    USAGE_RECORDED,
    Event,
    UnusableEventError,
)

# --- from events to actions


def test_a_usage_event_says_who_used_which_model_for_what_and_how_it_went():
    action = usage_action(usage(7, task="code", outcome="failure", error="upstream_error", ip="192.0.2.1"))
    assert (action.action, action.domain, action.result) == ("model.access", "code", "failure")
    assert (action.tenant, action.workspace, action.user, action.subject) == (
        "acme",
        "team",
        "alice",
        "alice",
    )
    assert (action.reason, action.ip) == ("upstream_error", "192.0.2.1")
    assert action.payload == {
        "request_id": "req_7",
        "model": "small",
        "provider": "scripted",
        "requested_model": "auto",
        "key": "key_1",
        "task": "code",
        "outcome": "failure",
        "input_tokens": 10,
        "output_tokens": 5,
        "cost_nano": 1_007,
        "estimated": False,
    }


@pytest.mark.parametrize(
    ("suffix", "action"),
    [(":estimated", "model.access.estimated"), ("~2:withdrawn", "model.access.withdrawn")],
)
def test_what_admission_charges_for_a_lost_owner_is_told_apart(suffix, action):
    event = Event(
        f"req_1{suffix}", "/sluicegate/admission", USAGE_RECORDED, START, "acme", "req_1", {"cost_nano": 5e3}
    )
    assert usage_action(event).action == action
    assert usage_action(event).payload == {"request_id": "req_1", "cost_nano": 5_000, "estimated": False}


@pytest.mark.parametrize("kind", [BUDGET_THRESHOLD, CACHE_INVALIDATED])
async def test_notices_of_the_platform_are_entries_of_the_system(kind):
    log = make_log(Disk())
    assert (
        await log.consumer.handle([Event("n1", "/s", kind, START, "acme", None, {"scope": "tenant"})]) == []
    )
    entry = (await log.queries.entries("acme", reveal=True)).records[0].entry
    assert (entry.userId, entry.payload) == ("system", {"scope": "tenant"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("action", None),
        ("action", "Key Created"),
        ("action", "a" * 200),
        ("user", ""),
        ("user", "a\nb"),
        ("user", 5),
        ("payload", [1]),
        ("payload", "x"),
        ("payload_class", "secret"),
        ("result", "maybe"),
        ("reason", 5),
        ("domain", "x" * 200),
        ("subject", "\ud800"),
    ],
)
async def test_what_cannot_be_an_entry_is_refused_for_good_and_holds_nothing_up(field, value):
    bad = done("key.created", 1)
    bad.data[field] = value
    disk = Disk()
    log = make_log(disk)
    good = [usage(1), usage(2)]
    failures = await log.consumer.handle([good[0], bad, good[1]])
    assert [(each.index, each.final) for each in failures] == [(1, True)]
    await check(disk, good)


@pytest.mark.parametrize(
    ("tenant", "at"), [("../x", START), ("A", START), ("acme", -1.0), ("acme", 1e20), ("acme", float("nan"))]
)
def test_tenants_and_times_that_cannot_be_are_refused(tenant, at):
    with pytest.raises(UnusableEventError):
        action_of(done("a.b", tenant=tenant, at=at))


def test_text_is_bounded_and_has_no_control_characters():
    action = action_of(done("a.b", reason="a\r\nb" + "x" * 5_000))
    assert len(action.reason) == 1_000
    assert action.reason.startswith("a  b")


@given(
    st.lists(
        st.tuples(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5)), unique=True, max_size=30
    )
)
def test_events_that_differ_have_ids_that_differ(events):
    assert len({entry_id(*event) for event in events}) == len(events)


async def test_events_of_other_types_are_passed_over():
    log = make_log(Disk())
    await log.start()
    assert await log.consumer.handle([Event("1", "/s", "dev.example.other.v1", START, "acme")]) == []
    assert log.consumer.counts.entries == 0


# --- once each


@given(st.lists(st.lists(st.integers(0, 12), max_size=12), max_size=6))
async def test_whatever_comes_again_and_in_whatever_order_is_there_once(batches):
    disk = Disk()
    log = make_log(disk)
    await log.start()
    for batch in batches:
        assert await log.consumer.handle([usage(number) for number in batch]) == []
    await check(disk, [usage(number) for number in {number for batch in batches for number in batch}])


async def test_a_large_batch_is_integrated_in_parts():
    disk = Disk()
    log = make_log(disk)
    log.sequencer._most = 100
    events = [usage(number) for number in range(730)]
    await log.consumer.handle(events)
    await check(disk, events)
    assert len(await MemoryBlobs(disk).list("checkpoints/")) == 1 + 8


async def test_made_up_events_become_as_many_entries():
    disk = Disk()
    log = make_log(disk)
    await append_made_up(log.consumer, 300, batch=128)
    await append_made_up(log.consumer, 10, first=295)
    assert log.consumer.counts.entries == 305
    events = made_up_events()
    await check(disk, [next(events) for _ in range(305)])


# --- what must not be built upon


@pytest.mark.parametrize("name", ["tile/0/000.p/20", "tile/entries/000.p/20", "state"])
@pytest.mark.parametrize("harm", ["missing", "changed"])
async def test_nothing_is_added_to_a_log_that_was_harmed_and_no_event_is_to_blame(name, harm):
    disk = Disk()
    await make_log(disk).consumer.handle([usage(number) for number in range(20)])
    before = dict(disk.published and {"checkpoint": disk.blobs["checkpoint"]})
    if harm == "missing":
        del disk.blobs[name], disk.generations[name]
    else:
        content = bytearray(disk.blobs[name])
        content[10] ^= 1
        disk.blobs[name] = bytes(content)
        if name.startswith("tile/entries"):
            # Nobody computes hashes again when adding; its length is what adding depends on.
            disk.blobs[name] = bytes(content)[:-1]
    with pytest.raises(DependencyUnavailableError):
        await make_log(disk).consumer.handle([usage(99)])
    assert disk.blobs["checkpoint"] == before["checkpoint"]


async def test_a_log_that_was_put_back_to_an_older_copy_is_noticed():
    disk = Disk()
    log = make_log(disk)
    await log.consumer.handle([usage(1)])
    old = disk.copy()
    await log.consumer.handle([usage(2)])
    old.rows, old.packs = disk.rows, disk.packs
    with pytest.raises(CorruptLogError, match="older copy"):
        await make_log(old).start()


async def test_reindexing_gives_the_same_index():
    disk = Disk()
    log = make_log(disk)
    events = [usage(number, tenant=f"t{number % 3}") for number in range(600)]
    await log.consumer.handle(events)
    rows, packs = dict(disk.rows), set(disk.packs)
    disk.rows[5] = disk.rows[6]
    assert await log.reindex() == 600
    assert (disk.rows, disk.packs) == (rows, packs)


# --- checkpoints and witnesses


async def test_a_checkpoint_never_goes_back_and_another_root_is_never_signed():
    disk = Disk()
    ours = publisher(disk)
    await ours.publish(5, b"5" * 32)
    await ours.publish(3, b"3" * 32)
    assert (await ours.latest())[0].size == 5
    assert parse_note(await ours.at(3)).text.startswith(f"{ORIGIN}\n3\n")
    for size in (5, 3):
        with pytest.raises(CorruptLogError):
            await ours.publish(size, b"x" * 32)
    with pytest.raises(NotFoundError):
        await ours.at(4)


WITNESS = Ed25519Signer(b"W" * 32)
OTHER = Ed25519Signer(b"O" * 32)


async def cosigned(checkpoint, signer=WITNESS, name="witness.test/w", at=1_000):
    line = await cosign(checkpoint, name, signer, at)
    own = parse_note(await sign_checkpoint(checkpoint, LOG_KEY)).signatures
    return format_note(checkpoint.text, [*own, line])


async def test_cosignatures_are_verified_and_kept_with_the_checkpoint():
    disk = Disk()
    ours = publisher(disk, [CosignatureVerifier("witness.test/w", WITNESS.public_key)])
    for size in (1, 2):
        await ours.publish(size, bytes([size]) * 32)
    old, new = (Checkpoint(ORIGIN, size, bytes([size]) * 32) for size in (1, 2))
    assert await ours.cosign(await cosigned(new)) == 1
    assert await ours.cosign(await cosigned(new, at=2_000)) == 0, "one of each witness is enough"
    assert await ours.cosign(await cosigned(old)) == 1
    for note in ((await ours.latest())[1], await ours.at(2), await ours.at(1)):
        assert [line.name for line in parse_note(note).signatures] == [ORIGIN, "witness.test/w"]
    await ours.publish(3, b"3" * 32)
    assert len(parse_note((await ours.latest())[1]).signatures) == 1
    assert len(parse_note(await ours.at(2)).signatures) == 2


async def test_cosignatures_that_say_nothing_are_refused():
    disk = Disk()
    ours = publisher(disk, [CosignatureVerifier("witness.test/w", WITNESS.public_key)])
    await ours.publish(1, b"1" * 32)
    published = Checkpoint(ORIGIN, 1, b"1" * 32)
    before = disk.copy().blobs
    for note, error in (
        (await cosigned(published, OTHER), UnverifiedError),
        (await cosigned(published, OTHER, "witness.test/w"), UnverifiedError),
        (await cosigned(Checkpoint(ORIGIN, 1, b"2" * 32)), UnverifiedError),
        (await cosigned(Checkpoint("sluicegate.test/other", 1, b"1" * 32)), UnverifiedError),
        (await cosigned(Checkpoint(ORIGIN, 2, b"1" * 32)), NotFoundError),
        (await sign_checkpoint(published, LOG_KEY), UnverifiedError),
        (b"nonsense", MalformedError),
    ):
        with pytest.raises(error):
            await ours.cosign(note)
    assert disk.blobs == before
