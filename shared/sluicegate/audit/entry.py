"""Entries: what one line of the log says, and the leaf that stands for it in the tree for ever.

A leaf is the canonical JSON (RFC 8785) of the entry in which all that is personal is replaced by
commitments: what the leaf says survives erasure, and what was erased cannot be got from it. The rest, the
private part, is sealed and kept beside the tree.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import orjson

from sluicegate.audit.actions import PayloadClass, Result
from sluicegate.audit.errors import MalformedError
from sluicegate.audit.keys import ed25519_verifies

LEAF_VERSION = 1

_LEAF_FIELDS = frozenset({
    "v", "id", "timestamp", "tenant", "userId", "workspaceId", "action", "domain", "result", "payload",
    "signature",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it is shown: exactly these fields.

    Attributes:
        id: 32 hexadecimal digits.
        timestamp: RFC 3339, UTC, milliseconds.
        userId: who did it; the pseudonym (`u:…`) where the private part is sealed, erased or expired.
        payload: what was done; None where it cannot be shown.
        signature: by the entry-signing key over the leaf without it, base64.
    """

    id: str
    timestamp: str
    userId: str  # noqa: N815 - the documented names of the fields
    workspaceId: str  # noqa: N815
    action: str
    domain: str
    payload: Mapping[str, Any] | None
    result: str
    reason: str | None
    ipAddress: str | None  # noqa: N815
    userAgent: str | None  # noqa: N815
    signature: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf, read.

    Attributes:
        id: the entry's id, 16 bytes.
        at_ms: milliseconds since the Unix epoch.
        user: the pseudonym of who did it.
        commitment: SHA-256 that binds the private part; see `sealing.commitment`.
        sealed: SHA-256 of the sealed private part; None where nothing was kept.
        shown: the payload, where its class and action have it in the leaf.
        signature: 64 bytes.
    """

    id: bytes
    at_ms: int
    tenant: str
    user: str
    workspace: str
    action: str
    domain: str
    result: str
    payload_class: str
    commitment: bytes
    sealed: bytes | None
    shown: Mapping[str, Any] | None
    signature: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a leaf that this program wrote.

        Raises:
            MalformedError: not a leaf. That it is in canonical form is not checked; see `signed_part`.
        """
        try:
            content = orjson.loads(data)
            payload = content["payload"]
            if content.keys() != _LEAF_FIELDS or content["v"] != LEAF_VERSION:
                raise MalformedError("Not a leaf of a version that this program knows.")
            sealed = payload["sealed"]
            return cls(
                id=bytes.fromhex(content["id"]),
                at_ms=milliseconds_of(content["timestamp"]),
                tenant=content["tenant"],
                user=content["userId"],
                workspace=content["workspaceId"],
                action=content["action"],
                domain=content["domain"],
                result=content["result"],
                payload_class=payload["class"],
                commitment=b64decode(payload["commitment"], validate=True),
                sealed=None if sealed is None else b64decode(sealed, validate=True),
                shown=payload.get("public"),
                signature=b64decode(content["signature"], validate=True),
            )
        except (
            orjson.JSONDecodeError,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            Base64Error,
        ) as error:
            raise MalformedError("Not a leaf of this log.") from error

    @property
    def day(self) -> str:
        """The day that it belongs to, UTC."""
        return day_of(self.at_ms)


def leaf_content(
    *, id: bytes, at_ms: int, tenant: str, user: str, workspace: str, action: str, domain: str,  # noqa: A002 - the field's name
    result: Result, payload_class: PayloadClass, commitment: bytes, sealed: bytes | None,
    shown: Mapping[str, Any] | None,
) -> dict[str, Any]:  # fmt: skip
    """A leaf as a JSON object, not yet signed. `user` is a pseudonym."""
    payload: dict[str, Any] = {
        "class": payload_class,
        "commitment": b64encode(commitment).decode(),
        "sealed": None if sealed is None else b64encode(sealed).decode(),
    }
    if shown is not None:
        payload["public"] = shown
    return {
        "v": LEAF_VERSION,
        "id": id.hex(),
        "timestamp": timestamp(at_ms),
        "tenant": tenant,
        "userId": user,
        "workspaceId": workspace,
        "action": action,
        "domain": domain,
        "result": result,
        "payload": payload,
    }


def verify_signature(leaf: bytes, public_key: bytes) -> bool:
    """Whether a leaf carries the right signature by the entry-signing key, and is canonical.

    The signature is Ed25519 over the canonical JSON of the leaf without `signature`.
    """
    from sluicegate.audit.canonical_json import decode_canonical, encode  # noqa: PLC0415 - verifying only

    content = decode_canonical(leaf)
    try:
        signature = b64decode(content.pop("signature"), validate=True)
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return ed25519_verifies(public_key, encode(content), signature)


def timestamp(at_ms: int) -> str:
    """RFC 3339 with milliseconds, in UTC: `2026-11-20T21:55:00.123Z`."""
    seconds, rest = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def milliseconds_of(text: str) -> int:
    """The reverse of `timestamp`.

    Raises:
        ValueError: any other form.
    """
    if len(text) != 24 or text[19] != "." or text[23] != "Z":
        raise ValueError("not a timestamp of the log")
    moment = datetime.fromisoformat(f"{text[:19]}+00:00")
    return int(moment.timestamp()) * 1000 + int(text[20:23])


def day_of(at_ms: int) -> str:
    """The UTC day of a moment: `2026-11-20`."""
    return timestamp(at_ms)[:10]
