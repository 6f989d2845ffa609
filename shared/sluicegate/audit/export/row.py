"""One row of an export: an entry's place and fields, what became of its private part, and its salt."""

from base64 import b64encode
from typing import Any

import orjson

from sluicegate.audit.canonical_json import MAX_INTEGER, encode
from sluicegate.audit.errors import EncodingError
from sluicegate.audit.queries import Privacy, Record
from sluicegate.audit.sealing import Private

FIELDS = (
    "id", "timestamp", "userId", "workspaceId", "action", "domain", "payload", "result", "reason",
    "ipAddress", "userAgent", "signature",
)  # fmt: skip
"""An entry's own fields, in their order."""

COLUMNS = ("index", *FIELDS, "privacy", "salt")

Row = dict[str, Any]
"""Values by column: `index` a number, `payload` a JSON object or None, all others text or None."""

_PRIVATE = ("salt", "userId", "reason", "ipAddress", "userAgent", "payload")


def row_of(record: Record) -> Row:
    """The row of an entry that was read."""
    entry = record.entry
    row: Row = {"index": record.index}
    row.update((name, getattr(entry, name)) for name in FIELDS)
    row["privacy"] = record.privacy.value
    row["salt"] = None if record.private is None else b64encode(Private.parse(record.private).salt).decode()
    return row


def payload_text(payload: Any) -> bytes:
    """A payload's canonical JSON.

    Canonical JSON writes large floats as integers are written, and reading makes integers of them: such ones
    are written as the floats that they were.

    Raises:
        EncodingError: it is no payload that any entry has.
    """
    try:
        return encode(payload)
    except EncodingError:
        return encode(_as_it_was(payload))


def read_payload(text: bytes) -> Any:
    """The reverse of `payload_text`.

    Raises:
        EncodingError: `text` is something else.
    """
    try:
        payload = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise EncodingError("The payload is not JSON.") from error
    if payload_text(payload) != text:
        raise EncodingError("The payload is not in canonical form.")
    return payload


def _as_it_was(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_it_was(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_as_it_was(each) for each in value]
    if type(value) is int and abs(value) > MAX_INTEGER and encode(float(value)) == str(value).encode():
        return float(value)
    return value


def private_part(row: Row) -> bytes | None:
    """The private part that a row shows, as the leaf commits to it; None where it shows none.

    Raises:
        EncodingError: it has a value that no private part has.
    """
    if row["privacy"] != Privacy.OPEN.value:
        return None
    return payload_text({name: row[name] for name in _PRIVATE})
