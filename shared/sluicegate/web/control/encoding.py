"""How values look in answers."""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sluicegate.audit.queries import Record


def base64_list(hashes: Iterable[bytes]) -> list[str]:
    """Hashes in base64."""
    return [b64encode(each).decode() for each in hashes]


def entry_json(record: Record) -> dict[str, Any]:
    """An entry: its own fields, its place in the log, what became of its private part."""
    return {"index": record.index, **asdict(record.entry), "privacy": record.privacy.value}
