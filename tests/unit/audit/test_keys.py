"""Keys of signed notes: those of golang.org/x/mod/sumdb/note, and what it must not take for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.audit.cosignature import CosignatureVerifier
from sluicegate.audit.errors import MalformedError
from sluicegate.audit.keys import (
    ED25519,
    Ed25519Signer,
    Ed25519Verifier,
    check_name,
    decode_base64,
    format_verifier_key,
)

# golang.org/x/mod/sumdb/note, note_test.go and example_test.go; sumdb/client_test.go
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
SUMDB = "localhost.localdev/sumdb+00000c67+AcTrnkbUA+TU4heY3hkjiSES/DSQniBqIeQ/YppAUtK6"
# github.com/transparency-dev/formats, note/note_cosigv1_test.go
WITNESS = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"


@pytest.mark.parametrize("text", [PETER, ENOCH, SUMDB])
def test_public_keys_keep_their_form(text):
    verifier = Ed25519Verifier.from_key(text)
    assert verifier.key == text
    assert (verifier.name, f"{verifier.key_id:08x}") == tuple(text.split("+")[:2])


def test_a_witness_key_keeps_its_form_and_is_no_log_key():
    assert CosignatureVerifier.from_key(WITNESS).key == WITNESS
    with pytest.raises(MalformedError):
        Ed25519Verifier.from_key(WITNESS)
    with pytest.raises(MalformedError):
        CosignatureVerifier.from_key(PETER)


def test_a_private_key_keeps_its_form_and_its_public_half():
    name, signer = Ed25519Signer.from_key(PETER_PRIVATE)
    assert signer.key(name) == PETER_PRIVATE
    assert Ed25519Verifier(name, signer.public_key).key == PETER


def test_manglings_of_a_public_key_are_refused():
    for start in range(len(PETER)):
        for end in range(start, len(PETER) + 1):
            if (start, end) != (0, len(PETER)):
                refuse(Ed25519Verifier.from_key, PETER[start:end])
    for bad in changed_by_one(PETER):
        refuse(Ed25519Verifier.from_key, bad)
    # note_test.go: a key of another length and an unknown algorithm, each with its right id
    refuse(
        Ed25519Verifier.from_key, "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY=="
    )
    refuse(Ed25519Verifier.from_key, "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    refuse(Ed25519Verifier.from_key, PETER.replace("c74f20a3", "C74F20A3"))
    for size in (0, 31, 33):
        refuse(Ed25519Verifier.from_key, format_verifier_key("PeterNeumann", ED25519, bytes(size)))


def test_manglings_of_a_private_key_are_refused_and_not_repeated():
    for start in range(len(PETER_PRIVATE)):
        for end in (start + 1, start + 40, len(PETER_PRIVATE) - 1):
            refuse(Ed25519Signer.from_key, PETER_PRIVATE[start:end])
    for bad in changed_by_one(PETER_PRIVATE):
        error = refuse(Ed25519Signer.from_key, bad)
        assert PETER_PRIVATE[-44:-4] not in f"{error!r} {error.__cause__!r}"


def changed_by_one(text):
    for at, character in enumerate(text):
        yield text[:at] + chr(ord(character) + 1) + text[at + 1 :]


def refuse(parse, text):
    with pytest.raises(MalformedError) as caught:
        parse(text)
    return caught.value


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\u00a0b", "a\u2003b", "a\u3000b", "a\u2028b", "a\u0085b", "a\nb", "a\x01b"]
)
def test_names_have_no_spaces_and_no_plus(name):
    refuse(check_name, name)
    refuse(Ed25519Verifier.from_key, PETER.replace("PeterNeumann", name))
    with pytest.raises(MalformedError):
        _ = Ed25519Verifier(name, bytes(32)).key


@pytest.mark.parametrize(
    "text", ["QQ", "QQ=", "QR==", "QQ==\n", " QQ==", "Q-==", "QQ==QQ==", "QUI=QUI=", "Ä==="]
)
def test_base64_has_one_spelling(text):
    refuse(decode_base64, text)


@given(st.binary(min_size=32, max_size=32), st.from_regex(r"[a-z.]{1,20}/[a-z0-9]{1,8}", fullmatch=True))
def test_keys_survive_their_text_forms(seed, name):
    signer = Ed25519Signer(seed)
    again, other = Ed25519Signer.from_key(signer.key(name))
    assert (again, other.public_key) == (name, signer.public_key)
    verifier = Ed25519Verifier(name, signer.public_key)
    assert Ed25519Verifier.from_key(verifier.key) == verifier


async def test_a_signature_is_for_its_message_and_its_key():
    name, signer = Ed25519Signer.from_key(PETER_PRIVATE)
    verifier = Ed25519Verifier(name, signer.public_key)
    value = await signer.sign(b"hi")
    assert verifier.verify(b"hi", value)
    assert not verifier.verify(b"ho", value)
    assert not verifier.verify(b"hi", value[:-1])
    assert not verifier.verify(b"hi", b"")
    assert not verifier.verify(b"hi", bytes([value[0] ^ 1]) + value[1:])
    assert not Ed25519Verifier.from_key(ENOCH).verify(b"hi", value)


def test_a_seed_has_32_bytes():
    for size in (0, 31, 33, 64):
        with pytest.raises(MalformedError):
            Ed25519Signer(bytes(size))
