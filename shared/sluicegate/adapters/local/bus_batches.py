"""Batches of events in the bus's file, and the rows that say who still has to do what with them."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sluicegate.events.ports import Delivery, Message

MOST_EVENTS = 500
MOST_BYTES = 1 << 20
_MOST_RECEIVED_BYTES = 16 << 20
# A consumer that ends with a batch in its hands may have met one event too many in it. After so often, the
# batch is handed out alone, and each further end halves it, until the event is alone and its attempts count.
_SPLIT_AFTER = 3

_RECEIVE = (
    "SELECT p.id, p.batch, p.picks, p.count, p.due, p.owner, p.failures, p.lost, b.tenant, b.at, b.bodies, "
    "b.origins FROM pending AS p JOIN batches AS b ON b.id = p.batch WHERE p.grp = ? AND p.due <= ? "
    "ORDER BY p.due, p.id"
)
_ADD_PENDING = (
    "INSERT INTO pending (grp, batch, picks, count, due, failures, lost, reason) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a delivered event lies: its `pending` row, its batch, its number in that."""

    row: int
    batch: int
    index: int


def add(
    connection: sqlite3.Connection, messages: Sequence[Message], groups: Sequence[str], at: float
) -> None:
    """Store `messages` for `groups`."""
    for chunk in _chunks(messages):
        origins = None
        if any(message.origin is not None for message in chunk):
            origins = json.dumps([message.origin for message in chunk])
        cursor = connection.execute(
            "INSERT INTO batches (tenant, at, count, bodies, origins) VALUES (?, ?, ?, ?, ?)",
            (chunk[0].tenant, at, len(chunk), _pack(message.body for message in chunk), origins),
        )
        batch = cursor.lastrowid
        connection.executemany(
            _ADD_PENDING, [(group, batch, None, len(chunk), at, 0, 0, None) for group in groups]
        )


def take(
    connection: sqlite3.Connection, group: str, count: int, now: float, until: float, owner: str
) -> list[Delivery]:
    """Hand up to `count` events that are due to `owner`, until then."""
    found: list[tuple[sqlite3.Row, list[int]]] = []
    size = 0
    for row in connection.execute(_RECEIVE, (group, now)):
        suspect = _lost(row) > _SPLIT_AFTER
        if suspect and found:
            break
        picks = _picks(row)
        found.append((row, picks))
        count -= len(picks)
        size += len(row["bodies"])
        if suspect or count <= 0 or size >= _MOST_RECEIVED_BYTES:
            break
    deliveries: list[Delivery] = []
    for number, (row, all_picks) in enumerate(found):
        lost = _lost(row)
        keep = len(all_picks) + (min(count, 0) if number == len(found) - 1 else 0)
        if lost > _SPLIT_AFTER and keep > 1:
            keep = min(keep, len(all_picks) // 2)
            lost = _SPLIT_AFTER
        picks = all_picks[:keep]
        if keep < len(all_picks):
            rest = (group, row["batch"], json.dumps(all_picks[keep:]), len(all_picks) - keep, row["due"])
            connection.execute(_ADD_PENDING, (*rest, row["failures"], lost, None))
        whole = row["picks"] if len(picks) == row["count"] else json.dumps(picks)
        connection.execute(
            "UPDATE pending SET due = ?, owner = ?, lost = ?, picks = ?, count = ? WHERE id = ?",
            (until, owner, lost, whole, len(picks), row["id"]),
        )
        bodies = _unpack(row["bodies"])
        origins = None if row["origins"] is None else json.loads(row["origins"])
        attempt = 1 + row["failures"] + (lost // 2 if len(picks) == 1 else 0)
        deliveries += [
            Delivery(
                Place(row["id"], row["batch"], index), row["tenant"], bodies[index],
                None if origins is None else origins[index], attempt, row["at"],
            )
            for index in picks
        ]  # fmt: skip
    return deliveries


def settle(connection: sqlite3.Connection, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Take `deliveries` out of what is pending; those that still were there."""
    by_row: dict[int, dict[int, Delivery]] = {}
    for delivery in deliveries:
        by_row.setdefault(delivery.token.row, {})[delivery.token.index] = delivery
    settled: list[Delivery] = []
    batches: set[int] = set()
    for number, asked in by_row.items():
        row = connection.execute("SELECT batch, picks, count FROM pending WHERE id = ?", (number,)).fetchone()
        if row is None:
            continue
        picks = _picks(row)
        left = [index for index in picks if index not in asked]
        settled += [asked[index] for index in picks if index in asked]
        if left:
            connection.execute(
                "UPDATE pending SET picks = ?, count = ? WHERE id = ?", (json.dumps(left), len(left), number)
            )
        else:
            connection.execute("DELETE FROM pending WHERE id = ?", (number,))
            batches.add(row["batch"])
    forget_done(connection, batches)
    return settled


def is_pending(connection: sqlite3.Connection, delivery: Delivery) -> bool:
    """Whether the event is still to be done by whoever it was handed to."""
    place: Place = delivery.token
    row = connection.execute("SELECT picks, count FROM pending WHERE id = ?", (place.row,)).fetchone()
    return row is not None and place.index in _picks(row)


def put_off(
    connection: sqlite3.Connection, group: str, delivery: Delivery, due: float, failures: int, reason: str
) -> None:
    """Have `delivery`'s event come again, alone. To be called before its old row is settled."""
    place: Place = delivery.token
    connection.execute(
        _ADD_PENDING, (group, place.batch, json.dumps([place.index]), 1, due, failures, 0, reason)
    )


def forget_done(connection: sqlite3.Connection, batches: Iterable[int]) -> None:
    """Delete those of `batches` that no group waits for."""
    connection.executemany(
        "DELETE FROM batches WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM pending WHERE batch = ?1)",
        [(batch,) for batch in batches],
    )


def _chunks(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """`messages` per tenant, in batches of a bounded size."""
    by_tenant: dict[str, list[Message]] = {}
    for message in messages:
        by_tenant.setdefault(message.tenant, []).append(message)
    for ours in by_tenant.values():
        chunk: list[Message] = []
        size = 0
        for message in ours:
            if chunk and (len(chunk) >= MOST_EVENTS or size + len(message.body) > MOST_BYTES):
                yield chunk
                chunk, size = [], 0
            chunk.append(message)
            size += len(message.body)
        yield chunk


def _picks(row: sqlite3.Row) -> list[int]:
    return list(range(row["count"])) if row["picks"] is None else json.loads(row["picks"])


def _lost(row: sqlite3.Row) -> int:
    """How often what the row stands for was handed out without an outcome: leases ran out, owners ended."""
    return int(row["lost"]) + (row["owner"] is not None)


def _pack(bodies: Iterable[bytes]) -> bytes:
    parts: list[bytes] = []
    for body in bodies:
        parts += (len(body).to_bytes(4, "big"), body)
    return b"".join(parts)


def _unpack(packed: bytes) -> list[bytes]:
    bodies: list[bytes] = []
    at = 0
    while at < len(packed):
        start = at + 4
        at = start + int.from_bytes(packed[at:start], "big")
        bodies.append(packed[start:at])
    return bodies
