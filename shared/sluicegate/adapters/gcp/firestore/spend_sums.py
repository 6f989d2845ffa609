"""Spend reports: what to read of rows, and how rows and sums over rows add up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import product
from typing import Any

from sluicegate.adapters.gcp.firestore.documents import Operator
from sluicegate.ledger.spending import PERIODS, GroupBy, SpendLine, SpendQuery, SpendReport, SpendSums

SUMMED = tuple(field.name for field in fields(SpendSums))
"""What is summed, in the order of an amount's parts; latency as a sum here, as a mean in the answer."""

_OF_ROWS = tuple(name for name in SUMMED if name not in {"requests", "failures", "estimated_nano"})
_ALSO_READ = ("outcome", "estimated")
_LATENCY = SUMMED.index("latency_ms")
_FORMS = {GroupBy.HOUR: "%Y-%m-%dT%H:00Z", GroupBy.DAY: "%Y-%m-%d", GroupBy.MONTH: "%Y-%m"}

Group = tuple[str | None, ...]
Amounts = Sequence[int | float]


@dataclass(slots=True)
class Part:
    """Requests that have all dimensions in common: one, or many.

    Attributes:
        at: a moment of the hour that they are in, epoch seconds.
        dimensions: by name; `tools` is a list.
        amounts: in the order of `SUMMED`.
    """

    at: float
    dimensions: Mapping[str, Any]
    amounts: Amounts


def of_row(row: Mapping[str, Any]) -> Part:
    """A row, or what was selected of one, as a part."""
    return Part(row.get("at", 0.0), row, amounts(row))


def amounts(row: Mapping[str, Any]) -> list[int | float]:
    """What one row adds to sums."""
    counted = {
        "requests": 1,
        "failures": int(row["outcome"] == "failure"),
        "estimated_nano": row["cost_nano"] if row["estimated"] else 0,
    }
    return [counted[name] if name in counted else row[name] for name in SUMMED]


def wanted(query: SpendQuery) -> list[tuple[str, Operator, Any]]:
    """What of `where` Firestore decides over rows; that a request used no tool, `ReportSums` does."""
    conditions: list[tuple[str, Operator, Any]] = []
    for dimension, value in query.where.items():
        if dimension is not GroupBy.TOOL:
            conditions.append((dimension.value, "==", value))
        elif value is not None:
            conditions.append(("tools", "array_contains", value))
    return conditions


def selected(query: SpendQuery) -> list[str]:
    """The fields of rows that the report needs."""
    names = {*_OF_ROWS, *_ALSO_READ}
    for each in (*query.by, *query.where):
        names.add("at" if each in PERIODS else "tools" if each is GroupBy.TOOL else each.value)
    return sorted(names)


class ReportSums:
    """A report while it grows. Money and tokens are Python's integers: exact, whatever they come to."""

    def __init__(self, tenant: str, query: SpendQuery) -> None:
        self._tenant = tenant
        self._query = query
        self._total: list[int | float] = [0] * len(SUMMED)
        self._lines: dict[Group, list[int | float]] = {}

    def add(self, part: Part) -> None:
        """Count a part, if it is one that was asked for."""
        if not all(_matches(part, dimension, value) for dimension, value in self._query.where.items()):
            return
        _add(self._total, part.amounts)
        if self._query.by:
            for group in product(*(_values(each, part) for each in self._query.by)):
                _add(self._lines.setdefault(group, [0] * len(SUMMED)), part.amounts)

    def report(self) -> SpendReport:
        """The answer."""
        lines = [
            SpendLine(group, _sums(summed))
            for group, summed in self._lines.items()
            if summed[0]  # a row that was replaced by one of another group leaves nothing
        ]
        lines.sort(key=lambda line: _place(self._query.by, line))
        limit = self._query.limit
        cut = tuple(lines[:limit])
        return SpendReport(self._tenant, self._query, _sums(self._total), cut, truncated=len(lines) > limit)


def _matches(part: Part, dimension: GroupBy, value: str | None) -> bool:
    if dimension is GroupBy.TOOL:
        tools = part.dimensions["tools"]
        return not tools if value is None else value in tools
    return bool(part.dimensions[dimension.value] == value)


def _values(dimension: GroupBy, part: Part) -> Sequence[str | None]:
    """The groups of one dimension that a part is in."""
    if dimension is GroupBy.TOOL:
        return part.dimensions["tools"] or (None,)
    if dimension in _FORMS:
        return (datetime.fromtimestamp(part.at, UTC).strftime(_FORMS[dimension]),)
    return (part.dimensions[dimension.value],)


def _place(by: Sequence[GroupBy], line: SpendLine) -> tuple[Any, ...]:
    names = tuple((name is not None, name or "") for name in line.groups)
    periods = tuple(name for each, name in zip(by, names, strict=True) if each in PERIODS)
    return (periods, -line.sums.cost_nano, names)


def _add(sums: list[int | float], more: Amounts) -> None:
    for place, amount in enumerate(more):
        sums[place] += amount


def _sums(summed: Amounts) -> SpendSums:
    values: dict[str, Any] = dict(zip(SUMMED, summed, strict=True))
    requests = values["requests"]
    return SpendSums(**{**values, "latency_ms": summed[_LATENCY] / requests if requests else 0.0})
