import json
from base64 import b64decode
from hashlib import sha256

import pytest
from audit_rig.logs import ENTRY_KEY, POLICY, Root, done, make_log, usage
from audit_rig.memory import Disk, MemoryBlobs, MemoryKeys
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.audit.actions import PayloadClass, Result, entry_id
from sluicegate.audit.canonical_json import decode_canonical, encode
from sluicegate.audit.entry import Leaf, leaf_content, milliseconds_of, timestamp, verify_signature
from sluicegate.audit.errors import CorruptLogError, MalformedError, UnreadableError
from sluicegate.audit.keyring import Keyring, PersonKey, derive
from sluicegate.audit.packs import decode_pack, encode_pack, pack_name, parse_pack_name
from sluicegate.audit.ports import PackRow
from sluicegate.audit.sealing import Private, commitment, encode_private, seal, unseal
from sluicegate.audit.tiles import Bundle, unpack_entries

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)


def person(number):
    return PersonKey(bytes([number]) * 32, bytes([number]) * 16, f"u:{number}")


def ring(*people):
    return {each.id: each.key for each in people}


@given(
    st.binary(max_size=200),
    NAMES,
    st.binary(min_size=16, max_size=16),
    st.sampled_from([(1, 1), (1, 2), (2, 1)]),
)
def test_a_sealed_part_opens_with_its_keys_in_its_place_and_no_other_way(private, tenant, entry, both):
    actor, subject = map(person, both)
    sealed = seal(private, tenant, entry, actor, subject)
    assert unseal(sealed, tenant, entry, ring(actor, subject)) == private
    assert unseal(sealed, tenant, entry, ring(person(3))) is None
    for each in {actor.id, subject.id}:
        without = {id_: key for id_, key in ring(actor, subject).items() if id_ != each}
        assert unseal(sealed, tenant, entry, without) is None, "one of two keys is enough"
        with pytest.raises(UnreadableError):
            unseal(sealed, tenant, entry, {**ring(actor, subject), each: b"?" * 32})
    for wrong in ((f"{tenant}x", entry), (tenant, entry[::-1] + b"x")):
        with pytest.raises(UnreadableError):
            unseal(sealed, *wrong, ring(actor, subject))
    with pytest.raises(UnreadableError):
        unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]), tenant, entry, ring(actor, subject))


def test_the_same_thing_sealed_twice_looks_different():
    once, again = (seal(b"x" * 64, "t", b"i" * 16, person(1), person(1)) for _ in range(2))
    assert once[32:] != again[32:]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(
    NAMES, st.none() | NAMES, st.dictionaries(NAMES, JSON, max_size=4), st.binary(min_size=32, max_size=32)
)
def test_a_private_part_is_canonical_and_binds_all_it_says(user, reason, payload, salt):
    data = encode_private(salt=salt, user=user, reason=reason, ip=None, user_agent=None, payload=payload)
    assert encode(decode_canonical(data)) == data
    read = Private.parse(data)
    assert (read.user, read.reason, read.payload, read.salt) == (user, reason, payload, salt)
    assert commitment(data, salt) == sha256(salt + data).digest()
    other = encode_private(
        salt=salt, user=user + "x", reason=reason, ip=None, user_agent=None, payload=payload
    )
    assert commitment(other, salt) != commitment(data, salt)


@given(st.integers(0, 253_402_300_799_999))
def test_timestamps_go_both_ways(at_ms):
    text = timestamp(at_ms)
    assert len(text) == 24
    assert milliseconds_of(text) == at_ms


@given(NAMES, NAMES, NAMES, st.sampled_from(Result), st.sampled_from(PayloadClass))
def test_the_fast_way_to_a_leaf_gives_the_canonical_form(tenant, workspace, domain, result, payload_class):
    from sluicegate.audit.sealer import _canonical

    content = leaf_content(
        id=b"\x01" * 16,
        at_ms=1,
        tenant=tenant,
        user="u:x",
        workspace=workspace,
        action="a.b",
        domain=domain,
        result=result,
        payload_class=payload_class,
        commitment=b"c" * 32,
        sealed=None,
        shown=None,
    )
    assert _canonical(content) == encode(json.loads(json.dumps(content)))


async def test_a_leaf_says_what_the_design_says_and_nothing_personal():
    disk = Disk()
    log = make_log(disk)
    event = done("key.created", payload={"key": "k"}, reason="a reason", ip="192.0.2.7", user_agent="agent")
    await log.consumer.handle([event])
    blob = await MemoryBlobs(disk).read("tile/entries/000.p/1")
    (data,) = unpack_entries(Bundle(0, 1), blob.content)
    content = decode_canonical(data)
    assert set(content) == {
        "v",
        "id",
        "timestamp",
        "tenant",
        "userId",
        "workspaceId",
        "action",
        "domain",
        "result",
        "payload",
        "signature",
    }
    assert set(content["payload"]) == {"class", "commitment", "sealed"}
    assert content["id"] == entry_id("acme", "/test", "key.created:0").hex()
    for text in (b"alice", b"a reason", b"192.0.2.7", b"agent"):
        assert text not in data
    (name,) = await MemoryBlobs(disk).list("sealed/")
    ((index, sealed),) = decode_pack(name, (await MemoryBlobs(disk).read(name)).content)
    assert index == 0
    assert b64decode(content["payload"]["sealed"]) == sha256(sealed).digest()
    assert verify_signature(data, ENTRY_KEY.public_key)


@pytest.mark.parametrize("field", ["id", "timestamp", "userId", "action", "result", "tenant"])
async def test_a_leaf_that_was_changed_is_not_signed(field):
    disk = Disk()
    await make_log(disk).consumer.handle([usage(1)])
    blob = await MemoryBlobs(disk).read("tile/entries/000.p/1")
    (data,) = unpack_entries(Bundle(0, 1), blob.content)
    content = decode_canonical(data)
    content[field] += "0"
    assert not verify_signature(encode(content), ENTRY_KEY.public_key)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'{"v":1}', b"\xff"])
def test_what_is_no_leaf_is_refused(data):
    with pytest.raises(MalformedError):
        Leaf.parse(data)


@given(st.sets(st.integers(0, 2**40), min_size=1, max_size=20), st.binary(max_size=50))
def test_packs_go_both_ways(indexes, sealed):
    parts = [(index, sealed + bytes([index % 251])) for index in sorted(indexes)]
    pack = PackRow("acme", "2026-01-01", parts[0][0], len(parts))
    content = encode_pack(parts)
    assert list(decode_pack(pack_name(pack), content)) == parts
    assert parse_pack_name(pack_name(pack)) == pack
    for broken in (content[:-1], content + b"\0", content[len(content) // 2 :]):
        with pytest.raises(CorruptLogError):
            list(decode_pack(pack_name(pack), broken))


@pytest.mark.parametrize(
    "name",
    [
        "sealed/a/2026-01-01/0-0",
        "sealed/a/2026-01-01/01-1",
        "sealed/a/b/2026-01-01/0-1",
        "sealed/a/1/0-1",
        "state",
    ],
)
def test_what_is_no_pack_s_name_is_refused(name):
    with pytest.raises(MalformedError):
        parse_pack_name(name)


# --- keys


async def test_keys_are_made_once_and_are_the_same_for_all_who_ask():
    disk = Disk()
    one, two = (Keyring(MemoryKeys(disk), Root()) for _ in range(2))
    first, _ = await one.people("acme", ["alice", "bob"], create=True)
    second, _ = await two.people("acme", ["alice", "carol"], create=True)
    assert first["alice"] == second["alice"]
    assert len({first["alice"].key.key, first["bob"].key.key, second["carol"].key.key}) == 3
    other, _ = await one.people("zeta", ["alice"], create=True)
    assert other["alice"].key != first["alice"].key
    ids = [first["alice"].key.id, other["alice"].key.id]
    assert await one.keys("acme", ids) == {first["alice"].key.id: first["alice"].key.key}


async def test_no_store_of_keys_has_a_name_or_a_key():
    disk = Disk()
    people, _ = await Keyring(MemoryKeys(disk), Root()).people("acme", ["alice"], create=True)
    kept = repr((disk.tenants, disk.people))
    assert "alice" not in kept
    for record in disk.people.values():
        assert people["alice"].key.key not in record.wrapped
        assert record.id == derive(people["alice"].key.key, b"id")[:16]


async def test_asking_makes_nothing():
    disk = Disk()
    keyring = Keyring(MemoryKeys(disk), Root())
    assert await keyring.people("acme", ["alice"]) == ({}, None)
    assert await keyring.keys("acme", [b"i" * 16]) == {}
    assert not await keyring.destroy_person("acme", "alice", 1)
    assert (disk.tenants, disk.people) == ({}, {})


async def test_a_destroyed_key_is_gone_for_who_remembers_it_too():
    disk = Disk()
    one, two = (Keyring(MemoryKeys(disk), Root()) for _ in range(2))
    before, _ = await one.people("acme", ["alice"], create=True)
    assert await two.destroy_person("acme", "alice", 5)
    after, _ = await one.people("acme", ["alice"])
    assert (after["alice"].key, after["alice"].erased_ms) == (None, 5)
    assert await one.keys("acme", [before["alice"].key.id]) == {}
    again, _ = await one.people("acme", ["alice"], create=True)
    assert again["alice"].key.key != before["alice"].key.key
    assert again["alice"].key.pseudonym != before["alice"].key.pseudonym
    assert again["alice"].erased_ms == 5


async def test_a_key_that_was_moved_to_another_person_or_tenant_does_not_unwrap():
    disk = Disk()
    keyring = Keyring(MemoryKeys(disk), Root())
    await keyring.people("acme", ["alice", "bob"], create=True)
    first, second = disk.people
    disk.people[first] = type(disk.people[first])(disk.people[second].wrapped, None, b"x", first[1])
    with pytest.raises(UnreadableError):
        await Keyring(MemoryKeys(disk), Root()).people("acme", ["alice", "bob"])


# --- classes


@pytest.mark.parametrize(
    ("action", "asked", "expected"),
    [
        ("model.access", None, "internal"),
        ("model.access", "public", "internal"),
        ("model.access", "sensitive", "sensitive"),
        ("guardrail.blocked", "public", "sensitive"),
        ("audit.expired", None, "public"),
        ("audit.expired", "sensitive", "sensitive"),
        ("anything.else", None, "internal"),
    ],
)
def test_policy_s_class_counts_unless_a_stricter_one_is_asked_for(action, asked, expected):
    assert POLICY.payload_class(action, asked and PayloadClass(asked)) == expected


def test_without_a_rule_a_payload_is_sensitive():
    assert POLICY.model_copy(update={"classes": ()}).payload_class("a", None) is PayloadClass.SENSITIVE


async def test_only_actions_that_policy_names_have_their_payload_in_the_leaf():
    disk = Disk()
    log = make_log(disk)
    payload = {"kind": "x"}
    events = [done(action, payload=payload, payload_class="public") for action in ("a.b", "audit.erased")]
    await log.consumer.handle(events)
    records = (await log.queries.entries("acme")).records
    assert {record.entry.action: record.entry.payload for record in records} == {
        "a.b": None,
        "audit.erased": payload,
    }
