"""Checkpoints: the examples of C2SP tlog-checkpoint and golang.org/x/mod/sumdb/tlog, strictly read."""

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.audit.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint, verify_checkpoint
from sluicegate.audit.cosignature import CosignatureVerifier, cosign
from sluicegate.audit.errors import MalformedError, UnverifiedError
from sluicegate.audit.keys import Ed25519Signer, Ed25519Verifier
from sluicegate.audit.merkle import EMPTY_ROOT, leaf_hash
from sluicegate.audit.note import format_note, parse_note, sign_text, verify_note

ORIGIN = "example.com/audit"
LOG_SIGNER, WITNESS_SIGNER = Ed25519Signer(bytes(range(32))), Ed25519Signer(bytes(range(1, 33)))
LOG = Ed25519Verifier(ORIGIN, LOG_SIGNER.public_key)
WITNESS = CosignatureVerifier("witness.example.com/w1", WITNESS_SIGNER.public_key)
CHECKPOINT = Checkpoint(ORIGIN, 1, leaf_hash(b"first"))

# golang.org/x/mod/sumdb/tlog, note_test.go
GO_TEXT = "go.sum database tree\n123456789012\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n"
# C2SP tlog-checkpoint, introduction
SOFA_TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def test_the_checkpoint_of_a_go_checksum_database():
    checkpoint = Checkpoint("go.sum database tree", 123456789012, leaf_hash(b"hello world"))
    assert checkpoint.text == GO_TEXT
    assert parse_checkpoint(GO_TEXT) == checkpoint


def test_the_example_of_the_specification():
    checkpoint = parse_checkpoint(SOFA_TEXT)
    root = b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    assert checkpoint == Checkpoint("example.com/behind-the-sofa", 20852163, root)
    line = (
        "— example.com/behind-the-sofa "
        "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    )
    note = parse_note(f"{checkpoint.text}\n{line}".encode())
    assert note.text == SOFA_TEXT
    assert note.signatures[0].name == checkpoint.origin


@given(
    st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1),
    st.integers(1, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1), max_size=3),
)
def test_checkpoints_survive_their_text(origin, size, root, extensions):
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    assert parse_checkpoint(checkpoint.text) == checkpoint


HASH = "TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0="


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n\n",
        GO_TEXT[:-1],
        GO_TEXT + "extension without newline",
        GO_TEXT + "\n",
        GO_TEXT + "one\n\ntwo\n",
        "\n" + GO_TEXT,
        f"\n12\n{HASH}\n",
        "origin\n12\n",
        *(
            f"origin\n{size}\n{HASH}\n"
            for size in (
                "",
                "00",
                "012",
                "-1",
                "+1",
                "1.0",
                "0x12",
                "1 ",
                " 1",
                "1_0",
                "\u0661",
                str(2**63),
                "1" * 5000,
            )
        ),
        f"origin\n0\n{HASH}\n",
        f"origin\n12\n{HASH[:-4]}\n",
        f"origin\n12\n{HASH[:-1]}\n",
        f"origin\n12\n{HASH} \n",
        f"origin\n12\n{HASH.replace('0=', '1=')}\n",
        "origin\n12\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBTOOBIG=\n",
        "origin\n12\nYmFuYW5hcw==\n",
    ],
    ids=repr,
)
def test_malformed_checkpoints_are_refused(text):
    with pytest.raises(MalformedError):
        parse_checkpoint(text)


def test_what_cannot_be_read_cannot_be_made():
    for values in (
        ("", 1, bytes(32)),
        ("a\nb", 1, bytes(32)),
        ("a", -1, bytes(32)),
        ("a", 2**63, bytes(32)),
        ("a", 1, bytes(31)),
        ("a", 0, bytes(32)),
        ("a", 1, bytes(32), ("",)),
        ("a", 1, bytes(32), ("b\n",)),
    ):
        with pytest.raises(MalformedError):
            Checkpoint(*values)
    assert Checkpoint("a", 0, EMPTY_ROOT).text == "a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"


async def test_a_log_signs_its_checkpoint_and_no_other():
    data = await sign_checkpoint(CHECKPOINT, LOG_SIGNER)
    assert verify_checkpoint(data, LOG).checkpoint == CHECKPOINT
    with pytest.raises(UnverifiedError, match="another log"):
        verify_checkpoint(data, LOG, origin="example.com/other")
    with pytest.raises(UnverifiedError):
        verify_checkpoint(data, Ed25519Verifier(ORIGIN, WITNESS_SIGNER.public_key))
    with pytest.raises(MalformedError):
        await sign_checkpoint(Checkpoint("an origin with spaces", 0, EMPTY_ROOT), LOG_SIGNER)
    named = await sign_checkpoint(Checkpoint("an origin with spaces", 0, EMPTY_ROOT), LOG_SIGNER, name=ORIGIN)
    assert verify_checkpoint(named, LOG, origin="an origin with spaces").checkpoint.size == 0


async def test_a_signed_note_that_is_no_checkpoint_is_refused():
    text = "We owe you nothing.\n"
    data = format_note(text, [await sign_text(text, ORIGIN, LOG_SIGNER)])
    assert verify_note(data, [LOG]).text == text
    with pytest.raises(MalformedError):
        verify_checkpoint(data, LOG)


async def test_a_witness_alone_does_not_make_a_checkpoint():
    by_log = parse_note(await sign_checkpoint(CHECKPOINT, LOG_SIGNER)).signatures[0]
    by_witness = await cosign(CHECKPOINT, WITNESS.name, WITNESS_SIGNER, 1_767_225_600)
    both = format_note(CHECKPOINT.text, [by_log, by_witness])
    assert verify_checkpoint(both, LOG, others=[WITNESS]).note.verified == (by_log, by_witness)
    assert verify_checkpoint(both, LOG).note.unknown == (by_witness,)
    alone = format_note(CHECKPOINT.text, [by_witness])
    with pytest.raises(UnverifiedError, match="log's own"):
        verify_checkpoint(alone, LOG, others=[WITNESS])
    grown = Checkpoint(ORIGIN, 2, leaf_hash(b"second"))
    stale = format_note(grown.text, [await sign_text(grown.text, ORIGIN, LOG_SIGNER), by_witness])
    with pytest.raises(UnverifiedError, match=r"witness\.example\.com"):
        verify_checkpoint(stale, LOG, others=[WITNESS])


@given(st.data())
async def test_changing_any_byte_of_a_signed_checkpoint_is_noticed(data):
    original = await sign_checkpoint(CHECKPOINT, LOG_SIGNER)
    at = data.draw(st.integers(0, len(original) - 1))
    changed = bytearray(original)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((MalformedError, UnverifiedError)):
        verify_checkpoint(bytes(changed), LOG)
