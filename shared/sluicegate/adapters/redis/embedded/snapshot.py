"""The whole keyspace as the commands that build it."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from sluicegate.adapters.redis.embedded.commands.registry import score_text
from sluicegate.adapters.redis.embedded.commands.streams import id_text
from sluicegate.adapters.redis.embedded.journal import MAGIC, record, sync_folder
from sluicegate.adapters.redis.embedded.keyspace import Command, Keyspace, Value
from sluicegate.adapters.redis.embedded.values import SortedSet, Stream

# The last record of a snapshot that was written to its end.
END: Command = (b"END",)
_WORDS_PER_COMMAND = 1_000


def write_snapshot(db: Keyspace, path: Path) -> None:
    """Write the keyspace to `path`, which appears only once it is whole and on the disk."""
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(MAGIC)
        for key in db.values:
            file.write(record(commands_for(db, key)))
        file.write(record([END]))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def commands_for(db: Keyspace, key: bytes) -> Iterator[Command]:
    """The commands that make `key` what it is, on an empty keyspace."""
    yield from _value_commands(key, db.values[key])
    deadline = db.deadlines.get(key)
    if deadline is not None:
        yield (b"PEXPIREAT", key, b"%d" % deadline)


def _value_commands(key: bytes, value: Value) -> Iterator[Command]:
    if isinstance(value, bytes):
        yield (b"SET", key, value)
    elif isinstance(value, dict):
        yield from _chunks(b"HSET", key, [word for pair in value.items() for word in pair])
    elif isinstance(value, SortedSet):
        # The text of a score reads back as the same double.
        words = [word for score, member in value.order for word in (score_text(score), member)]
        yield from _chunks(b"ZADD", key, words)
    elif isinstance(value, deque):
        yield from _chunks(b"RPUSH", key, list(value))
    elif isinstance(value, set):
        yield from _chunks(b"SADD", key, sorted(value))
    else:
        yield from _stream_commands(key, value)


def _stream_commands(key: bytes, stream: Stream) -> Iterator[Command]:
    for entry_id in stream.ids:
        yield (b"XADD", key, id_text(entry_id), *stream.entries[entry_id])
    last = id_text(stream.last_id)
    if not stream.ids:
        yield (b"XADD", key, last, b"", b"")
        yield (b"XDEL", key, last)
    yield (b"XSETID", key, last)


def _chunks(name: bytes, key: bytes, words: Sequence[bytes]) -> Iterator[Command]:
    for start in range(0, len(words), _WORDS_PER_COMMAND):
        yield (name, key, *words[start : start + _WORDS_PER_COMMAND])
