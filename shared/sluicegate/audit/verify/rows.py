"""Rows of an export against their leaves: some at a time, in any process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sluicegate.audit.entry import milliseconds_of
from sluicegate.audit.errors import EncodingError, MalformedError
from sluicegate.audit.export.row import Row, payload_text, private_part
from sluicegate.audit.keys import decode_base64
from sluicegate.audit.queries import Privacy
from sluicegate.audit.sealing import SALT_SIZE, commitment
from sluicegate.audit.verify.findings import Findings
from sluicegate.audit.verify.leaf import CheckedLeaf, FaultyLeafError, LeafCheck

_SAME = ("id", "timestamp", "workspaceId", "action", "domain", "result")
_FILTERS = {"workspace": "workspaceId", "domain": "domain", "result": "result"}
_TEXTS = ("reason", "ipAddress", "userAgent")


@dataclass(frozen=True, slots=True)
class RowsTask:
    """Rows and their leaves, and what the manifest says of all of them."""

    file: str
    rows: Sequence[Row]
    leaves: Sequence[bytes]
    tenant: str
    filter: Mapping[str, str | int]
    keys: tuple[bytes, ...]


@dataclass(slots=True)
class CheckedRows:
    """What came of it: faults, ids with indexes, rows by what became of their private part."""

    findings: Findings = field(default_factory=Findings)
    ids: list[tuple[bytes, int]] = field(default_factory=list)
    privacy: dict[str, int] = field(default_factory=dict)


def check_rows(task: RowsTask) -> CheckedRows:
    """Check each row against its leaf, and the leaf's own form and signature."""
    result = CheckedRows()
    check = _checker(task.keys)
    for row, data in zip(task.rows, task.leaves, strict=True):
        index = row["index"]
        try:
            leaf = check.check(data)
        except FaultyLeafError as error:
            result.findings.add("leaves.jsonl", str(error), index)
            continue
        result.ids.append((leaf.id, index))
        problem = _against_leaf(row, leaf) or _against_filter(row, leaf, task)
        if problem is not None:
            result.findings.add(task.file, problem, index)
        privacy = str(row["privacy"])
        result.privacy[privacy] = result.privacy.get(privacy, 0) + 1
    return result


@lru_cache(maxsize=1)
def _checker(keys: tuple[bytes, ...]) -> LeafCheck:
    return LeafCheck(keys)


def _against_leaf(row: Row, leaf: CheckedLeaf) -> str | None:
    for name in _SAME:
        if row[name] != leaf.content[name]:
            return f"{name} is not what the leaf says"
    if row["signature"] != leaf.signature:
        return "signature is not the leaf's"
    if row["privacy"] == Privacy.OPEN.value:
        return _against_commitment(row, leaf)
    if row["privacy"] not in {each.value for each in Privacy}:
        return "privacy is none that there is"
    if any(row[name] is not None for name in (*_TEXTS, "salt")) or row["userId"] != leaf.content["userId"]:
        return "shows what the leaf does not vouch for"
    return None if _same(row["payload"], leaf.shown) else "payload is not what the leaf says"


def _against_commitment(row: Row, leaf: CheckedLeaf) -> str | None:
    try:
        private, salt = private_part(row), decode_base64(row["salt"])
    except (EncodingError, MalformedError, TypeError, AttributeError):
        private, salt = None, b""
    if private is None or len(salt) != SALT_SIZE or commitment(private, salt) != leaf.commitment:
        return "userId, payload, reason, ipAddress, userAgent and salt are not what the leaf commits to"
    return None


def _against_filter(row: Row, leaf: CheckedLeaf, task: RowsTask) -> str | None:
    wanted = task.filter
    if leaf.tenant != task.tenant:
        return "is another tenant's"
    at_ms = milliseconds_of(leaf.content["timestamp"])
    outside = (
        any(name in wanted and row[column] != wanted[name] for name, column in _FILTERS.items())
        or at_ms < int(wanted.get("since_ms", 0))
        or ("until_ms" in wanted and at_ms >= int(wanted["until_ms"]))
        or ("action" in wanted and not _is_action(leaf.action, str(wanted["action"])))
        or ("user" in wanted and wanted["user"] not in {row["userId"], leaf.content["userId"]})
    )
    return "does not match the export's filter" if outside else None


def _is_action(action: str, wanted: str) -> bool:
    below = wanted.removesuffix(".*")
    return action == below or (below != wanted and action.startswith(f"{below}."))


def _same(one: Any, other: Any) -> bool:
    return payload_text(one) == payload_text(other)
