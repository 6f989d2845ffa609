"""Signed notes: a text and the signatures below it (C2SP signed-note)."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from sluicegate.audit.errors import MalformedError, SigningError, UnverifiedError
from sluicegate.audit.keys import (
    ED25519,
    Signer,
    Verifier,
    check_name,
    decode_base64,
    ed25519_verifies,
    key_id,
)

MAX_NOTE_SIZE = 1_000_000
"""Bytes. This and the next are what golang.org/x/mod/sumdb/note accepts."""

MAX_SIGNATURES = 100

_DASH = "— "  # em dash and space


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line.

    Attributes:
        name: the key's name.
        key_id: the key's id, 32 bits.
        value: what the key made of the text; its form depends on the signature type.
    """

    name: str
    key_id: int
    value: bytes

    @classmethod
    def parse(cls, line: str) -> Self:
        """From a line without its newline. Raises MalformedError."""
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not space:
            raise MalformedError("A signature line is an em dash, the key's name and base64.")
        content = decode_base64(encoded)
        if len(content) < 5:
            raise MalformedError("A signature has a key id of four bytes and content.")
        return cls(check_name(name), int.from_bytes(content[:4], "big"), content[4:])

    @property
    def line(self) -> str:
        """The signature line, with its newline."""
        return f"{_DASH}{self.name} {b64encode(self.key_id.to_bytes(4, 'big') + self.value).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it was read; nothing about it is verified.

    Attributes:
        text: with its final newline.
        signatures: in their order.
    """

    text: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class VerifiedNote:
    """A note with at least one signature of a known key, and no wrong one.

    Attributes:
        text: with its final newline.
        verified: signatures of known keys, in their order; a repeated line counts once.
        unknown: signatures of other keys; they say nothing.
    """

    text: str
    verified: tuple[Signature, ...]
    unknown: tuple[Signature, ...]


def parse_note(data: bytes) -> Note:
    """Take a note apart (signed-note, "Format").

    Raises:
        MalformedError: not UTF-8, a control character, no blank line before the signatures, no signature, a
            line that is none, more than `MAX_SIGNATURES`, more than `MAX_NOTE_SIZE` bytes.
    """
    if len(data) > MAX_NOTE_SIZE:
        raise MalformedError(f"A note has at most {MAX_NOTE_SIZE} bytes.")
    try:
        content = data.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("A note is UTF-8.") from error
    text, blank, lines = content.rpartition("\n\n")
    _check_text(content)
    if not blank or not lines.endswith("\n"):
        raise MalformedError("A note is a text, a blank line and lines with signatures.")
    signatures = lines.split("\n")[:-1]
    if len(signatures) > MAX_SIGNATURES:
        raise MalformedError(f"A note has at most {MAX_SIGNATURES} signatures.")
    return Note(f"{text}\n", tuple(map(Signature.parse, signatures)))


def format_note(text: str, signatures: Sequence[Signature]) -> bytes:
    """A note in its one form; what `parse_note` reads.

    Raises:
        MalformedError: `parse_note` would not read the same back from it.
    """
    data = (f"{text}\n" + "".join(signature.line for signature in signatures)).encode()
    if parse_note(data) != Note(text, tuple(signatures)):
        raise MalformedError("The text or a signature cannot be part of a note.")
    return data


def verify_note(data: bytes, verifiers: Iterable[Verifier]) -> VerifiedNote:
    """Take a note apart and verify it with the keys that are known (signed-note, "Signatures").

    Raises:
        MalformedError: as `parse_note`; or two different verifiers have the same name and id.
        UnverifiedError: a known key's signature is wrong, or there is none of a known key.
    """
    known: dict[tuple[str, int], Verifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) != verifier:
            raise MalformedError(f"Two keys are known as {verifier.name}+{verifier.key_id:08x}.")
    note = parse_note(data)
    text = note.text.encode()
    verified: dict[Signature, None] = {}
    unknown: dict[Signature, None] = {}
    for signature in note.signatures:
        trusted = known.get((signature.name, signature.key_id))
        if trusted is None:
            unknown[signature] = None
        elif trusted.verify(text, signature.value):
            verified[signature] = None
        else:
            key = f"{signature.name}+{signature.key_id:08x}"
            raise UnverifiedError(f"The signature by {key} is wrong.", details={"key": key})
    if not verified:
        raise UnverifiedError("No known key has signed this note.")
    return VerifiedNote(note.text, tuple(verified), tuple(unknown))


async def sign_text(text: str, name: str, signer: Signer) -> Signature:
    """Sign a note's text with a log's own key (signed-note, "Ed25519 signatures").

    Args:
        text: with its final newline.
        name: the key's name; a log's is its origin.
        signer: verified here, so that a wrong key never gets into a published note.

    Raises:
        MalformedError: the text or the name cannot be part of a note.
        SigningError: the signer did not sign with the key it says it has.
    """
    _check_text(text)
    if not text.endswith("\n"):
        raise MalformedError("A note's text ends with a newline.")
    check_name(name)
    message, public_key = text.encode(), signer.public_key
    value = await signer.sign(message)
    if not ed25519_verifies(public_key, message, value):
        raise SigningError("The signer's answer is not a signature by its key.", details={"key": name})
    return Signature(name, key_id(name, ED25519, public_key), value)


def _check_text(text: str) -> None:
    if any(character < " " and character != "\n" for character in text):
        raise MalformedError("A note has no control characters but newline.")
