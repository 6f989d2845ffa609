"""Dead letters in Firestore: `tenants/{tenant}/dead_letters/{digest}`, known outside as `digest@tenant`.

They can be listed and looked at by many at once, which a subscription that keeps them does not allow.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
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
    digest_id,
    tenant_path,
)
from sluicegate.adapters.gcp.firestore.layout import ALL_SHARDS, DEAD_LETTERS, shard
from sluicegate.adapters.gcp.firestore.session import MOST_WRITES, Session
from sluicegate.events.ports import DeadLetter
from sluicegate.kernel.clock import Clock

KEPT_DAYS = 90

Replay = Callable[[Sequence[DeadLetter]], Awaitable[None]]
"""Delivers letters again, each to its own group; they are lasting when it returns."""


class FirestoreDeadLetterStore:
    """`events.ports.DeadLetterStore` on Firestore.

    Args:
        replay: what delivers again. A letter goes only afterwards: should this process end between the two,
            it comes once more, which consumers bear.
        kept_days: after so many a letter may be deleted.
    """

    def __init__(
        self, firestore: Firestore, replay: Replay, clock: Clock, *, kept_days: int = KEPT_DAYS
    ) -> None:
        self._firestore = firestore
        self._replay = replay
        self._clock = clock
        self._kept = timedelta(days=kept_days)

    async def keep(
        self,
        *,
        group: str,
        tenant: str,
        reason: str,
        attempts: int,
        first_at: float,
        last_at: float,
        body: bytes,
    ) -> DeadLetter:
        """Keep an event that `group` could not apply."""
        name = digest_id(secrets.token_hex(16))
        letter = DeadLetter(f"{name}@{tenant}", group, tenant, reason, attempts, first_at, last_at, body)
        fields = {
            "id": name,
            "group": group,
            "tenant": tenant,
            "reason": reason,
            "attempts": attempts,
            "first_at": first_at,
            "last_at": last_at,
            "body": body,
            "shard": shard(name),
            "expires_at": datetime.fromtimestamp(self._clock.now(), UTC) + self._kept,
        }
        path = _path(letter.id)
        assert path is not None  # noqa: S101 - it was made just now

        async def work(session: Session) -> None:
            (there,) = await session.get([path])
            if there is None:
                await session.commit([Create(path, fields)])

        await self._firestore.run(work)
        return letter

    async def list(
        self, *, group: str | None, tenant: str | None, limit: int, after: str | None
    ) -> Sequence[DeadLetter]:
        where: list[tuple[str, Operator, Any]] = [("shard", "in", list(ALL_SHARDS))]
        if group is not None:
            where.append(("group", "==", group))
        position = None
        if after is not None:
            last = await self.get(after)
            if last is None:
                return []
            position = (last.last_at, after.partition("@")[0])
        asked = Query(
            (DEAD_LETTERS,) if tenant is None else tenant_path(tenant, DEAD_LETTERS),
            where,
            order=[("last_at", False), ("id", False)],
            after=position,
            limit=limit,
            group=tenant is None,
        )
        found = await self._firestore.run(lambda session: session.find(asked))
        return [_letter(each) for each in found]

    async def get(self, letter: str) -> DeadLetter | None:
        path = _path(letter)
        if path is None:
            return None
        (found,) = await self._firestore.run(lambda session: session.get([path]))
        return None if found is None else _letter(found)

    async def replay(self, letters: Sequence[str]) -> int:
        found = [each for each in [await self.get(letter) for letter in letters] if each is not None]
        if found:
            await self._replay(found)
        return await self.drop([each.id for each in found])

    async def drop(self, letters: Sequence[str]) -> int:
        paths = [path for path in map(_path, dict.fromkeys(letters)) if path is not None]
        count = 0
        for at in range(0, len(paths), MOST_WRITES):
            some = paths[at : at + MOST_WRITES]
            seen: set[Path] = set()

            async def work(session: Session, some: Sequence[Path] = some, seen: set[Path] = seen) -> None:
                seen.update(each.path for each in await session.get(some) if each is not None)
                await session.commit([Remove(path) for path in some])

            await self._firestore.run(work)
            count += len(seen)
        return count


def _path(letter: str) -> Path | None:
    """Where a letter lies; None where the id can be no letter's."""
    name, _, tenant = letter.partition("@")
    if not name.isalnum() or not name.isascii() or not tenant:
        return None
    return tenant_path(tenant, DEAD_LETTERS, name)


def _letter(document: Document) -> DeadLetter:
    fields = document.fields
    return DeadLetter(
        f"{fields['id']}@{fields['tenant']}", fields["group"], fields["tenant"], fields["reason"],
        fields["attempts"], fields["first_at"], fields["last_at"], fields["body"],
    )  # fmt: skip
