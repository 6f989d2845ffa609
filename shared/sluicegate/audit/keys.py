"""Keys of signed notes: names, ids, text forms, and who signs and verifies with them (C2SP signed-note)."""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sluicegate.audit.errors import MalformedError

ED25519 = 0x01
"""The signature type of a log's own signatures (signed-note, "Signature types")."""

KEY_SIZE = 32
SIGNATURE_SIZE = 64

_PRIVATE = "PRIVATE+KEY+"


class Signer(Protocol):
    """Holds an Ed25519 key, perhaps far away (Cloud KMS)."""

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public key (RFC 8032)."""
        ...

    async def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the Ed25519 signature of `message`, which is not hashed before (PureEdDSA)."""
        ...


class Verifier(Protocol):
    """A key that is trusted for one name and one type of signature."""

    @property
    def name(self) -> str:
        """The key's name, as signature lines give it."""
        ...

    @property
    def key_id(self) -> int:
        """The key's id, 32 bits."""
        ...

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature`, as a line carries it after the key id, is right for the note's text."""
        ...


def check_name(name: str) -> str:
    """`name`, if a key may have it: not empty, no spaces, no plus, no control characters.

    Source: signed-note, "Format".

    Raises:
        MalformedError: it may not.
    """
    if not name or "+" in name or any(character.isspace() or character < " " for character in name):
        raise MalformedError("A key's name is not empty and has neither spaces nor '+'.")
    return name


def key_id(name: str, algorithm: int, public_key: bytes) -> int:
    """The first four bytes of SHA-256(name || newline || algorithm || public key), big-endian.

    Source: signed-note, "Signatures".
    """
    digest = sha256(name.encode() + b"\n" + bytes([algorithm]) + public_key).digest()
    return int.from_bytes(digest[:4], "big")


def format_verifier_key(name: str, algorithm: int, public_key: bytes) -> str:
    """The public key as `<name>+<key id in hexadecimal>+<base64 of algorithm and key>`.

    Source: signed-note, "Verifier keys"; golang.org/x/mod/sumdb/note.
    """
    encoded = b64encode(bytes([algorithm]) + public_key).decode()
    return f"{check_name(name)}+{key_id(name, algorithm, public_key):08x}+{encoded}"


def parse_verifier_key(text: str, algorithm: int) -> tuple[str, bytes]:
    """The name and the 32 bytes of a public key written by `format_verifier_key`.

    Raises:
        MalformedError: another form, another algorithm, or an id that is not this key's.
    """
    name, written_id, content = _split(text)
    public_key = content[1:]
    if content[:1] != bytes([algorithm]) or len(public_key) != KEY_SIZE:
        raise MalformedError(f"Not a public key of signature type {algorithm}.")
    if written_id != f"{key_id(name, algorithm, public_key):08x}":
        raise MalformedError("The key's id is not the one of its name and content.")
    return name, public_key


def ed25519_verifies(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is the Ed25519 signature of `message` by this key (RFC 8032, section 5.1.7)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def decode_base64(text: str) -> bytes:
    """Standard base64 (RFC 4648, section 4) in its one spelling: padded, no spare bits, nothing else.

    Raises:
        MalformedError: any other spelling.
    """
    try:
        content = b64decode(text, validate=True)
    except (Base64Error, ValueError) as error:
        raise MalformedError("Not standard base64.") from error
    if b64encode(content).decode() != text:
        raise MalformedError("Not standard base64: bits are left over.")
    return content


@dataclass(frozen=True, slots=True)
class Ed25519Verifier:
    """Verifies a log's signatures: Ed25519 over the note's text (signed-note, "Ed25519 signatures")."""

    name: str
    public_key: bytes

    @classmethod
    def from_key(cls, text: str) -> Self:
        """From `<name>+<id>+<key>`. Raises MalformedError."""
        return cls(*parse_verifier_key(text, ED25519))

    @property
    def key_id(self) -> int:
        """The key's id, 32 bits."""
        return key_id(self.name, ED25519, self.public_key)

    @property
    def key(self) -> str:
        """The text form to publish."""
        return format_verifier_key(self.name, ED25519, self.public_key)

    def verify(self, text: bytes, signature: bytes) -> bool:
        return ed25519_verifies(self.public_key, text, signature)


class Ed25519Signer:
    """A signer whose key is in this process.

    Args:
        seed: the 32 bytes of an RFC 8032 private key; secret.
    """

    def __init__(self, seed: bytes) -> None:
        if len(seed) != KEY_SIZE:
            raise MalformedError("A private key has 32 bytes.")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @classmethod
    def from_key(cls, text: str) -> tuple[str, Self]:
        """The name and the signer of a `PRIVATE+KEY+<name>+<id>+<key>` (golang.org/x/mod/sumdb/note).

        Raises:
            MalformedError: any other form, or an id that is not this key's. It never repeats the key.
        """
        if not text.startswith(_PRIVATE):
            raise MalformedError(f"A private key starts with {_PRIVATE}")
        name, written_id, content = _split(text.removeprefix(_PRIVATE))
        if content[:1] != bytes([ED25519]):
            raise MalformedError("Not an Ed25519 private key.")
        signer = cls(content[1:])
        if written_id != f"{key_id(name, ED25519, signer.public_key):08x}":
            raise MalformedError("The key's id is not the one of its name and content.")
        return name, signer

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public key."""
        return self._key.public_key().public_bytes_raw()

    def key(self, name: str) -> str:
        """The private key's text form, to be kept in a file; secret."""
        content = b64encode(bytes([ED25519]) + self._key.private_bytes_raw()).decode()
        return f"{_PRIVATE}{check_name(name)}+{key_id(name, ED25519, self.public_key):08x}+{content}"

    async def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


def _split(text: str) -> tuple[str, str, bytes]:
    parts = text.split("+", 2)
    if len(parts) != 3 or not re.fullmatch("[0-9a-f]{8}", parts[1]):
        raise MalformedError("A key is written as <name>+<id>+<key>.")
    return check_name(parts[0]), parts[1], decode_base64(parts[2])
