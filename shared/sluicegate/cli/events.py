"""`sluicegate events dead list|show|replay|drop`, `events tail`, `events groups`."""

import contextlib
import json
import os
from argparse import Namespace
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Any

from sluicegate.cli.context import Local, run
from sluicegate.cli.operator import SOURCE, operator
from sluicegate.cli.output import say, say_json, say_table, timestamp, warn
from sluicegate.events.ports import DeadLetter
from sluicegate.kernel.errors import DependencyUnavailableError, InvalidRequestError, SluicegateError
from sluicegate.kernel.event_decoding import decode_event
from sluicegate.kernel.events import Event, UnusableEventError
from sluicegate.kernel.governed import DATA_CHANGED, governed_action
from sluicegate.kernel.tenancy import NAME
from sluicegate.wiring.events import Bus

_TAIL_LIVES_S = 60.0
_AT_ONCE = 100
_LETTERS_TOLD = 200
"""Letters named in one entry of the log: their digests stay far below what it takes of a payload."""


def list_dead(args: Namespace) -> None:
    """List dead letters, oldest first."""

    async def work(_local: Local, bus: Bus) -> None:
        letters = await bus.dead_letters.list(args.tenant, args.group, limit=args.limit)
        if args.json:
            say_json([_as_json(letter) for letter in letters])
            return
        rows = [
            (
                each.id,
                each.group,
                each.tenant,
                _kind(each),
                each.attempts,
                timestamp(each.last_at),
                each.reason[:100],
            )
            for each in letters
        ]
        say_table(("ID", "GROUP", "TENANT", "TYPE", "TRIES", "LAST", "REASON"), rows, right=("TRIES",))

    _run(args, work)


def show_dead(args: Namespace) -> None:
    """Show one whole, with its event."""

    async def work(_local: Local, bus: Bus) -> None:
        letter = _as_json(await bus.dead_letters.show(args.id, args.tenant))
        if args.json:
            say_json(letter)
            return
        body = letter.pop("event")
        for name, value in letter.items():
            say(f"{name:<9} {value}")
        say(json.dumps(body, indent=2, ensure_ascii=False) if isinstance(body, dict) else repr(body))

    _run(args, work)


def replay_dead(args: Namespace) -> None:
    """Deliver dead letters again."""

    async def work(local: Local, bus: Bus) -> None:
        letters = await _chosen(args, bus)
        await _tell(local, bus, letters, "dead_letters.replayed")
        count = await bus.dead_letters.replay([each.id for each in letters], args.tenant)
        _say_count(args, "replayed", count)

    _run(args, work)


def drop_dead(args: Namespace) -> None:
    """Forget dead letters."""

    async def work(local: Local, bus: Bus) -> None:
        letters = await _chosen(args, bus)
        await _tell(local, bus, letters, "dead_letters.dropped")
        count = await bus.dead_letters.drop([each.id for each in letters], args.tenant)
        _say_count(args, "dropped", count)

    _run(args, work)


def groups(args: Namespace) -> None:
    """Show how far each consumer group is."""

    async def work(local: Local, bus: Bus) -> None:
        found = await bus.bus.groups()
        now = local.clock.now()
        ages = [
            None if each.oldest_at is None else round(max(now - each.oldest_at, 0.0), 1) for each in found
        ]
        if args.json:
            say_json(
                [
                    {"group": each.group, "waiting": each.waiting, "oldest_s": age, "dead": each.dead}
                    for each, age in zip(found, ages, strict=True)
                ]
            )
            return
        rows = [(each.group, each.waiting, age, each.dead) for each, age in zip(found, ages, strict=True)]
        headings = ("GROUP", "WAITING", "OLDEST S", "DEAD")
        say_table(headings, rows, right=headings[1:])

    _run(args, work)


def tail(args: Namespace) -> None:
    """Show events as they come, until interrupted."""

    async def work(_local: Local, bus: Bus) -> None:
        group = f"tail-{os.getpid()}"
        left = args.count
        await bus.bus.subscribe(group, expires_s=_TAIL_LIVES_S)
        if not args.json:
            warn("waiting for events; Ctrl-C ends")
        try:
            while left is None or left > 0:
                deliveries = await bus.bus.receive(group, _AT_ONCE, _TAIL_LIVES_S, wait_s=5.0)
                await bus.bus.subscribe(group, expires_s=_TAIL_LIVES_S)
                for delivery in deliveries:
                    try:
                        event = decode_event(delivery.body, delivery.tenant)
                    except UnusableEventError as error:
                        warn(f"an event of {delivery.tenant} that cannot be read: {error}")
                        continue
                    if args.type in {None, event.type} and args.tenant in {None, event.tenant} and left != 0:
                        left = None if left is None else left - 1
                        _say_event(args, event)
                await bus.bus.ack(group, deliveries)
        finally:
            await bus.bus.unsubscribe(group)

    with contextlib.suppress(KeyboardInterrupt):
        _run(args, work)


def _run(args: Namespace, work: Callable[[Local, Bus], Awaitable[None]]) -> None:
    async def opened(local: Local) -> None:
        await work(local, local.bus)

    run(args.data, opened)


async def _tell(local: Local, bus: Bus, letters: Sequence[DeadLetter], kind: str) -> None:
    """Tell the log what is about to be done with `letters`: to each tenant of its own.

    Raises:
        DependencyUnavailableError: it cannot be told, so it must not be done.
    """
    own = local.own_tenant
    whose: dict[str, list[DeadLetter]] = {}
    for each in letters:
        # What has no proper tenant may be the very reason that it is dead.
        whose.setdefault(each.tenant if NAME.fullmatch(each.tenant) else own, []).append(each)
    user, now = operator().user, local.clock.now()
    actions = [
        governed_action(
            tenant,
            DATA_CHANGED,
            source=SOURCE,
            at=now,
            user=user,
            payload={
                "kind": kind,
                "count": len(part),
                "letters": [
                    {"letter": each.id, "scope": each.group, "digest": sha256(each.body).hexdigest()}
                    for each in part
                ],
            },
        )
        for tenant, theirs in whose.items()
        for part in (theirs[at : at + _LETTERS_TOLD] for at in range(0, len(theirs), _LETTERS_TOLD))
    ]
    try:
        await bus.publisher.publish(actions)
    except SluicegateError as error:
        raise DependencyUnavailableError(
            f"nothing was done, for the transparency log cannot be told of it: {error.message}"
        ) from error


async def _chosen(args: Namespace, bus: Bus) -> list[DeadLetter]:
    if bool(args.ids) == args.all:
        raise InvalidRequestError("name the dead letters by their ids, or give --all")
    if args.ids:
        return [await bus.dead_letters.show(each, args.tenant) for each in dict.fromkeys(args.ids)]
    return [letter async for letter in bus.dead_letters.all(args.tenant, args.group)]


def _say_count(args: Namespace, what: str, count: int) -> None:
    if args.json:
        say_json({what: count})
    else:
        say(f"{what} {count}")


def _say_event(args: Namespace, event: Event) -> None:
    if args.json:
        say(event.to_json().decode())
    else:
        data = json.dumps(event.data, ensure_ascii=False)
        say(f"{timestamp(event.time)} {event.tenant} {event.type} {event.subject or event.id} {data}")


def _kind(letter: DeadLetter) -> str | None:
    """The type that the letter's event says it has."""
    event = _content(letter)
    return str(event.get("type"))[:60] if isinstance(event, dict) else None


def _content(letter: DeadLetter) -> dict[str, Any] | str:
    try:
        content = json.loads(letter.body)
    except ValueError:
        content = None
    return content if isinstance(content, dict) else letter.body.decode("utf-8", "backslashreplace")


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "group": letter.group,
        "tenant": letter.tenant,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "first_at": timestamp(letter.first_at),
        "last_at": timestamp(letter.last_at),
        "event": _content(letter),
    }
