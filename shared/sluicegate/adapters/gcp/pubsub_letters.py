"""Dead letters in Pub/Sub: kept by a subscription of each group until somebody replays or drops them.

To look at them they are pulled and given back: while one operator looks, another may see fewer.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sluicegate.adapters.gcp.clients import SUBSCRIBER, GoogleClients, pull_now
from sluicegate.adapters.gcp.errors import AbsentError
from sluicegate.adapters.gcp.pubsub_messages import Outgoing, decode, encode
from sluicegate.adapters.gcp.pubsub_names import PubSubNames
from sluicegate.adapters.gcp.pubsub_publishing import BatchingPublisher
from sluicegate.events.ports import DeadLetter

MOST_LETTERS = 10_000
"""That are looked at: the oldest, about."""

_PAGE = 1_000
# An immediate pull may come back empty though there is something: several in a row are believed.
_EMPTY_PULLS = 3
_NATIVE_REASON = "delivered too often without an outcome"
_NATIVE_COUNT = "CloudPubSubDeadLetterSourceDeliveryCount"


@dataclass(frozen=True, slots=True)
class _Held:
    letter: DeadLetter
    ack_id: str
    origin: str | None


# `list` is also the name of one of the store's verbs.
_Letters = list[_Held]
_Names = list[str]


class PubSubDeadLetterStore:
    """`events.ports.DeadLetterStore` on the subscriptions that keep dead letters, of `groups`."""

    def __init__(self, clients: GoogleClients, names: PubSubNames, groups: Sequence[str]) -> None:
        self._clients = clients
        self._names = names
        self._groups = tuple(groups)
        self._publisher = BatchingPublisher(clients)

    async def list(
        self, *, group: str | None, tenant: str | None, limit: int, after: str | None
    ) -> Sequence[DeadLetter]:
        groups = self._groups if group is None else tuple({group} & {*self._groups})
        async with self._all(groups) as held:
            letters = sorted((each.letter for each in held), key=lambda letter: letter.id)
        wanted = (
            letter
            for letter in letters
            if tenant in {None, letter.tenant} and (after is None or letter.id > after)
        )
        return [letter for letter, _ in zip(wanted, range(limit), strict=False)]

    async def get(self, letter: str) -> DeadLetter | None:
        async with self._all(self._groups) as held:
            return next((each.letter for each in held if each.letter.id == letter), None)

    async def replay(self, letters: Sequence[str]) -> int:
        chosen = frozenset(letters)
        return await self._take(lambda letter: letter.id in chosen, replay=True)

    async def drop(self, letters: Sequence[str]) -> int:
        chosen = frozenset(letters)
        return await self._take(lambda letter: letter.id in chosen, replay=False)

    async def forget_person(self, tenant: str, person: str, pseudonym: str) -> int:  # noqa: ARG002 - a port's
        """Drop dead letters that name the person; their number. What still waits must be applied first.

        Pub/Sub itself forgets them with the topics' retention (infra: 7 days).
        """
        names = {person.encode(), json.dumps(person)[1:-1].encode(), person.encode("unicode_escape")}
        named = re.compile(rb"(?<![\w.-])(?:" + b"|".join(map(re.escape, names)) + rb")(?![\w.-])")
        return await self._take(
            lambda letter: letter.tenant == tenant and named.search(letter.body) is not None, replay=False
        )

    async def forget_tenant(self, tenant: str) -> int:
        """Drop all of the tenant's dead letters; their number. Else as `forget_person`."""
        return await self._take(lambda letter: letter.tenant == tenant, replay=False)

    async def _take(self, wanted: Callable[[DeadLetter], bool], *, replay: bool) -> int:
        async with self._all(self._groups) as held:
            chosen = [each for each in held if wanted(each.letter)]
            if replay:
                # Lasting before they are gone here: should this end half way, some come twice.
                await self._publisher.publish(self._names.topic, [_again(each) for each in chosen])
            by_group: dict[str, _Names] = {}
            for each in chosen:
                by_group.setdefault(each.letter.group, []).append(each.ack_id)
                held.remove(each)
            for group, ids in by_group.items():
                await self._each_page("acknowledge", group, ids)
        return len(chosen)

    @asynccontextmanager
    async def _all(self, groups: Sequence[str]) -> AsyncIterator[_Letters]:
        """All letters of `groups`; those that are left in the list at the end are given back."""
        held: _Letters = []
        try:
            for group in groups:
                await self._pull(group, held)
            yield held
        finally:
            for group in groups:
                ids = [each.ack_id for each in held if each.letter.group == group]
                if ids:
                    await self._each_page("modify_ack_deadline", group, ids, ack_deadline_seconds=0)

    async def _pull(self, group: str, held: _Letters) -> None:
        empty = 0
        seen: set[str] = set()
        while empty < _EMPTY_PULLS and len(held) < MOST_LETTERS:
            try:
                answer = await pull_now(self._clients, self._names.kept(group), _PAGE)
            except AbsentError:
                return  # the group never had one
            found = [_held(group, each) for each in answer.received_messages]
            held += [each for each in found if each.letter.id not in seen]
            seen |= {each.letter.id for each in found}
            empty = 0 if found else empty + 1
            if not found:
                await asyncio.sleep(0)

    async def _each_page(self, method: str, group: str, ids: Sequence[str], **more: Any) -> None:
        for start in range(0, len(ids), _PAGE):
            request = {
                "subscription": self._names.kept(group), "ack_ids": list(ids[start : start + _PAGE]), **more
            }  # fmt: skip
            await self._clients.call(SUBSCRIBER, method, request)


def _again(held: _Held) -> Outgoing:
    letter = held.letter
    return encode(letter.tenant, letter.body, held.origin, recipient=letter.group)


def _held(group: str, received: Any) -> _Held:
    message = received.message
    attributes = message.attributes
    published = message.publish_time.timestamp()
    letter = DeadLetter(
        id=attributes.get("letter") or f"{int(published * 1000):013d}-{group}-{message.message_id}",
        group=group,
        tenant=attributes.get("tenant", ""),
        reason=attributes.get("reason", _NATIVE_REASON),
        attempts=int(attributes.get("attempts") or attributes.get(_NATIVE_COUNT) or 1),
        first_at=float(attributes.get("since") or published),
        last_at=float(attributes.get("buried") or published),
        body=decode(attributes, message.data),
    )
    return _Held(letter, received.ack_id, attributes.get("outbox"))
