"""API keys: their text, and what is kept of them.

A key reads `sk-slg-<prefix>-<secret>-<checksum>`: an 8-character public prefix that finds it, 43 base-62
characters (256 bits) of secret, and a CRC-32 in 6 base-62 characters, so that a typing error is told from
a wrong key without a look-up and secret scanners know a real key from a placeholder.

Only the SHA-256 of the whole text is kept. A slow, salted hash protects guessable passwords; 256
random bits cannot be guessed at any speed, and a slow hash would only slow the gateway down.
"""

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass, field

from sluicegate.identity.principal import Plan

KEY_START = b"sk-slg-"
PREFIX_LENGTH = 8
SECRET_LENGTH = 43  # 62^43 > 2^256
CHECKSUM_LENGTH = 6  # 62^6 > 2^32

_PREFIX_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE = re.compile(
    rb"sk-slg-([0-9a-z]{%d})-[0-9A-Za-z]{%d}-([0-9A-Za-z]{%d})"
    % (PREFIX_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH)
)


@dataclass(frozen=True, slots=True)
class KeySecret:
    """One secret of a key. `digest` is the SHA-256 of the key's whole text.

    `expires_at` is set when a rotation replaced it: it works until then. Times are epoch seconds.
    """

    prefix: str
    digest: bytes = field(repr=False)
    created_at: float
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored. Its id stays when it is rotated, so budgets and reports go on.

    `permissions` narrows what the roles grant; None grants all of it. `models` holds catalogue ids
    or shell patterns, empty for all. `secrets` has the newest last. `revision` counts changes, so that
    of two changes at once one is refused. Times are epoch seconds.
    """

    id: str
    tenant: str
    workspace: str
    user: str
    name: str
    roles: tuple[str, ...]
    secrets: tuple[KeySecret, ...]
    created_at: float
    permissions: tuple[str, ...] | None = None
    models: tuple[str, ...] = ()
    plan: Plan = "free"
    timezone: str = "UTC"
    expires_at: float | None = None
    revoked_at: float | None = None
    revoked_reason: str | None = None
    revision: int = 1

    def secret(self, prefix: str) -> KeySecret | None:
        """The secret that `prefix` finds."""
        return next((secret for secret in self.secrets if secret.prefix == prefix), None)

    @property
    def current(self) -> KeySecret:
        """The newest secret."""
        return self.secrets[-1]


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """A key's text, taken apart: the prefix, and the digest to compare."""

    prefix: str
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A new key's text, to be shown once, and what is kept of it."""

    text: str = field(repr=False)
    prefix: str
    digest: bytes = field(repr=False)


def mint_key() -> MintedKey:
    """A new random key."""
    prefix = "".join(secrets.choice(_PREFIX_ALPHABET) for _ in range(PREFIX_LENGTH))
    secret = "".join(secrets.choice(_BASE62) for _ in range(SECRET_LENGTH))
    body = KEY_START + f"{prefix}-{secret}".encode()
    text = body + b"-" + _checksum(body)
    return MintedKey(text=text.decode(), prefix=prefix, digest=hashlib.sha256(text).digest())


def parse_key(token: bytes) -> ParsedKey | None:
    """The parts of `token`, or None where it cannot be a key: another shape, or a wrong checksum."""
    match = _SHAPE.fullmatch(token)
    if match is None or _checksum(token[: -CHECKSUM_LENGTH - 1]) != match[2]:
        return None
    return ParsedKey(prefix=match[1].decode(), digest=hashlib.sha256(token).digest())


def _checksum(body: bytes) -> bytes:
    number = zlib.crc32(body)
    digits = []
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits)).encode()
