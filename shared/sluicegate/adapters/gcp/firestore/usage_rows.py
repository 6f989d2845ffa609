"""Usage rows in Firestore, a document per request. `ledger/indexes.py` says where they lie."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from math import ceil
from typing import Any

from sluicegate.adapters.gcp.firestore.client import Firestore
from sluicegate.adapters.gcp.firestore.documents import (
    Change,
    Create,
    Document,
    Operator,
    Path,
    Query,
    Sums,
    Write,
    tenant_path,
)
from sluicegate.adapters.gcp.firestore.layout import ALL_SHARDS, SPEND, USAGE, document_id, shard
from sluicegate.adapters.gcp.firestore.session import MOST_WRITES, Session
from sluicegate.adapters.gcp.firestore.spend_documents import (
    HOUR_S,
    SpendChange,
    hour_of,
    parts_of,
    renamed,
)
from sluicegate.adapters.gcp.firestore.spend_sums import ReportSums, of_row, selected, wanted
from sluicegate.ledger.spending import SpendQuery, SpendReport
from sluicegate.ledger.usage import UsageRow

_COLUMNS = tuple(field.name for field in fields(UsageRow) if field.name != "tenant")
_SCOPES = frozenset({"tenant", "workspace", "user", "key", "agent", "mission", "model", "provider"})
_CACHED = frozenset({"l1", "l2", "l3", "coalesced"})
_ERASED = "erased"

ROWS_HOURS = 24
"""Whole hours below which a report reads the rows."""

_ORDER = {USAGE: "at", SPEND: "hour"}

# What a commit may write, less what hours of replaced rows may need.
_DOCUMENTS_AT_ONCE = MOST_WRITES - 50
# A document of sums may have half a mebibyte, a commit ten.
_SUMS_AT_ONCE = 15

REPORT_S = 60.0
"""Seconds that a report may read rows."""


class FirestoreUsageStore:
    """`ledger.ports.UsageStore`, and `admission.ports.SpendReader` over it, on Firestore.

    Rows are appended by commits of some hundred, each on the condition that new rows are not there and rows
    to be replaced are as they were read. So many are stored all or none; more take several commits, and
    appending all again completes what one of them left out.

    Args:
        rows_hours: reports over fewer whole hours than this are made from rows, others from sums of hours,
            with the rows of what is left at both ends, which are read a moment earlier.
    """

    def __init__(self, firestore: Firestore, *, rows_hours: int = ROWS_HOURS) -> None:
        self._firestore = firestore
        self._rows_hours = rows_hours

    async def append(self, rows: Sequence[UsageRow]) -> int:
        by_path: dict[Path, list[UsageRow]] = defaultdict(list)
        for row in rows:
            by_path[row_path(row)].append(row)
        changed = 0
        for paths in _commits(by_path):
            new = True

            async def work(session: Session, paths: Sequence[Path] = paths) -> int:
                nonlocal new
                # Nearly all rows come once: only where that is not so, what is there needs to be read.
                stored = [None] * len(paths) if new else await session.get(paths)
                new = False
                return await _store(session, [(by_path[p], s) for p, s in zip(paths, stored, strict=True)])

            changed += await self._firestore.run(work)
        return changed

    async def spent(self, tenant: str, scope: str, name: str, since: float, until: float) -> tuple[int, int]:
        conditions: list[tuple[str, Operator, Any]]
        if scope == "tool":
            conditions = [("tools", "array_contains", name)]
        elif scope == "tenant":
            if name != tenant:
                return 0, 0
            conditions = []
        elif scope in _SCOPES:
            conditions = [(scope, "==", name)]
        else:
            raise ValueError(f"unknown scope {scope!r}: there are {', '.join(sorted(_SCOPES))} and tool")
        if not since < until:
            return 0, 0
        query = Query(tenant_path(tenant, USAGE), [*conditions, *_within(since, until)])
        asked = Sums(query, ("cost_nano", "tokens"))
        nano, tokens = await self._firestore.run(lambda session: session.sums(asked))
        return nano, tokens

    async def report(self, tenant: str, query: SpendQuery) -> SpendReport:
        first, last = ceil(query.since / HOUR_S), hour_of(query.until)
        if last - first < max(1, self._rows_hours):
            first, last = 0, 0

        async def work(session: Session) -> SpendReport:
            sums = ReportSums(tenant, query)
            pieces = [(query.since, first * HOUR_S), (last * HOUR_S, query.until)]
            for since, until in pieces if first < last else [(query.since, query.until)]:
                if since < until:
                    asked = Query(
                        tenant_path(tenant, USAGE),
                        [*wanted(query), *_within(since, until)],
                        select=selected(query),
                    )
                    async for each in session.stream(asked):
                        sums.add(of_row(each.fields))
            if first < last:
                within: list[tuple[str, Operator, Any]] = [("hour", ">=", first), ("hour", "<", last)]
                asked = Query(tenant_path(tenant, SPEND), [("shard", "in", list(ALL_SHARDS)), *within])
                async for each in session.stream(asked):
                    for part in parts_of(each):
                        sums.add(part)
            return sums.report()

        return await self._firestore.run(work, attempt_s=REPORT_S, deadline_s=REPORT_S)

    async def forget_person(self, tenant: str, person: str, pseudonym: str) -> int:
        """Put the pseudonym in the place of the user's name in every row; the number of rows changed.

        Versions of before stay readable to who may restore the database, for as long as point-in-time
        recovery and backups go back.
        """
        rows = Query(
            tenant_path(tenant, USAGE),
            [("user", "==", person), ("shard", "in", list(ALL_SHARDS))],
            order=[("at", False)],
            limit=MOST_WRITES,
            select=["user"],
        )
        count = await self._change_all(rows, lambda row: Change(row.path, {"user": pseudonym}, row.version))
        sums = Query(
            tenant_path(tenant, SPEND),
            [("users", "array_contains", person), ("shard", "in", list(ALL_SHARDS))],
            order=[("hour", False)],
            limit=_SUMS_AT_ONCE,
        )
        await self._change_all(sums, lambda each: renamed(each, person, pseudonym))
        return count

    async def forget_tenant(self, tenant: str) -> int:
        """Put one word in the place of all users' names of the tenant; the number of rows changed."""
        count = 0
        for collection in (USAGE, SPEND):
            path = tenant_path(tenant, collection)
            for number in ALL_SHARDS:
                every = Query(path, [("shard", "==", number)], order=[(_ORDER[collection], False)])
                count += await self._erase_names(every, rows=collection == USAGE)
        return count

    async def _erase_names(self, every: Query, *, rows: bool) -> int:
        async def work(session: Session) -> int:
            writes: list[Write] = []
            async for each in session.stream(every):
                if rows and each.fields["user"] != _ERASED:
                    writes.append(Change(each.path, {"user": _ERASED}, each.version))
                elif not rows and each.fields["users"] != [_ERASED]:
                    writes.append(renamed(each, None, _ERASED))
            step = MOST_WRITES if rows else _SUMS_AT_ONCE
            for at in range(0, len(writes), step):
                await session.commit(writes[at : at + step])
            return len(writes) if rows else 0

        return await self._firestore.run(work, attempt_s=REPORT_S, deadline_s=2 * REPORT_S)

    async def _change_all(self, asked: Query, change: Callable[[Document], Change]) -> int:
        """Change what is found until nothing is; what changed meanwhile is found again."""
        count = 0

        async def work(session: Session) -> int:
            found = await session.find(asked)
            await session.commit([change(each) for each in found])
            return len(found)

        while done := await self._firestore.run(work):
            count += done
        return count


def row_path(row: UsageRow) -> Path:
    """Where a row lies."""
    return tenant_path(row.tenant, USAGE, document_id(row.tenant, row.request_id))


def _within(since: float, until: float) -> list[tuple[str, Operator, Any]]:
    return [("shard", "in", list(ALL_SHARDS)), ("at", ">=", since), ("at", "<", until)]


def _commits(by_path: Mapping[Path, Sequence[UsageRow]]) -> Iterator[list[Path]]:
    """The paths in as many parts as commits can hold, with the sums of the hours that they are in."""
    paths: list[Path] = []
    hours: set[tuple[str, int]] = set()
    for path, rows in by_path.items():
        paths.append(path)
        hours.update((row.tenant, hour_of(row.at)) for row in rows)
        if len(paths) + len(hours) >= _DOCUMENTS_AT_ONCE:
            yield paths
            paths, hours = [], set()
    if paths:
        yield paths


async def _store(session: Session, changes: Sequence[tuple[Sequence[UsageRow], Document | None]]) -> int:
    """Store rows over what is there of them, and what that adds to the sums; how often that changed a row."""
    sums: dict[str, SpendChange] = {}
    writes: list[Write] = []
    count = 0
    for rows, document in changes:
        tenant, path = rows[0].tenant, row_path(rows[0])
        before = None if document is None else _row(tenant, document)
        after, times = _folded(before, rows)
        count += times
        if not times:
            continue
        change = sums.setdefault(tenant, SpendChange(tenant))
        values = _values(after, path[-1])
        change.add(values)
        if document is None:
            writes.append(Create(path, values))
        else:
            change.add(document.fields, -1)
            writes.append(Change(path, values, document.version))
    await session.commit([*writes, *(write for each in sums.values() for write in each.writes())])
    return count


def _folded(before: UsageRow | None, rows: Sequence[UsageRow]) -> tuple[UsageRow, int]:
    """What is stored of a request after `rows`, in turn, and how often that changed."""
    stored, changes = before, 0
    for row in rows:
        # The owner's own row replaces one that stood in for it, as does an estimate that is withdrawn.
        if stored is None or (stored.reaped and (not row.reaped or row.cost_nano == 0) and stored != row):
            stored, changes = row, changes + 1
    assert stored is not None  # noqa: S101 - there is a row for every path
    return stored, changes


def _values(row: UsageRow, document: str) -> dict[str, Any]:
    values = {column: getattr(row, column) for column in _COLUMNS}
    all_tokens = row.input_tokens + row.cached_input_tokens + row.cache_write_tokens + row.output_tokens
    return {
        **values,
        "tools": list(row.tools),
        # Answers from the cache bought none.
        "tokens": 0 if row.cache in _CACHED else all_tokens,
        "shard": shard(document),
    }


def _row(tenant: str, document: Document) -> UsageRow:
    values = {column: document.fields[column] for column in _COLUMNS}
    return UsageRow(**{**values, "tenant": tenant, "tools": tuple(document.fields["tools"])})
