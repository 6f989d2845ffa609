"""docs/audit-format.md: its worked example, recomputed."""

import re
from pathlib import Path

from sluicegate.audit.canonical_json import decode_canonical
from sluicegate.audit.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from sluicegate.audit.cosignature import CosignatureVerifier, cosign, timestamp
from sluicegate.audit.integration import integrate
from sluicegate.audit.keys import Ed25519Signer, Ed25519Verifier
from sluicegate.audit.merkle import leaf_hash
from sluicegate.audit.note import format_note, parse_note
from sluicegate.audit.proof import verify_consistency, verify_inclusion
from sluicegate.audit.tiles import Tile, append_entries

PAGE = (Path(__file__).parents[3] / "docs/audit-format.md").read_text(encoding="utf-8")
ENTRIES, LEAVES, ROOT, KEYS, NOTE = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)


async def test_the_worked_example_is_true():
    entries = [line.encode() for line in ENTRIES.splitlines()]
    assert [len(entry) for entry in entries] == [63, 56]
    assert all(isinstance(decode_canonical(entry), dict) for entry in entries)

    leaves = [leaf_hash(entry) for entry in entries]
    assert [leaf.hex() for leaf in leaves] == LEAVES.split()
    grown = integrate({}, 0, leaves)
    assert grown.tiles == {Tile(0, 0, 2): b"".join(leaves)}
    assert grown.root.hex() == ROOT.strip()

    ((bundle, content),) = append_entries(b"", 0, entries).items()
    assert f"`{bundle.path}` has {len(content)} bytes" in PAGE
    assert content == b"\x00\x3f" + entries[0] + b"\x00\x38" + entries[1]

    log_signer, witness_signer = Ed25519Signer(bytes(range(32))), Ed25519Signer(bytes(range(1, 33)))
    log = Ed25519Verifier("audit.example.com/log", log_signer.public_key)
    witness = CosignatureVerifier("witness.example.com/w1", witness_signer.public_key)
    assert [log.key, witness.key] == KEYS.split()

    checkpoint = Checkpoint(log.name, 2, grown.root)
    signed = parse_note(await sign_checkpoint(checkpoint, log_signer))
    cosignature = await cosign(checkpoint, witness.name, witness_signer, 1_767_225_600)
    assert format_note(signed.text, [*signed.signatures, cosignature]).decode() == NOTE
    opened = verify_checkpoint(NOTE.encode(), log, others=[witness])
    assert len(opened.note.verified) == 2
    assert timestamp(opened.note.verified[1].value).to_bytes(8, "big").hex() == "000000006955b900"

    verify_inclusion(leaves[0], 0, 2, [leaves[1]], grown.root)
    verify_consistency(1, 2, [leaves[1]], leaves[0], grown.root)


def test_the_tiles_it_names_for_70_000_entries_are_those():
    tiles = integrate({}, 0, [bytes(32)] * 70_000).tiles
    named = [
        "tile/0/000",
        "tile/0/272",
        "tile/0/273.p/112",
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]
    assert all(f"`{path}`" in PAGE for path in named)
    assert {tile.path for tile in tiles} == {*named, *(f"tile/0/{index:03d}" for index in range(273))}
