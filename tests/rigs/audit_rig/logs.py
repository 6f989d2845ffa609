"""Logs to try things on, events for them, and what must hold of every log."""

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit_rig.memory import Disk, MemoryBlobs, MemoryIndex, MemoryKeys, nothing
from sluicegate.audit.actions import entry_id
from sluicegate.audit.batches import index_rows
from sluicegate.audit.checkpoint import verify_checkpoint
from sluicegate.audit.entry import Leaf, verify_signature
from sluicegate.audit.integration import integrate, tiles_needed
from sluicegate.audit.keys import Ed25519Signer, Ed25519Verifier
from sluicegate.audit.log_reader import list_packs, read_leaves
from sluicegate.audit.merkle import leaf_hash, root
from sluicegate.audit.packs import decode_pack, pack_name
from sluicegate.audit.policy import AuditPolicy
from sluicegate.audit.publishing import CheckpointPublisher
from sluicegate.audit.service import AuditLog, AuditParts
from sluicegate.audit.state import LogState
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.events import USAGE_RECORDED, Event
from sluicegate.kernel.governed import governed_action
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.privacy.masking import PayloadFilter

ORIGIN = "sluicegate.test/log"
LOG_KEY = Ed25519Signer(b"L" * 32)
ENTRY_KEY = Ed25519Signer(b"E" * 32)
POLICY = PolicySet().load("audit", AuditPolicy)
START = 1_767_225_600.0


class Root:
    """A root key in memory."""

    def __init__(self):
        self._cipher = AESGCM(b"R" * 32)

    async def wrap(self, key, context):
        return self._cipher.encrypt(b"n" * 12, key, context)

    async def unwrap(self, wrapped, context):
        return self._cipher.decrypt(b"n" * 12, wrapped, context)


class Told:
    """Keeps what is published."""

    def __init__(self):
        self.events = []

    async def publish(self, events):
        self.events += events


class EveryPlan:
    def __init__(self, **plans):
        self.plans = plans

    async def plan(self, tenant):
        return self.plans.get(tenant)


def make_log(disk=None, step=nothing, **changes):
    disk = disk or Disk()
    parts = {
        "blobs": MemoryBlobs(disk, step),
        "index": MemoryIndex(disk, step),
        "keys": MemoryKeys(disk),
        "root": Root(),
        "entry_signer": ENTRY_KEY,
        "log_signer": LOG_KEY,
        "origin": ORIGIN,
        "mask": PayloadFilter(POLICY.identifiers),
        "events": Told(),
        "plans": EveryPlan(),
        "policy": POLICY,
        "clock": FixedClock(START + 86_400),
        **changes,
    }
    return AuditLog(AuditParts(**parts))


def usage(number, tenant="acme", user="alice", at=START, **data):
    return Event(
        id=f"req_{number}",
        source="/functions/gateway",
        type=USAGE_RECORDED,
        time=at + number / 1000,
        tenant=tenant,
        subject=f"req_{number}",
        data={
            "request_id": f"req_{number}",
            "workspace": "team",
            "user": user,
            "key": "key_1",
            "model": "small",
            "provider": "scripted",
            "requested_model": "auto",
            "input_tokens": 10,
            "output_tokens": 5,
            "cost_nano": 1_000 + number,
            "estimated": False,
            "outcome": "success",
            **data,
        },
    )


def done(action, number=0, tenant="acme", user="alice", at=START, **more):
    return governed_action(
        tenant, action, source="/test", at=at, user=user, event_id=f"{action}:{number}", **more
    )


def id_of(event):
    return entry_id(event.tenant, event.source, event.id)


async def leaves_of(blobs):
    state = LogState.decode((await blobs.read("state")).content)
    found = []
    async for first, leaves in read_leaves(blobs, 0, state.size):
        assert first == len(found)
        found += leaves
    return state, found


async def check(disk, events, blobs=None, rows=None):
    """What must hold of a log that has exactly these events, in any order."""
    blobs = blobs or MemoryBlobs(disk)
    state, leaves = await leaves_of(blobs)
    assert state.pending is None
    assert len(leaves) == state.size
    ids = [Leaf.parse(leaf).id for leaf in leaves]
    assert len(set(ids)) == len(ids), "an entry is there twice"
    assert set(ids) == {id_of(event) for event in events}
    assert all(verify_signature(leaf, ENTRY_KEY.public_key) for leaf in leaves[-3:])
    await check_tree(blobs, state, leaves)
    await check_checkpoints(blobs, leaves, state.size, () if disk is None else disk.published)
    await check_packs(blobs, leaves)
    assert await blobs.list("staging/") == []
    if disk is not None:
        rows = [disk.rows[place] for place in sorted(disk.rows)]
        assert disk.packs == set(await list_packs(blobs))
    if rows is not None:
        assert rows == index_rows(0, leaves)
    return leaves


async def check_tree(blobs, state, leaves):
    hashes = [leaf_hash(leaf) for leaf in leaves]
    assert state.root == root(hashes)
    whole = integrate({}, 0, hashes)
    for tile, content in whole.tiles.items():
        blob = await blobs.read(tile.path)
        assert blob is not None, tile.path
        assert blob.content == content, tile.path
    assert set(whole.right_edge) == set(tiles_needed(state.size))


async def check_checkpoints(blobs, leaves, size, published):
    key = Ed25519Verifier(ORIGIN, LOG_KEY.public_key)
    hashes = [leaf_hash(leaf) for leaf in leaves]
    kept = {}
    for name in await blobs.list("checkpoints/"):
        checkpoint = verify_checkpoint((await blobs.read(name)).content, key).checkpoint
        kept[checkpoint.size] = checkpoint.root
        assert name == f"checkpoints/{checkpoint.size}"
    latest = verify_checkpoint((await blobs.read("checkpoint")).content, key).checkpoint
    assert latest.size == size
    sizes = []
    for note in published:
        checkpoint = verify_checkpoint(note, key).checkpoint
        sizes.append(checkpoint.size)
        assert kept[checkpoint.size] == checkpoint.root, "a published checkpoint is not kept"
    assert sizes == sorted(sizes), "an older checkpoint was published over a newer one"
    # Of one tree: every checkpoint is consistent with every later one.
    for each, found in kept.items():
        assert found == root(hashes[:each])
        assert each <= size


async def check_packs(blobs, leaves):
    sealed = {}
    for pack in await list_packs(blobs):
        name = pack_name(pack)
        sealed.update(decode_pack(name, (await blobs.read(name)).content))
    assert set(sealed) == {index for index, leaf in enumerate(leaves) if Leaf.parse(leaf).sealed is not None}


def publisher(disk, witnesses=()):
    return CheckpointPublisher(MemoryBlobs(disk), ORIGIN, LOG_KEY, witnesses)
