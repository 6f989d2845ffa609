"""One row of an export: an entry's place and fields, what became of its private part, and its salt."""

from base64 import b64encode
from typing import Any

from sluicegate.audit.canonical_json import encode
from sluicegate.audit.queries import Privacy, Record
from sluicegate.audit.sealing import Private

FIELDS = (
    "id", "timestamp", "userId", "workspaceId", "action", "domain", "payload", "result", "reason", "ipAddress",
    "userAgent", "signature",
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


def private_part(row: Row) -> bytes | None:
    """The private part that a row shows, as the leaf commits to it; None where it shows none.

    Raises:
        EncodingError: it has a value that no private part has.
    """
    if row["privacy"] != Privacy.OPEN.value:
        return None
    return encode({name: row[name] for name in _PRIVATE})
