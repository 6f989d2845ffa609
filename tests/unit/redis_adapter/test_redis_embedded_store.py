"""What the embedded server's folder holds is what its memory held, whatever moment it ended at."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.adapters.redis.embedded.engine import Engine
from sluicegate.adapters.redis.embedded.resp import CommandError
from sluicegate.adapters.redis.embedded.snapshot import commands_for
from sluicegate.adapters.redis.embedded.store import Store
from sluicegate.kernel.errors import ConfigurationError

Words = tuple[bytes, ...]


class Ticking:
    """A clock that goes on by itself, so that keys expire between and inside commands."""

    def __init__(self) -> None:
        self.us = 1_700_000_000_000_000

    def __call__(self) -> int:
        self.us += 400
        return self.us


def opened(folder: Path, clock: Callable[[], int] | None = None, **options: int) -> tuple[Engine, Store]:
    engine = Engine(clock=clock or Ticking())
    store = Store(folder, engine, **options)
    store.open()
    return engine, store


def state(engine: Engine) -> dict[bytes, list[Words]]:
    return {key: list(commands_for(engine.db, key)) for key in engine.db.values}


def run(engine: Engine, store: Store, commands: list[Words]) -> None:
    for words in commands:
        with contextlib.suppress(CommandError):
            engine.execute(words)
        store.commit()


KEY = st.sampled_from([b"k1", b"k2", b"k3"])
WORD = st.sampled_from([b"a", b"b", b"1", b"2", b"-3", b""])
MANY_WRITES = (
    b"redis.call('SET', KEYS[1], redis.call('TIME')[2], 'PX', 2) "
    b"redis.call('XADD', KEYS[2], '*', 'n', ARGV[1]) "
    b"redis.call('HINCRBYFLOAT', KEYS[3], 'f', 0.1) "
    b"if ARGV[1] == 'b' then error('after writing') end return 1"
)
COMMAND = st.one_of(
    st.tuples(st.just(b"SET"), KEY, WORD),
    st.tuples(st.just(b"SET"), KEY, WORD, st.just(b"PX"), st.sampled_from([b"1", b"2", b"5000"])),
    st.tuples(st.just(b"SET"), KEY, WORD, st.sampled_from([b"NX", b"XX", b"KEEPTTL"])),
    st.tuples(st.just(b"PEXPIRE"), KEY, st.sampled_from([b"1", b"3", b"9000", b"-1"])),
    st.tuples(st.sampled_from([b"INCR", b"DEL", b"GET", b"PERSIST", b"GETDEL", b"LPOP", b"ZPOPMIN"]), KEY),
    st.tuples(st.sampled_from([b"HINCRBY", b"HSET", b"HSETNX"]), KEY, WORD, WORD),
    st.tuples(
        st.sampled_from([b"HDEL", b"SADD", b"SREM", b"RPUSH", b"LPUSH", b"ZREM", b"APPEND"]), KEY, WORD
    ),
    st.tuples(st.just(b"ZADD"), KEY, st.sampled_from([b"1.1", b"-inf", b"0.30000000000000004"]), WORD),
    st.tuples(st.just(b"XADD"), KEY, st.just(b"*"), WORD, WORD),
    st.tuples(st.just(b"XTRIM"), KEY, st.just(b"MAXLEN"), st.sampled_from([b"0", b"2"])),
    st.tuples(st.just(b"RENAME"), KEY, KEY),
    st.tuples(st.just(b"EVAL"), st.just(MANY_WRITES), st.just(b"3"), KEY, KEY, KEY, WORD),
    st.just((b"FLUSHALL",)),
)


@given(commands=st.lists(COMMAND, max_size=30), again=st.lists(COMMAND, max_size=10), compacted=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_restart_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, commands: list[Words], again: list[Words], *, compacted: bool
) -> None:
    folder = tmp_path_factory.mktemp("state")
    engine, store = opened(folder)
    run(engine, store, commands)
    if compacted:
        store.compact()
        run(engine, store, again)
    before = state(engine)
    store.close()
    reopened, second = opened(folder)
    assert state(reopened) == before
    second.close()


def test_every_length_of_a_torn_record_loses_that_record_and_nothing_else(tmp_path: Path) -> None:
    engine, store = opened(tmp_path)
    run(engine, store, [(b"SET", b"a", b"1"), (b"HSET", b"h", b"f", b"v")])
    journal = tmp_path / "state-00000001.journal"
    whole = journal.stat().st_size
    before = state(engine)
    run(engine, store, [(b"MSET", b"a", b"2", b"b", b"3")])
    store.close()
    content = journal.read_bytes()
    for length in range(whole + 1, len(content)):
        journal.write_bytes(content[:length])
        engine, store = opened(tmp_path)
        assert state(engine) == before
        run(engine, store, [(b"SET", b"later", b"1")])
        store.close()
        assert journal.with_suffix(".torn").read_bytes() == content[whole:length]
        engine, store = opened(tmp_path)
        assert state(engine) == {**before, b"later": [(b"SET", b"later", b"1")]}
        store.close()


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    engine, store = opened(tmp_path)
    run(engine, store, [(b"SET", b"a", b"1"), (b"SET", b"b", b"2")])
    store.close()
    journal = tmp_path / "state-00000001.journal"
    content = bytearray(journal.read_bytes())
    content[-5] ^= 1
    journal.write_bytes(content)
    engine, store = opened(tmp_path)
    assert set(state(engine)) == {b"a"}
    store.close()


def test_a_script_is_in_the_journal_whole_or_not_at_all(tmp_path: Path) -> None:
    engine, store = opened(tmp_path)
    run(
        engine,
        store,
        [(b"EVAL", b"for i = 1, 3 do redis.call('SET', KEYS[i], i) end", b"3", b"a", b"b", b"c")],
    )
    store.close()
    journal = tmp_path / "state-00000001.journal"
    journal.write_bytes(journal.read_bytes()[:-1])
    engine, store = opened(tmp_path)
    assert state(engine) == {}
    store.close()


def test_a_large_journal_gives_way_to_a_snapshot(tmp_path: Path) -> None:
    engine, store = opened(tmp_path, compact_at=10_000)
    for number in range(2_000):
        run(engine, store, [(b"SET", b"a", b"%d" % number)])
        store.tidy()
        # Waiting for the writer makes the sizes below independent of its speed.
        store._reap(wait=True)
    before = state(engine)
    store.close()
    files = sorted(path.name for path in tmp_path.glob("state-*"))
    assert sum(path.stat().st_size for path in tmp_path.glob("state-*")) < 50_000
    assert [name.rpartition(".")[2] for name in files] == ["journal", "snapshot"]
    engine, store = opened(tmp_path)
    assert state(engine) == before
    store.close()


def test_an_unfinished_snapshot_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, store = opened(tmp_path)
    run(engine, store, [(b"SET", b"a", b"1")])
    # The writer dies at once, as if killed.
    monkeypatch.setattr("sluicegate.adapters.redis.embedded.store.write_snapshot", lambda *_: os._exit(9))
    store.compact()
    run(engine, store, [(b"SET", b"b", b"2")])
    before = state(engine)
    store.close()
    draft = tmp_path / "state-00000002.draft"
    draft.write_bytes(b"half")
    assert not draft.with_suffix(".snapshot").exists()
    engine, store = opened(tmp_path)
    assert state(engine) == before
    assert not draft.exists()
    store.close()


def test_damage_that_no_crash_explains_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    engine, store = opened(tmp_path)
    run(engine, store, [(b"SET", b"a", b"1")])
    store.compact()
    store.close()
    snapshot = tmp_path / "state-00000002.snapshot"
    snapshot.write_bytes(snapshot.read_bytes()[:-3])
    with pytest.raises(ConfigurationError, match=r"state-00000002\.snapshot.*delete it to start empty"):
        opened(tmp_path)


def test_the_folder_has_one_user_at_a_time(tmp_path: Path) -> None:
    _, store = opened(tmp_path)
    with pytest.raises(ConfigurationError, match=f"in use by process {os.getpid()}"):
        opened(tmp_path)
    store.close()
    opened(tmp_path)[1].close()


def test_a_key_that_expired_stays_gone_however_the_clock_stands(tmp_path: Path) -> None:
    clock = Ticking()
    engine, store = opened(tmp_path, clock)
    run(engine, store, [(b"SET", b"a", b"5", b"PX", b"1")])
    clock.us += 10_000
    run(engine, store, [(b"INCR", b"a")])
    store.close()
    engine, store = opened(tmp_path)
    assert state(engine) == {b"a": [(b"SET", b"a", b"1")]}
    store.close()


def test_due_keys_leave_without_being_asked_for(tmp_path: Path) -> None:
    clock = Ticking()
    engine, store = opened(tmp_path, clock)
    run(engine, store, [(b"SET", b"a", b"5", b"PX", b"10"), (b"SET", b"b", b"5")])
    clock.us += 20_000
    assert engine.expire_some() == 1
    assert set(engine.db.values) == {b"b"}
    store.close()
