"""One leaf, held to its form to the byte, and its signature."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sluicegate.audit.actions import PayloadClass, Result
from sluicegate.audit.canonical_json import decode_canonical, encode
from sluicegate.audit.entry import LEAF_VERSION, milliseconds_of
from sluicegate.audit.errors import EncodingError, MalformedError
from sluicegate.audit.keys import Ed25519Verifier, decode_base64

_TEXTS = ("id", "timestamp", "tenant", "userId", "workspaceId", "action", "domain", "result", "signature")
_FIELDS = frozenset({"v", "payload", *_TEXTS})
_PAYLOAD = frozenset({"class", "commitment", "sealed"})
_RESULTS = frozenset(each.value for each in Result)
_CLASSES = frozenset(each.value for each in PayloadClass)
_ID = re.compile("[0-9a-f]{32}")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_DIGEST_SIZE = 32


class FaultyLeafError(Exception):
    """The leaf is not one, or its signature does not hold. The message says why."""


@dataclass(slots=True)
class CheckedLeaf:
    """A leaf whose form and signature hold.

    Attributes:
        content: the JSON object, without `signature`.
        sealed: SHA-256 of the sealed part; None where nothing was kept.
        signature: base64.
    """

    content: dict[str, Any]
    sealed: bytes | None
    signature: str

    @property
    def id(self) -> bytes:
        """The entry's id, 16 bytes."""
        return bytes.fromhex(self.content["id"])

    @property
    def tenant(self) -> str:
        return str(self.content["tenant"])

    @property
    def action(self) -> str:
        return str(self.content["action"])

    @property
    def day(self) -> str:
        """The UTC day that the entry belongs to."""
        return str(self.content["timestamp"])[:10]

    @property
    def commitment(self) -> bytes:
        """SHA-256 that binds the private part."""
        return decode_base64(self.content["payload"]["commitment"])

    @property
    def shown(self) -> Any:
        """The payload where it is in the leaf, in clear; else None."""
        return self.content["payload"].get("public")


class LeafCheck:
    """Checks leaves against the keys that sign entries, the one used last first."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = [Ed25519PublicKey.from_public_bytes(key) for key in keys]

    @classmethod
    def of(cls, verifiers: Sequence[Ed25519Verifier]) -> "LeafCheck":
        """With these keys."""
        return cls([each.public_key for each in verifiers])

    def check(self, leaf: bytes) -> CheckedLeaf:
        """The leaf, if all of it holds.

        Raises:
            FaultyLeafError: something does not.
        """
        content = _content(leaf)
        try:
            signature = content.pop("signature")
            signed = decode_base64(signature)
            sealed = content["payload"]["sealed"]
            digest = None if sealed is None else decode_base64(sealed)
            milliseconds_of(content["timestamp"])
        except (MalformedError, ValueError) as error:
            raise FaultyLeafError("a field of the entry has a value that cannot be") from error
        if digest is not None and len(digest) != _DIGEST_SIZE:
            raise FaultyLeafError("the digest of the sealed part has a wrong length")
        self._verify(signed, _encoded(content))
        return CheckedLeaf(content, digest, signature)

    def _verify(self, signature: bytes, message: bytes) -> None:
        for place, key in enumerate(self._keys):
            try:
                key.verify(signature, message)
            except InvalidSignature:
                continue
            if place:
                self._keys.insert(0, self._keys.pop(place))
            return
        raise FaultyLeafError("the entry's signature is wrong")


def _content(leaf: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(leaf)
    except orjson.JSONDecodeError as error:
        raise FaultyLeafError("the entry is not JSON") from error
    if type(content) is not dict or content.keys() != _FIELDS:
        raise FaultyLeafError("the entry has not the fields of one")
    payload = content["payload"]
    if type(payload) is not dict or payload.keys() - {"public"} != _PAYLOAD:
        raise FaultyLeafError("the entry's payload has not the fields of one")
    if not _well_typed(content, payload):
        raise FaultyLeafError("a field of the entry has a value that cannot be")
    if not _is_canonical(leaf, content):
        raise FaultyLeafError("the entry is not in canonical form")
    return content


def _well_typed(content: dict[str, Any], payload: dict[str, Any]) -> bool:
    return (
        type(content["v"]) is int
        and content["v"] == LEAF_VERSION
        and all(type(content[name]) is str for name in _TEXTS)
        and _ID.fullmatch(content["id"]) is not None
        and _TIMESTAMP.fullmatch(content["timestamp"]) is not None
        and content["result"] in _RESULTS
        and payload["class"] in _CLASSES
        and type(payload["commitment"]) is str
        and (payload["sealed"] is None or type(payload["sealed"]) is str)
    )


def _is_canonical(leaf: bytes, content: dict[str, Any]) -> bool:
    if "public" not in content["payload"]:
        return _encoded(content) == leaf
    try:
        decode_canonical(leaf)
    except EncodingError:
        return False
    return True


def _encoded(content: dict[str, Any]) -> bytes:
    if "public" in content["payload"]:
        return encode(content)
    # Nothing but text in one object within another: orjson's sorted form is the canonical one.
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
