"""Cosignatures: made here, made by github.com/transparency-dev/formats, and of what they hold for."""

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.audit.checkpoint import Checkpoint, parse_checkpoint
from sluicegate.audit.cosignature import MAX_TIMESTAMP, CosignatureVerifier, cosign, timestamp
from sluicegate.audit.errors import MalformedError, SigningError, UnverifiedError
from sluicegate.audit.keys import Ed25519Signer, Ed25519Verifier
from sluicegate.audit.merkle import leaf_hash
from sluicegate.audit.note import Signature, format_note, sign_text, verify_note

SIGNER = Ed25519Signer(bytes(range(1, 33)))
NAME = "witness.example.com/w1"
WITNESS = CosignatureVerifier(NAME, SIGNER.public_key)
CHECKPOINT = Checkpoint("example.com/audit", 7, leaf_hash(b"seven"))
NOW = 1_767_225_600

# Written by github.com/transparency-dev/formats v0.1.1 (note.NewSignerForCosignatureV1) with the key above
# and golang.org/x/mod/sumdb/note v0.42.0 with the seed of 0 to 31.
GO_NOTE = (
    "audit.example.com/log\n"
    "66123\n"
    "40X5QG6XHmWZzq5DdzJ+SVjohsFTxGjp7NhnROdDXB0=\n"
    "\n"
    "— audit.example.com/log 46QQspQSBzh+bHfdrm6WMoFotMvcuoKUn3nmSDk6CLToxMDq17bOI2Qwvz6Dd+R/qmVh+JNvrhm1"
    "47qQH7pHC2+Oywo=\n"
    "— witness.example.com/w1 hWHHHgAAAABrAMP297K3yq+qGkTuq/PWjStSpc4F+vDb4h38R/77D1kqusSVZgTXMi9YxqS8GPh"
    "+/vLKyMir772HkveaEUNmE4w4Bw==\n"
).encode()


def test_a_note_written_in_go_is_verified():
    log = Ed25519Verifier("audit.example.com/log", Ed25519Signer(bytes(range(32))).public_key)
    opened = verify_note(GO_NOTE, [log, WITNESS])
    assert [item.name for item in opened.verified] == [log.name, NAME]
    assert timestamp(opened.verified[1].value) == 1_795_212_278
    assert parse_checkpoint(opened.text).size == 66_123


async def test_the_key_that_go_computes_makes_what_go_verifies():
    # The same line was verified by github.com/transparency-dev/formats v0.1.1.
    text = GO_NOTE.decode().split("\n\n")[0] + "\n"
    signature = await cosign(parse_checkpoint(text), NAME, SIGNER, NOW)
    assert signature.line == (
        "— witness.example.com/w1 hWHHHgAAAABpVbkAqH4xcY4RD0y6P3sNaXPl5lZKq23T8XyLaXJqkKgZOXevMdF7"
        "1wi29oK+HaD2GwxnkZpNj1iLX+KXNz65xRTlCQ==\n"
    )


def test_when_a_cosignature_was_made():
    # github.com/transparency-dev/formats, note/note_cosigv1_test.go
    line = (
        "— w ZGhGuQAAAABm/qTPeyKXD+R2rzyQsxPiP8mXum7qq/iF0u4vanlqJyoc"
        "WODBt97w9uL+8qT7S5gxEHWWOworDcFiEBYJXORmnFBOBA=="
    )
    assert timestamp(Signature.parse(line).value) == 1_727_964_367
    # C2SP tlog-cosignature, introduction and "Ed25519 signed message"
    line = (
        "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1n"
        "PZqhf5nNo0xUe+mbIUBkBIfZ+qnA=="
    )
    assert timestamp(Signature.parse(line).value) == 1_679_315_147


async def test_a_cosignature_holds_for_its_checkpoint_and_its_time():
    signature = await cosign(CHECKPOINT, NAME, SIGNER, NOW)
    text = CHECKPOINT.text.encode()
    assert timestamp(signature.value) == NOW
    assert WITNESS.verify(text, signature.value)
    for at in range(len(signature.value)):
        changed = bytearray(signature.value)
        changed[at] ^= 1
        assert not WITNESS.verify(text, bytes(changed))
    assert not WITNESS.verify(text, signature.value[:-1])
    assert not WITNESS.verify(text, signature.value + b"\x00")
    assert not WITNESS.verify(text, signature.value[8:])
    other = Checkpoint(CHECKPOINT.origin, 8, CHECKPOINT.root)
    assert not WITNESS.verify(other.text.encode(), signature.value)


async def test_extension_lines_are_signed_too():
    extended = Checkpoint(CHECKPOINT.origin, 7, CHECKPOINT.root, ("one more line",))
    signature = await cosign(extended, NAME, SIGNER, NOW)
    assert WITNESS.verify(extended.text.encode(), signature.value)
    assert not WITNESS.verify(CHECKPOINT.text.encode(), signature.value)


async def test_a_cosignature_is_no_log_signature_nor_the_other_way_round():
    signature = await cosign(CHECKPOINT, NAME, SIGNER, NOW)
    log = Ed25519Verifier(NAME, SIGNER.public_key)
    assert log.key_id != WITNESS.key_id
    assert not log.verify(CHECKPOINT.text.encode(), signature.value)
    own = await sign_text(CHECKPOINT.text, NAME, SIGNER)
    assert not WITNESS.verify(CHECKPOINT.text.encode(), bytes(8) + own.value)
    with pytest.raises(UnverifiedError):
        verify_note(format_note(CHECKPOINT.text, [signature]), [log])


async def test_only_checkpoints_are_cosigned():
    text = "not a checkpoint\n"
    message = f"cosignature/v1\ntime {NOW}\n{text}".encode()
    value = NOW.to_bytes(8, "big") + await SIGNER.sign(message)
    assert not WITNESS.verify(text.encode(), value)


@given(st.sampled_from([0, 1, MAX_TIMESTAMP]) | st.integers(0, MAX_TIMESTAMP))
async def test_any_time_of_its_range_can_be_signed(at):
    signature = await cosign(CHECKPOINT, NAME, SIGNER, at)
    assert timestamp(signature.value) == at
    assert WITNESS.verify(CHECKPOINT.text.encode(), signature.value)


async def test_what_cannot_be_a_cosignature_is_not_made():
    for at in (-1, MAX_TIMESTAMP + 1):
        with pytest.raises(MalformedError):
            await cosign(CHECKPOINT, NAME, SIGNER, at)
    with pytest.raises(MalformedError):
        await cosign(CHECKPOINT, "a name", SIGNER, NOW)
    too_late = b64decode("gAAAAAAAAAA=") + bytes(64)
    assert not WITNESS.verify(CHECKPOINT.text.encode(), too_late)

    class Rotated:
        public_key = bytes(32)

        async def sign(self, message):
            return await SIGNER.sign(message)

    with pytest.raises(SigningError):
        await cosign(CHECKPOINT, NAME, Rotated(), NOW)
