"""What Firestore knows of people in their own right: who owns a key, whose budget was changed."""

import json
import re
from collections.abc import Callable, Sequence

from sluicegate.adapters.gcp.firestore.client import Firestore
from sluicegate.adapters.gcp.firestore.documents import (
    Change,
    Document,
    Query,
    Remove,
    Write,
    tenant_path,
)
from sluicegate.adapters.gcp.firestore.layout import API_KEYS, BUDGETS
from sluicegate.adapters.gcp.firestore.session import MOST_WRITES, Session
from sluicegate.kernel.clock import Clock

_ERASED = "erased"


class FirestorePersonRecords:
    """`audit.ports.PersonalData` for API keys and budgets of users in Firestore.

    The keys of whoever is erased are revoked: they would go on making records of the same name. Versions of
    before can be restored for as long as point-in-time recovery and backups go back.
    """

    def __init__(self, firestore: Firestore, clock: Clock) -> None:
        self._firestore = firestore
        self._clock = clock

    async def forget_person(self, tenant: str, person: str, pseudonym: str) -> int:
        """Put the pseudonym in the place of the owner's name, and delete budgets; the number of records."""
        names = _pattern(person)

        def changed(key: Document) -> dict[str, object]:
            if key.fields["user"] == person:
                return self._revoked(key, pseudonym)
            # Whoever named another key, or said why it is revoked, may have named its user.
            texts = {name: key.fields[name] for name in ("name", "revoked_reason") if key.fields[name]}
            cleaned = {name: names.sub(pseudonym, text) for name, text in texts.items()}
            return {} if cleaned == texts else {**cleaned, "revision": key.fields["revision"] + 1}

        def mine(budget: Document) -> bool:
            return bool(budget.fields["scope"] == "user" and budget.fields["name"] == person)

        return await self._forget(tenant, changed, mine)

    async def forget_tenant(self, tenant: str) -> int:
        """The same for everybody of the tenant."""

        def changed(key: Document) -> dict[str, object]:
            return {} if key.fields["user"] == _ERASED else self._revoked(key, _ERASED)

        return await self._forget(tenant, changed, lambda _: True)

    def _revoked(self, key: Document, user: str) -> dict[str, object]:
        at = key.fields["revoked_at"]
        return {
            "user": user,
            "name": _ERASED,
            "revoked": True,
            "revoked_at": self._clock.now() if at is None else at,
            "revoked_reason": _ERASED,
            "revision": key.fields["revision"] + 1,
        }

    async def _forget(
        self,
        tenant: str,
        changed: Callable[[Document], dict[str, object]],
        mine: Callable[[Document], bool],
    ) -> int:
        count = 0
        for collection in (API_KEYS, BUDGETS):
            asked = Query(tenant_path(tenant, collection))

            async def work(session: Session, asked: Query = asked) -> int:
                writes: list[Write] = []
                for each in await session.find(asked):
                    if asked.collection[-1] == BUDGETS:
                        writes += [Remove(each.path)] if mine(each) else []
                    elif fields := changed(each):
                        writes.append(Change(each.path, fields, each.version))
                await _commit_all(session, writes)
                return len(writes)

            count += await self._firestore.run(work)
        return count


async def _commit_all(session: Session, writes: Sequence[Write]) -> None:
    for at in range(0, len(writes), MOST_WRITES):
        await session.commit(writes[at : at + MOST_WRITES])


def _pattern(person: str) -> re.Pattern[str]:
    """The name, alone or between other words, plain or as JSON writes it."""
    spellings = {person, json.dumps(person)[1:-1]}
    return re.compile(r"(?<![\w.-])(?:" + "|".join(map(re.escape, sorted(spellings))) + r")(?![\w.-])")
