"""Sealing: an entry's private part, bound to its leaf by a commitment, encrypted under keys that can be lost.

Private part: the canonical JSON of salt, userId, reason, ipAddress, userAgent and payload. Its key is derived
from the keys of everybody it is about, so that erasing any of them makes it unreadable.
"""

from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from os import urandom
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sluicegate.audit.canonical_json import encode
from sluicegate.audit.errors import UnreadableError
from sluicegate.audit.keyring import ID_SIZE, NONCE_SIZE, PersonKey, derive

SALT_SIZE = 32


@dataclass(frozen=True, slots=True)
class Private:
    """A private part, opened."""

    user: str
    reason: str | None
    ip: str | None
    user_agent: str | None
    payload: Mapping[str, Any]
    salt: bytes
    encoded: bytes

    @classmethod
    def parse(cls, data: bytes) -> "Private":
        """Read what `encode_private` wrote.

        Raises:
            UnreadableError: it is something else.
        """
        try:
            content = orjson.loads(data)
            return cls(
                user=content["userId"],
                reason=content["reason"],
                ip=content["ipAddress"],
                user_agent=content["userAgent"],
                payload=content["payload"],
                salt=b64decode(content["salt"], validate=True),
                encoded=data,
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise UnreadableError("The sealed part opens, but is not a private part.") from error


def encode_private(
    *,
    salt: bytes,
    user: str,
    reason: str | None,
    ip: str | None,
    user_agent: str | None,
    payload: Mapping[str, Any],
) -> bytes:
    """The private part's bytes.

    Raises:
        EncodingError: the payload is not JSON with exact numbers.
    """
    content = {
        "ipAddress": ip,
        "payload": payload,
        "reason": reason,
        "salt": b64encode(salt).decode(),
        "userAgent": user_agent,
        "userId": user,
    }
    return encode(content)


def commitment(private: bytes, salt: bytes) -> bytes:
    """SHA-256(salt || private part): binds the leaf to it, and tells nothing of it to who lacks the salt."""
    return sha256(salt + private).digest()


def seal(private: bytes, tenant: str, entry: bytes, actor: PersonKey, subject: PersonKey) -> bytes:
    """A sealed part: the ids of both keys, a nonce, and the AES-256-GCM ciphertext of the private part.

    Tenant and entry id are authenticated with it, so that it cannot stand for another entry.
    """
    nonce = urandom(NONCE_SIZE)
    cipher = AESGCM(_joint(actor.key, subject.key))
    return actor.id + subject.id + nonce + cipher.encrypt(nonce, private, _context(tenant, entry))


def key_ids(sealed: bytes) -> tuple[bytes, bytes]:
    """The ids of the keys that a sealed part was sealed with."""
    return sealed[:ID_SIZE], sealed[ID_SIZE : 2 * ID_SIZE]


def unseal(sealed: bytes, tenant: str, entry: bytes, keys: Mapping[bytes, bytes]) -> bytes | None:
    """The private part; None where a key that it needs is not among `keys`.

    Raises:
        UnreadableError: the bytes, their place or the keys are not those of sealing.
    """
    actor, subject = (keys.get(each) for each in key_ids(sealed))
    if actor is None or subject is None:
        return None
    start = 2 * ID_SIZE + NONCE_SIZE
    try:
        cipher = AESGCM(_joint(actor, subject))
        return cipher.decrypt(sealed[2 * ID_SIZE : start], sealed[start:], _context(tenant, entry))
    except (InvalidTag, ValueError) as error:
        raise UnreadableError("A sealed part does not open with its keys.") from error


def one_off_pseudonym() -> str:
    """A pseudonym that belongs to nobody: of somebody who was erased before the entry came."""
    return f"u:{urlsafe_b64encode(urandom(17))[:22].decode()}"


def _joint(actor: bytes, subject: bytes) -> bytes:
    """One key that cannot be had without both."""
    return actor if actor == subject else derive(subject, b"joint", actor)


def _context(tenant: str, entry: bytes) -> bytes:
    return tenant.encode() + b"\0" + entry
