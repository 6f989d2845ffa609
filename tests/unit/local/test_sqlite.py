import asyncio
import sqlite3
import subprocess
import sys
import threading

import pytest

from sluicegate.adapters.local import sqlite
from sluicegate.adapters.local.schema import MIGRATIONS
from sluicegate.adapters.local.sqlite import Database
from sluicegate.kernel.errors import ConfigurationError, DependencyUnavailableError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "sluicegate.db"


@pytest.fixture
async def database(path):
    database = Database(path, busy_s=0.05)
    yield database
    await database.close()


def insert(connection):
    connection.execute("INSERT INTO budget_overrides VALUES ('t', 's', 'n', 'day', 1)")


def count(connection):
    return connection.execute("SELECT COUNT(*) FROM budget_overrides").fetchone()[0]


async def test_nothing_happens_before_first_use(path):
    database = Database(path)
    assert not path.parent.exists()
    await database.close()
    assert not path.parent.exists()


async def test_only_the_owner_may_read_it(database, path):
    await database.write(insert)
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


async def test_a_change_applies_wholly_or_not_at_all(database):
    def change(connection):
        insert(connection)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        await database.write(change)
    assert await database.read(count) == 0
    await database.write(insert)
    assert await database.read(count) == 1


async def test_a_reader_sees_one_moment_while_a_writer_goes_on(database):
    started, done = threading.Event(), threading.Event()

    def twice(connection):
        first = count(connection)
        started.set()
        assert done.wait(5)
        return first, count(connection)

    reading = asyncio.create_task(database.read(twice))
    await asyncio.to_thread(started.wait, 5)
    await database.write(insert)
    done.set()
    assert await reading == (0, 0)
    assert await database.read(count) == 1


async def test_the_event_loop_is_free_while_the_disk_works(database):
    gate = threading.Event()
    waiting = asyncio.create_task(database.write(lambda _: gate.wait(5)))
    await asyncio.sleep(0)
    gate.set()  # reachable only because the loop was not blocked
    assert await waiting


async def test_a_file_locked_elsewhere_is_unavailable_and_comes_back(database, path):
    await database.read(count)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(DependencyUnavailableError, match="locked"):
        await database.write(insert)
    assert await database.read(count) == 0
    blocker.execute("ROLLBACK")
    blocker.close()
    await database.write(insert)


async def test_a_file_of_another_kind_is_named(path):
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, but long enough to look like one" * 100)
    database = Database(path)
    with pytest.raises(ConfigurationError, match=r"sluicegate\.db is not a Sluicegate database"):
        await database.read(count)
    await database.close()


async def test_a_newer_file_is_refused(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    newer.close()
    database = Database(path)
    with pytest.raises(ConfigurationError, match="upgrade"):
        await database.read(count)
    await database.close()


async def test_migrations_apply_once_and_in_order_and_a_failed_one_not_at_all(path, monkeypatch):
    monkeypatch.setattr(sqlite, "MIGRATIONS", ("CREATE TABLE a (x); INSERT INTO a VALUES (1);",))
    database = Database(path)
    await database.read(lambda _: None)
    await database.close()
    steps = (*sqlite.MIGRATIONS, "INSERT INTO a VALUES (2); CREATE TABLE a (x)")
    monkeypatch.setattr(sqlite, "MIGRATIONS", steps)
    broken = Database(path)
    with pytest.raises(DependencyUnavailableError):
        await broken.read(lambda _: None)
    await broken.close()
    monkeypatch.setattr(sqlite, "MIGRATIONS", (steps[0], "INSERT INTO a VALUES (3)"))
    mended = Database(path)
    rows = await mended.read(lambda c: [tuple(r) for r in c.execute("SELECT x FROM a ORDER BY x").fetchall()])
    assert rows == [(1,), (3,)]
    await mended.close()


async def test_two_processes_may_start_a_new_file_at_once(path):
    both = [Database(path), Database(path)]
    assert await asyncio.gather(*(database.read(count) for database in both)) == [0, 0]
    for database in both:
        await database.close()


async def test_a_new_file_that_another_process_is_just_setting_up_is_waited_for(path):
    path.parent.mkdir()
    connections = [sqlite3.connect(path, isolation_level=None, check_same_thread=False) for _ in range(2)]
    first, second = connections
    first.execute("BEGIN IMMEDIATE")
    second.execute("BEGIN")
    second.execute("SELECT * FROM sqlite_schema").fetchall()
    database = Database(path)
    reading = asyncio.ensure_future(database.read(count))
    await asyncio.wait({reading}, timeout=0.1)
    assert not reading.done()
    for connection in connections:
        connection.execute("ROLLBACK")
        connection.close()
    assert await reading == 0
    await database.close()


async def test_what_is_written_after_another_process_came_and_went_is_there_for_the_next(database, path):
    """Whoever closes last removes the write-ahead log; the locks of both lanes must say that we are there."""
    await database.write(insert)
    assert await database.read(count) == 1
    look = (
        f"import sqlite3; c = sqlite3.connect({str(path)!r}); "  # noqa: S608 - a path of ours
        "print(c.execute('SELECT COUNT(*) FROM budget_overrides').fetchone()[0]); c.close()"
    )
    for expected in (1, 2, 3):
        seen = subprocess.run(  # noqa: ASYNC221 - the loop has nothing else to do
            [sys.executable, "-c", look], capture_output=True, text=True, check=True
        )
        assert int(seen.stdout) == expected
        await database.write(
            lambda connection, n=expected: connection.execute(
                "INSERT INTO budget_overrides VALUES ('t', 's', ?, 'day', 1)", (f"n{n}",)
            )
        )
