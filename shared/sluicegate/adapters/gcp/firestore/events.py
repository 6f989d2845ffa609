"""Events other than usage, in Firestore: `tenants/{tenant}/events/{digest of source and id}`.

Each has `expires_at`, after which Firestore deletes it (`ledger.indexes.EXPIRIES`).
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sluicegate.adapters.gcp.firestore.client import Firestore
from sluicegate.adapters.gcp.firestore.documents import (
    Create,
    Document,
    Operator,
    Path,
    Query,
    Remove,
    Write,
    digest_id,
    tenant_path,
)
from sluicegate.adapters.gcp.firestore.layout import ALL_SHARDS, EVENTS, shard
from sluicegate.adapters.gcp.firestore.session import MOST_WRITES, Session
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.events import Event

KEPT_DAYS = 400


class FirestoreEventStore:
    """`ledger.ports.EventStore` on Firestore. Up to `MOST_WRITES` events are stored all or none.

    Args:
        kept_days: after so many an event may be deleted.
    """

    def __init__(self, firestore: Firestore, clock: Clock, *, kept_days: int = KEPT_DAYS) -> None:
        self._firestore = firestore
        self._clock = clock
        self._kept = timedelta(days=kept_days)

    async def record(self, events: Sequence[Event]) -> int:
        by_path: dict[Path, Event] = {}
        for event in events:
            by_path.setdefault(_path(event), event)
        paths = list(by_path)
        new = 0
        for at in range(0, len(paths), MOST_WRITES):
            some = paths[at : at + MOST_WRITES]

            async def work(session: Session, some: Sequence[Path] = some) -> int:
                stored = await session.get(some)
                writes: list[Write] = [
                    Create(path, self._fields(by_path[path], path[-1]))
                    for path, there in zip(some, stored, strict=True)
                    if there is None
                ]
                await session.commit(writes)
                return len(writes)

            new += await self._firestore.run(work)
        return new

    async def events(self, tenant: str, kind: str | None = None, limit: int = 100) -> Sequence[Event]:
        where: list[tuple[str, Operator, Any]] = [("shard", "in", list(ALL_SHARDS))]
        if kind is not None:
            where.append(("type", "==", kind))
        asked = Query(tenant_path(tenant, EVENTS), where, order=[("at", True)], limit=limit)
        found = await self._firestore.run(lambda session: session.find(asked))
        return [_event(tenant, each) for each in found]

    async def forget_person(self, tenant: str, person: str, pseudonym: str) -> int:  # noqa: ARG002 - a port's
        """Delete the tenant's events that name the person; their number. Users' budgets are named by them."""

        def named(document: Document) -> bool:
            subject = document.fields["subject"] or ""
            return (
                person == subject
                or f"/{person}/" in subject
                or any(each == person for each in _atoms(json.loads(document.fields["data"])))
            )

        return await self._delete(
            [each.path for each in await self._all(tenant, "subject", "data") if named(each)]
        )

    async def forget_tenant(self, tenant: str) -> int:
        """Delete all of the tenant's events; their number."""
        return await self._delete([each.path for each in await self._all(tenant, "shard")])

    async def _all(self, tenant: str, *fields: str) -> list[Document]:
        asked = Query(tenant_path(tenant, EVENTS), select=fields)
        return await self._firestore.run(lambda session: session.find(asked), attempt_s=60.0, deadline_s=60.0)

    async def _delete(self, paths: Sequence[Path]) -> int:
        for at in range(0, len(paths), MOST_WRITES):
            writes = [Remove(path) for path in paths[at : at + MOST_WRITES]]

            async def work(session: Session, writes: Sequence[Write] = writes) -> None:
                await session.commit(writes)

            await self._firestore.run(work)
        return len(paths)

    def _fields(self, event: Event, document: str) -> dict[str, Any]:
        return {
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "at": event.time,
            "subject": event.subject,
            # As text: lists within lists cannot be stored otherwise.
            "data": json.dumps(event.data, ensure_ascii=False),
            "shard": shard(document),
            "expires_at": datetime.fromtimestamp(self._clock.now(), UTC) + self._kept,
        }


def _path(event: Event) -> Path:
    return tenant_path(event.tenant, EVENTS, digest_id(event.source, event.id))


def _event(tenant: str, document: Document) -> Event:
    fields = document.fields
    return Event(
        id=fields["id"],
        source=fields["source"],
        type=fields["type"],
        time=fields["at"],
        tenant=tenant,
        subject=fields["subject"],
        data=json.loads(fields["data"]),
    )


def _atoms(value: Any) -> Iterator[Any]:
    """All values within a JSON value that are no lists or objects."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _atoms(each)
    else:
        yield value
