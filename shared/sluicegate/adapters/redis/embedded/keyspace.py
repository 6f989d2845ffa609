"""Keys, their values and deadlines, and what a command changed about them."""

from collections import deque
from typing import TypeVar

from sluicegate.adapters.redis.embedded.resp import WRONG_TYPE, CommandError
from sluicegate.adapters.redis.embedded.values import SortedSet, Stream

Value = bytes | dict[bytes, bytes] | SortedSet | Stream | deque[bytes] | set[bytes]
Command = tuple[bytes, ...]
V = TypeVar("V", bytes, dict[bytes, bytes], SortedSet, Stream, "deque[bytes]", "set[bytes]")

TYPE_NAMES: dict[type, bytes] = {
    bytes: b"string",
    dict: b"hash",
    SortedSet: b"zset",
    Stream: b"stream",
    deque: b"list",
    set: b"set",
}


class Keyspace:
    """All keys of the server.

    `now_us` is the time in microseconds since the epoch, set once per command or script so that one
    script sees one time. `effects` are the commands that, run in order on the same state at any later
    time, lead to the same new state: what the journal keeps. A command whose own words would not (because
    they depend on the time, say) puts the words that do into `instead`.
    """

    def __init__(self) -> None:
        self.values: dict[bytes, Value] = {}
        self.deadlines: dict[bytes, int] = {}
        self.now_us = 0
        self.effects: list[Command] = []
        self.instead: list[Command] | None = None

    @property
    def now_ms(self) -> int:
        """The time in milliseconds since the epoch."""
        return self.now_us // 1000

    def get(self, key: bytes) -> Value | None:
        """The value of `key` unless it is absent or past its deadline."""
        deadline = self.deadlines.get(key)
        if deadline is not None and deadline * 1000 <= self.now_us:
            # Whoever replays the journal has no clock: the end of a key is an effect like any other.
            self.delete(key)
            self.effects.append((b"DEL", key))
            return None
        return self.values.get(key)

    def typed(self, key: bytes, kind: type[V]) -> V | None:
        """The value of `key` if it is a `kind`, None if there is none.

        Raises:
            CommandError: it holds another kind (WRONGTYPE).
        """
        value = self.get(key)
        if value is None or type(value) is kind:
            return value
        raise CommandError(WRONG_TYPE)

    def ensured(self, key: bytes, kind: type[V]) -> V:
        """As `typed`, but an absent key gets an empty value."""
        value = self.typed(key, kind)
        if value is None:
            value = kind()
            self.values[key] = value
        return value

    def put(self, key: bytes, value: Value, *, keep_deadline: bool = False) -> None:
        """Set a key; its deadline goes unless kept."""
        self.values[key] = value
        if not keep_deadline:
            self.deadlines.pop(key, None)

    def delete(self, key: bytes) -> bool:
        """Remove a key; whether it was there. Does not look at the deadline."""
        self.deadlines.pop(key, None)
        return self.values.pop(key, None) is not None

    def drop_if_empty(self, key: bytes) -> None:
        """Remove a key whose hash, list, set or sorted set has become empty, as Redis does."""
        if not self.values.get(key, True):
            self.delete(key)

    def clear(self) -> None:
        """Remove every key."""
        self.values.clear()
        self.deadlines.clear()

    def alive(self) -> list[bytes]:
        """Every key that is not past its deadline."""
        for key in [key for key, deadline in self.deadlines.items() if deadline * 1000 <= self.now_us]:
            self.get(key)
        return list(self.values)
