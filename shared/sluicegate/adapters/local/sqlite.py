"""One SQLite file that holds the local documents, shared by the server and the command line.

Several processes may use it at once (write-ahead log). In a process one thread writes and one reads,
so the event loop never waits for the disk, and a reader never waits for a writer.
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar

from sluicegate.adapters.local.schema import MIGRATIONS
from sluicegate.kernel.errors import ConfigurationError, DependencyUnavailableError

T = TypeVar("T")

_SWITCH_AGAIN_S = 0.005
_LOG_BYTES = 16 * 1024 * 1024


class Database:
    """An asynchronous face on one SQLite file. Opens on first use; nothing happens at construction.

    Args:
        path: the file; created with its folder, readable by its owner only.
        busy_s: seconds to wait for another process's write before giving up.
        migrations: the tables of the file; those of `schema.py` when None.
        synchronous: FULL where what was written must outlive the machine's failure; NORMAL where it can be
            made again.
        secure_delete: overwrite what is deleted.
        cache_mib: pages that each of the two threads keeps in memory, in MiB.
    """

    def __init__(
        self,
        path: Path,
        *,
        busy_s: float = 5.0,
        migrations: Sequence[str] | None = None,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        secure_delete: bool = False,
        cache_mib: int = 2,
    ) -> None:
        self._path = path
        self._busy_s = busy_s
        self._migrations = MIGRATIONS if migrations is None else migrations
        # FULL: a usage row may leave the outbox only once it is on the disk for good.
        self._pragmas = (
            f"synchronous = {synchronous}",
            # A log that a long reader once let grow does not stay that large.
            f"journal_size_limit = {_LOG_BYTES}",
            f"cache_size = {-1024 * cache_mib}",
            f"secure_delete = {'ON' if secure_delete else 'OFF'}",
            "foreign_keys = ON",
        )
        self._synchronous = synchronous
        self._waits_for_disk = True
        self._lock = threading.Lock()
        self._migrated = False
        self._writer = _Lane("sluicegate-sqlite-write", self._open)
        self._reader = _Lane("sluicegate-sqlite-read", self._open)

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """What `query` returns, on a consistent view of the database.

        Raises:
            DependencyUnavailableError: the file cannot be read now.
            ConfigurationError: it is not ours, or newer than this program.
        """

        def run(connection: sqlite3.Connection) -> T:
            with _transaction(connection, "BEGIN DEFERRED"):
                return query(connection)

        return await self._reader.run(run)

    async def write(self, change: Callable[[sqlite3.Connection], T], *, lasting: bool = True) -> T:
        """What `change` returns, once all it did is on disk. It applies wholly or not at all.

        Args:
            change: what to do within one transaction.
            lasting: False for what a failure of the whole machine (not just of this process) may undo.

        Raises:
            DependencyUnavailableError: the file cannot be written now (locked, full, read-only).
            ConfigurationError: it is not ours, or newer than this program.
        """

        def run(connection: sqlite3.Connection) -> T:
            self._wait_for_disk(connection, lasting=lasting)
            with _transaction(connection, "BEGIN IMMEDIATE"):
                return change(connection)

        return await self._writer.run(run)

    async def scrub(self) -> None:
        """Write the file anew, so that nothing deleted is left in it or in its write-ahead log.

        Raises:
            DependencyUnavailableError: somebody else uses the file just now.
        """

        def run(connection: sqlite3.Connection) -> None:
            connection.execute("VACUUM")
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise sqlite3.OperationalError("a reader keeps the write-ahead log")

        await self._writer.run(run)

    async def close(self) -> None:
        """Finish what is under way and close the file. The database may not be used afterwards."""
        await self._reader.close()
        await self._writer.close()

    def _wait_for_disk(self, connection: sqlite3.Connection, *, lasting: bool) -> None:
        """Have the writer's next commits wait for the disk, or not."""
        if lasting is not self._waits_for_disk and self._synchronous == "FULL":
            connection.execute(f"PRAGMA synchronous = {'FULL' if lasting else 'NORMAL'}")
            self._waits_for_disk = lasting

    def _open(self) -> sqlite3.Connection:
        with self._lock:
            connection = self._connect()
            try:
                if not self._migrated:
                    self._migrate(connection)
                    self._migrated = True
            except BaseException:
                connection.close()
                raise
            return connection

    def _connect(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Keys' digests and spending lie in it: never readable by others, not even for a moment. A file
            # that is there is not opened: closing it again would drop the locks that this process's other
            # connections hold (POSIX), and the next process to close the database would take their
            # write-ahead log away.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            pass
        except OSError as error:
            raise ConfigurationError(f"{self._path}: cannot be opened: {error.strerror}") from error
        connection = sqlite3.connect(
            self._path, timeout=self._busy_s, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        try:
            self._log_ahead(connection)
            for pragma in self._pragmas:
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.OperationalError:
            connection.close()
            raise
        except sqlite3.DatabaseError as error:
            connection.close()
            raise ConfigurationError(
                f"{self._path} is not a Sluicegate database ({error}); move it away to start a new one"
            ) from error
        return connection

    def _log_ahead(self, connection: sqlite3.Connection) -> None:
        """Switch to the write-ahead log.

        The first switch needs the file alone, and SQLite does not wait for that as it does for a write: of
        several processes that open a new file at once, all but one would fail.
        """
        deadline = time.monotonic() + self._busy_s
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(_SWITCH_AGAIN_S)
            else:
                return

    def _migrate(self, connection: sqlite3.Connection) -> None:
        with _transaction(connection, "BEGIN IMMEDIATE"):
            (applied,) = connection.execute("PRAGMA user_version").fetchone()
            if applied > len(self._migrations):
                raise ConfigurationError(
                    f"{self._path} has schema {applied}, this program knows {len(self._migrations)}: "
                    "upgrade sluicegate or use another --data folder"
                )
            for migration in self._migrations[applied:]:
                for statement in _statements(migration):
                    connection.execute(statement)
            # A pragma takes no parameters; the number is ours.
            connection.execute(f"PRAGMA user_version = {len(self._migrations)}")


class _Lane:
    """One thread with one connection of its own, opened when first needed."""

    def __init__(self, name: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._work, work)

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._connect()
            return work(self._connection)
        except sqlite3.OperationalError as error:
            raise DependencyUnavailableError(
                f"the local database cannot be used now: {error}", retry_after=1.0
            ) from error

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._executor, self._close)
        self._executor.shutdown(wait=False)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite rolls some failures back by itself (a full disk); a second ROLLBACK would hide them.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """The statements of `script`; `executescript` would commit the transaction that must cover them."""
    return (statement for statement in script.split(";") if statement.strip())
