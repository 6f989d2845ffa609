"""The log over HTTP, as verifiers and other tenants meet it."""

from base64 import b64decode

import pytest
from verification_rig.files import KEY, KEYS

from sluicegate.audit.checkpoint import parse_checkpoint, verify_checkpoint
from sluicegate.audit.cosignature import CosignatureVerifier, cosign
from sluicegate.audit.keys import Ed25519Signer
from sluicegate.audit.merkle import leaf_hash, root
from sluicegate.audit.note import format_note, parse_note
from sluicegate.audit.proof import verify_consistency, verify_inclusion
from sluicegate.audit.tiles import Tile, tile_at
from sluicegate.audit.verify.trusted_keys import verify_keys

WITNESS = Ed25519Signer(b"W" * 32)
WITNESS_NAME = "witness.example.com/w1"


async def test_anybody_reads_checkpoint_keys_and_hashes(api):
    note = (await api.get("/audit/checkpoint")).content
    checkpoint = verify_checkpoint(note, KEY).checkpoint
    assert checkpoint.size == 292
    assert (await api.get("/audit/checkpoints/292")).content == note
    assert (await api.get("/audit/key")).text == f"{KEY.key}\n"
    assert verify_keys((await api.get("/audit/keys")).content, KEY) == KEYS
    for tile in (Tile(0, 0), tile_at(0, 1, 292), tile_at(1, 0, 292)):
        answer = await api.get(f"/audit/{tile.path}")
        assert answer.content == api.log.files[tile.path]
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (await api.get("/audit/checkpoint")).headers["cache-control"] == "no-cache"
    assert api.told() == []


@pytest.mark.parametrize(
    "path",
    [
        "0/999",
        "0/1",
        "00/000",
        "0/000.p/256",
        "0/000.p/300",
        "entries",
        "0/%2e%2e/%2e%2e/keys",
        "64/000",
        "0/%30%30%30/",
    ],
)
async def test_what_is_no_tile_is_not_found(api, path):
    assert (await api.get(f"/audit/tile/{path}")).status_code == 404


async def test_bundles_are_for_the_platforms_own_people(api):
    path = "/audit/tile/entries/000"
    assert (await api.get(path)).status_code == 401
    absent = await api.get("/audit/tile/0/999", await api.key("acme"))
    for tenant, role in (
        ("acme", "auditor"),
        ("acme", "log_verifier"),
        ("platform", "auditor"),
        ("zeta", "system_admin"),
    ):
        refused = await api.get(path, await api.key(tenant, role))
        assert refused.status_code == absent.status_code == 404
        assert refused.json()["code"] == absent.json()["code"] == "not_found"
    key = await api.key("platform", "log_verifier")
    answer = await api.get(path, key)
    assert answer.content == api.log.files["tile/entries/000"]
    assert "no-store" in answer.headers["cache-control"]
    assert api.told()[-1][0] == "audit.read"


async def test_consistency_is_proven_between_published_sizes(api):
    roots = {}
    for name, content in api.log.files.items():
        if name.startswith("checkpoints/"):
            checkpoint = parse_checkpoint(parse_note(content).text)
            roots[checkpoint.size] = checkpoint.root
    first, second = 0, 292
    assert first in roots
    answer = await api.json("/audit/proofs/consistency", **{"from": 0})
    assert (answer["from"], answer["to"], answer["proof"]) == (0, second, [])
    answer = await api.json("/audit/proofs/consistency", **{"from": 100, "to": 292})
    leaves = [leaf_hash(record.leaf) for record in await _all(api)]
    proof = [b64decode(each) for each in answer["proof"]]
    verify_consistency(100, 292, proof, root(leaves[:100]), roots[292])
    for bad in (
        {"from": 293},
        {"from": 5, "to": 4},
        {"from": -1},
        {"to": "x"},
        {"from": "007"},
        {"until": 3},
    ):
        assert (await api.get("/audit/proofs/consistency", **bad)).status_code == 400, bad


async def test_inclusion_is_proven_with_all_that_verifying_takes(api):
    key = await api.key("acme")
    [entry] = (await api.json("/audit/entries", key, action="key.created"))["entries"]
    for asked in ({"entry": entry["id"]}, {"index": entry["index"]}):
        answer = await api.json("/audit/proofs/inclusion", key, **asked)
        checkpoint = verify_checkpoint(answer["checkpoint"].encode(), KEY).checkpoint
        leaf = leaf_hash(answer["leaf"].encode())
        assert b64decode(answer["leafHash"]) == leaf
        proof = [b64decode(each) for each in answer["proof"]]
        verify_inclusion(leaf, answer["index"], checkpoint.size, proof, checkpoint.root)
    earlier = await api.json("/audit/proofs/inclusion", key, entry=entry["id"], size=291)
    assert (earlier["size"], earlier["checkpoint"]) == (291, None)
    for bad in (
        {},
        {"entry": entry["id"], "index": 1},
        {"index": "-1"},
        {"entry": entry["id"], "size": 9_999},
    ):
        assert (await api.get("/audit/proofs/inclusion", key, **bad)).status_code == 400, bad


async def test_cosignatures_of_known_witnesses_are_kept(open_api):
    verifier = CosignatureVerifier(WITNESS_NAME, WITNESS.public_key)
    async with open_api(witnesses=(verifier,)) as api:
        note = parse_note((await api.get("/audit/checkpoint")).content)
        line = await cosign(parse_checkpoint(note.text), WITNESS_NAME, WITNESS, 1_767_225_600)
        sent = format_note(note.text, [*note.signatures, line])
        answer = await api.ask("POST", "/audit/checkpoint", content=sent)
        assert (answer.status_code, answer.json()) == (200, {"added": 1})
        assert (await api.get("/audit/checkpoint")).content == sent
        stranger = await cosign(parse_checkpoint(note.text), WITNESS_NAME, Ed25519Signer(b"S" * 32), 5)
        for wrong in (b"", b"x" * 70_000, format_note(note.text, [*note.signatures, stranger])):
            refused = await api.ask("POST", "/audit/checkpoint", content=wrong)
            assert refused.status_code in {400, 413}
        assert (await api.get("/audit/checkpoint")).content == sent


async def _all(api):
    found = []
    for tenant in ("acme", "zeta"):
        page = await api.log.log.queries.entries(tenant, limit=1_000)
        found += page.records
    return sorted(found, key=lambda record: record.index)
