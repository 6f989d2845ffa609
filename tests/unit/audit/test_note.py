"""Signed notes: the examples of C2SP signed-note and the cases of golang.org/x/mod/sumdb/note."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.audit.errors import MalformedError, SigningError, UnverifiedError
from sluicegate.audit.keys import Ed25519Signer, Ed25519Verifier
from sluicegate.audit.note import (
    MAX_NOTE_SIZE,
    MAX_SIGNATURES,
    Note,
    Signature,
    format_note,
    parse_note,
    sign_text,
    verify_note,
)

# golang.org/x/mod/sumdb/note, note_test.go and example_test.go
PETER = Ed25519Verifier.from_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
ENOCH = Ed25519Verifier.from_key("EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop")
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotp"
    "RZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLo"
    "x33WWd1RvMc+QQ=\n"
)
NAME, SIGNER = Ed25519Signer.from_key(
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
)


def note(*lines, text=TEXT):
    return (text + "\n" + "".join(lines)).encode()


async def test_signing_gives_the_known_note():
    signature = await sign_text(TEXT, NAME, SIGNER)
    assert signature.line == PETER_LINE
    assert format_note(TEXT, [signature]) == note(PETER_LINE)


async def test_a_further_signature_goes_below():
    # example_test.go, ExampleSign_add_signatures: EnochRoot's key is the seed of zeroes
    opened = verify_note(note(PETER_LINE), [PETER])
    enoch = await sign_text(opened.text, "EnochRoot", Ed25519Signer(bytes(32)))
    assert format_note(opened.text, [*opened.verified, enoch]) == note(PETER_LINE, ENOCH_LINE)


def test_signatures_of_unknown_keys_are_ignored_and_kept():
    opened = verify_note(note(PETER_LINE, ENOCH_LINE), [PETER])
    assert opened.text == TEXT
    assert opened.verified == (Signature.parse(PETER_LINE[:-1]),)
    assert opened.unknown == (Signature.parse(ENOCH_LINE[:-1]),)
    both = verify_note(note(PETER_LINE, ENOCH_LINE), [ENOCH, PETER])
    assert [item.name for item in both.verified] == ["PeterNeumann", "EnochRoot"]
    assert both.unknown == ()


def test_a_key_is_known_by_name_and_id_together():
    renamed = PETER_LINE.replace("PeterNeumann", "CarmenSandiego")
    other_id = PETER_LINE.replace("x08g", "xxxx")
    for line in (renamed, other_id):
        assert len(verify_note(note(line, ENOCH_LINE), [PETER, ENOCH]).unknown) == 1
        with pytest.raises(UnverifiedError, match="No known key"):
            verify_note(note(line), [PETER])


def test_a_note_without_a_known_signature_is_refused():
    for verifiers in ([], [ENOCH]):
        with pytest.raises(UnverifiedError, match="No known key"):
            verify_note(note(PETER_LINE), verifiers)


def test_one_wrong_signature_of_a_known_key_refuses_the_note():
    wrong = PETER_LINE[:60] + "ABCD" + PETER_LINE[60:]
    for lines in ((wrong,), (ENOCH_LINE, wrong), (PETER_LINE, wrong), (wrong, PETER_LINE)):
        with pytest.raises(UnverifiedError, match=r"PeterNeumann\+c74f20a3") as caught:
            verify_note(note(*lines), [PETER, ENOCH])
        assert caught.value.details == {"key": "PeterNeumann+c74f20a3"}


def test_repeated_lines_count_once():
    twisted = ENOCH_LINE[:60] + "ABCD" + ENOCH_LINE[60:]
    opened = verify_note(note(PETER_LINE, PETER_LINE, ENOCH_LINE, ENOCH_LINE, twisted), [PETER])
    assert len(opened.verified) == 1
    assert opened.unknown == (Signature.parse(ENOCH_LINE[:-1]), Signature.parse(twisted[:-1]))


def test_two_keys_under_one_name_and_id_are_refused():
    class Impostor(Ed25519Verifier):
        key_id = PETER.key_id

    impostor = Impostor("PeterNeumann", ENOCH.public_key)
    with pytest.raises(MalformedError, match=r"PeterNeumann\+c74f20a3"):
        verify_note(note(PETER_LINE), [PETER, impostor])
    assert verify_note(note(PETER_LINE), [PETER, PETER]).verified


def test_there_are_limits():
    assert len(parse_note(note(*[PETER_LINE] * MAX_SIGNATURES)).signatures) == MAX_SIGNATURES >= 16
    with pytest.raises(MalformedError, match="signatures"):
        parse_note(note(*[PETER_LINE] * (MAX_SIGNATURES + 1)))
    with pytest.raises(MalformedError, match="bytes"):
        parse_note(note(PETER_LINE, text="x" * MAX_NOTE_SIZE + "\n"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\n\n",
        TEXT.encode(),
        PETER_LINE.encode(),
        (PETER_LINE + ENOCH_LINE).encode(),
        note(),
        note(PETER_LINE[:-1]),
        note(PETER_LINE.rstrip("=\n") + "\n"),
        b"\x01" + note(PETER_LINE),
        note(PETER_LINE, text=TEXT.replace("\n", "\r\n")),
        note(PETER_LINE, text=TEXT.replace(" ", "\t")),
        b"\xff" + note(PETER_LINE),
        note(PETER_LINE).replace(b"\n\n", b"\n"),
        note(PETER_LINE.replace("PeterNeumann", "Peter Neumann")),
        note(PETER_LINE.replace("PeterNeumann", "Peter+Neumann")),
        note(PETER_LINE.replace("PeterNeumann", "Peter\u00a0Neumann")),
        note(PETER_LINE.replace("PeterNeumann", "")),
        note(PETER_LINE.replace("— ", "- ")),
        note(PETER_LINE.replace("— ", "—")),
        note(PETER_LINE.replace("— ", " — ")),
        note(PETER_LINE.replace("x08go", "x08g-")),
        note("— PeterNeumann \n"),
        note("— PeterNeumann\n"),
        note("— PeterNeumann x08gow==\n"),
        note(PETER_LINE, "Unexpected line.\n"),
        note("Unexpected line.\n", PETER_LINE),
        note(PETER_LINE, "\n"),
    ],
    ids=repr,
)
def test_malformed_notes_are_refused(data):
    with pytest.raises(MalformedError):
        verify_note(data, [PETER])


def test_the_text_may_have_empty_lines():
    text = "one\n\n\ntwo\n\n"
    signature = Signature.parse(PETER_LINE[:-1])
    assert parse_note(format_note(text, [signature])) == Note(text, (signature,))


def test_the_example_of_the_specification():
    # C2SP signed-note, introduction
    text = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n"
    line = (
        "— quasimodo.example/salvatore "
        "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
    )
    parsed = parse_note(note(line, text=text))
    assert parsed.text == text
    assert (parsed.signatures[0].name, parsed.signatures[0].key_id) == (
        "quasimodo.example/salvatore",
        0x367BA04B,
    )
    assert len(parsed.signatures[0].value) == 64
    assert parsed.signatures[0].line == line


@pytest.mark.parametrize(
    ("text", "signatures"),
    [
        ("no newline", [Signature("a", 1, b"x")]),
        ("a control \x00 character\n", [Signature("a", 1, b"x")]),
        ("no signature\n", []),
        ("a bad name\n", [Signature("a b", 1, b"x")]),
        ("a line in a name\n", [Signature("a AAAAAAAA\n— b", 1, b"x")]),
        ("no content\n", [Signature("a", 1, b"")]),
    ],
)
def test_what_would_not_be_read_back_is_not_written(text, signatures):
    with pytest.raises(MalformedError):
        format_note(text, signatures)


async def test_what_cannot_be_a_note_is_not_signed():
    for text, name in (("abc", NAME), ("a\tb\n", NAME), (TEXT, "bad name"), (TEXT, "")):
        with pytest.raises(MalformedError):
            await sign_text(text, name, SIGNER)


async def test_a_signer_that_signs_with_another_key_is_found_out():
    class Rotated:
        public_key = ENOCH.public_key

        async def sign(self, message):
            return await SIGNER.sign(message)

    with pytest.raises(SigningError):
        await sign_text(TEXT, "EnochRoot", Rotated())


@given(st.data())
def test_changing_any_byte_of_a_note_is_noticed(data):
    original = note(PETER_LINE)
    at = data.draw(st.integers(0, len(original) - 1))
    changed = bytearray(original)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((MalformedError, UnverifiedError)):
        verify_note(bytes(changed), [PETER])


printable = st.characters(min_codepoint=32, exclude_categories=["Cs"])


@given(
    st.text(printable | st.just("\n")),
    st.lists(
        st.tuples(st.integers(0, 2**32 - 1), st.binary(min_size=1, max_size=80)), min_size=1, max_size=5
    ),
)
def test_notes_survive_their_form(text, parts):
    signatures = tuple(Signature("example.com/log", key, value) for key, value in parts)
    assert parse_note(format_note(text + "\n", signatures)) == Note(text + "\n", signatures)
