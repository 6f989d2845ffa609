"""The event bus of the embedded mode: one SQLite file that all processes of the machine share.

Published events wait for each group until it has done with them, however long that takes: the file grows with
what is not done, and its space is used again afterwards. Consuming costs a few rows per batch, not per event.
"""

import asyncio
import json
import os
import re
import socket
import sqlite3
from collections.abc import Sequence

from sluicegate.adapters.local import bus_batches as batches
from sluicegate.adapters.local.dead_letters import BURY
from sluicegate.adapters.local.sqlite import Database
from sluicegate.events.ports import Delivery, GroupState, Message
from sluicegate.kernel.clock import Clock

_POLL_S = 0.25
_LOOK_FOR_ENDED_S = 1.0


class SqliteEventBus:
    """`events.ports.EventBus` and `Progress` on SQLite.

    Args:
        database: of the bus's own file (`bus_schema.BUS_MIGRATIONS`); closed by whoever opened it.
        groups: consumer groups that exist from the start, so that nobody publishes before them.
    """

    def __init__(self, database: Database, groups: Sequence[str], clock: Clock) -> None:
        self._database = database
        self._groups = tuple(groups)
        self._clock = clock
        self._host = socket.gethostname()
        self._owner = f"{self._host}:{os.getpid()}:{os.urandom(4).hex()}"
        self._arrived = asyncio.Event()
        self._looked_at = -_LOOK_FOR_ENDED_S

    async def subscribe(self, group: str, *, expires_s: float | None = None) -> None:
        now = self._clock.now()
        expires = None if expires_s is None else now + expires_s

        def change(connection: sqlite3.Connection) -> None:
            _forget_expired(connection, now)
            connection.execute(
                "INSERT INTO groups (name, expires) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET expires = excluded.expires",
                (group, expires),
            )

        await self._database.write(change)

    async def unsubscribe(self, group: str) -> None:
        await self._database.write(lambda connection: _forget_group(connection, group))

    async def publish(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        now = self._clock.now()

        def change(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR IGNORE INTO groups (name) VALUES (?)", [(g,) for g in self._groups]
            )
            _forget_expired(connection, now)
            names = [name for (name,) in connection.execute("SELECT name FROM groups ORDER BY name")]
            if names:
                batches.add(connection, messages, names, now)

        await self._database.write(change)
        arrived, self._arrived = self._arrived, asyncio.Event()
        arrived.set()

    async def receive(self, group: str, count: int, lease_s: float, wait_s: float) -> Sequence[Delivery]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while True:
            arrived = self._arrived
            await self._look_for_ended(loop.time())
            deliveries = await self._take(group, count, lease_s)
            left = deadline - loop.time()
            if deliveries or left <= 0:
                return deliveries
            # Other processes publish, too, and cannot call.
            waiter = loop.create_task(arrived.wait())
            await asyncio.wait((waiter,), timeout=min(left, _POLL_S))
            waiter.cancel()

    async def ack(self, group: str, deliveries: Sequence[Delivery]) -> None:  # noqa: ARG002 - a port's
        # Should a failure of the machine undo this, they come again, and change nothing.
        await self._database.write(lambda connection: batches.settle(connection, deliveries), lasting=False)

    async def retry(self, group: str, delivery: Delivery, reason: str, delay_s: float) -> None:
        due = self._clock.now() + delay_s

        def change(connection: sqlite3.Connection) -> None:
            if batches.is_pending(connection, delivery):
                batches.put_off(connection, group, delivery, due, delivery.attempt, reason)
                batches.settle(connection, [delivery])

        await self._database.write(change, lasting=False)

    async def release(self, group: str, deliveries: Sequence[Delivery]) -> None:  # noqa: ARG002 - a port's
        rows = {delivery.token.row for delivery in deliveries}
        now = self._clock.now()

        def change(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "UPDATE pending SET due = ?, owner = NULL WHERE id = ? AND owner = ?",
                [(now, row, self._owner) for row in rows],
            )

        await self._database.write(change, lasting=False)

    async def bury(self, group: str, delivery: Delivery, reason: str) -> None:
        now = self._clock.now()
        values = (group, delivery.tenant, reason, delivery.attempt, delivery.first_at, now, delivery.body)

        def change(connection: sqlite3.Connection) -> None:
            if batches.settle(connection, [delivery]):
                connection.execute(BURY, values)

        await self._database.write(change)

    async def groups(self) -> Sequence[GroupState]:
        sql = (
            "SELECT name, COALESCE((SELECT SUM(count) FROM pending WHERE grp = name), 0), "
            "(SELECT MIN(at) FROM batches WHERE id IN (SELECT batch FROM pending WHERE grp = name)), "
            "(SELECT COUNT(*) FROM dead_letters WHERE grp = name) FROM groups "
            "UNION SELECT grp, 0, NULL, COUNT(*) FROM dead_letters "
            "WHERE grp NOT IN (SELECT name FROM groups) GROUP BY grp ORDER BY 1"
        )
        rows = await self._database.read(lambda connection: connection.execute(sql).fetchall())
        return [GroupState(*row) for row in rows]

    async def mark(self) -> int:
        sql = "SELECT COALESCE(MAX(id), 0) FROM batches"
        found = await self._database.read(lambda connection: connection.execute(sql).fetchone())
        return int(found[0])

    async def passed(self, mark: int) -> bool:
        """Whether every group that does not expire has done with what was published up to `mark`."""
        sql = (
            "SELECT 1 FROM pending WHERE batch <= ? "
            "AND grp IN (SELECT name FROM groups WHERE expires IS NULL) LIMIT 1"
        )
        found = await self._database.read(lambda connection: connection.execute(sql, (mark,)).fetchone())
        return found is None

    async def forget_person(self, tenant: str, person: str, pseudonym: str) -> int:  # noqa: ARG002 - a port's
        """Delete dead letters that name the person; their number. What still waits must be applied first.

        When this returns, the file has no trace of them.
        """
        names = {person.encode(), json.dumps(person)[1:-1].encode()}
        named = re.compile(rb"(?<![\w.-])(?:" + b"|".join(map(re.escape, names)) + rb")(?![\w.-])")

        def change(connection: sqlite3.Connection) -> int:
            rows = connection.execute("SELECT id, body FROM dead_letters WHERE tenant = ?", (tenant,))
            found = [(row["id"],) for row in rows if named.search(row["body"])]
            connection.executemany("DELETE FROM dead_letters WHERE id = ?", found)
            return len(found)

        count = await self._database.write(change)
        await self._database.scrub()
        return count

    async def forget_tenant(self, tenant: str) -> int:
        """Delete all of the tenant's events, those that wait included; their number."""

        def change(connection: sqlite3.Connection) -> int:
            count: int = connection.execute("DELETE FROM dead_letters WHERE tenant = ?", (tenant,)).rowcount
            ours = "SELECT id FROM batches WHERE tenant = ?"
            connection.execute(f"DELETE FROM pending WHERE batch IN ({ours})", (tenant,))  # noqa: S608 - a constant
            found = connection.execute(
                "SELECT COALESCE(SUM(count), 0) FROM batches WHERE tenant = ?", (tenant,)
            )
            count += found.fetchone()[0]
            connection.execute("DELETE FROM batches WHERE tenant = ?", (tenant,))
            return count

        count = await self._database.write(change)
        await self._database.scrub()
        return count

    async def _take(self, group: str, count: int, lease_s: float) -> list[Delivery]:
        now = self._clock.now()
        due = await self._database.read(
            lambda connection: connection.execute(
                "SELECT 1 FROM pending WHERE grp = ? AND due <= ? LIMIT 1", (group, now)
            ).fetchone()
        )
        if due is None:
            return []
        return await self._database.write(
            lambda connection: batches.take(connection, group, count, now, now + lease_s, self._owner),
            lasting=False,
        )

    async def _look_for_ended(self, at: float) -> None:
        """Have what processes of this machine held when they ended be due at once."""
        if at - self._looked_at < _LOOK_FOR_ENDED_S:
            return
        self._looked_at = at
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT DISTINCT owner FROM pending WHERE owner IS NOT NULL"
            ).fetchall()
        )
        now = self._clock.now()
        ended = [(now, owner) for (owner,) in rows if self._has_ended(owner)]
        if ended:
            await self._database.write(
                lambda connection: connection.executemany(
                    "UPDATE pending SET due = MIN(due, ?) WHERE owner = ?", ended
                ),
                lasting=False,
            )

    def _has_ended(self, owner: str) -> bool:
        host, _, rest = owner.partition(":")
        if host != self._host or owner == self._owner:
            return False
        try:
            os.kill(int(rest.partition(":")[0]), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


def _forget_expired(connection: sqlite3.Connection, now: float) -> None:
    for (name,) in connection.execute("SELECT name FROM groups WHERE expires <= ?", (now,)).fetchall():
        _forget_group(connection, name)


def _forget_group(connection: sqlite3.Connection, group: str) -> None:
    found = connection.execute("SELECT DISTINCT batch FROM pending WHERE grp = ?", (group,)).fetchall()
    connection.execute("DELETE FROM pending WHERE grp = ?", (group,))
    connection.execute("DELETE FROM groups WHERE name = ?", (group,))
    batches.forget_done(connection, [batch for (batch,) in found])
