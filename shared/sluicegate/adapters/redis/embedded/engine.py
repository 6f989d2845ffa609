"""The embedded Redis without its sockets and files: commands and scripts on one keyspace."""

import time
from collections.abc import Callable

from sluicegate.adapters.redis.embedded.commands import (
    hashes,
    keys,
    sequences,
    server,
    sorted_sets,
    streams,
    strings,
)
from sluicegate.adapters.redis.embedded.commands.registry import COMMANDS, integer
from sluicegate.adapters.redis.embedded.keyspace import Command, Keyspace
from sluicegate.adapters.redis.embedded.resp import OK, CommandError, Reply
from sluicegate.adapters.redis.embedded.scripting import Scripting

# Importing a module of commands registers them.
REGISTERED = (hashes, keys, sequences, server, sorted_sets, streams, strings)

_SCRIPT_COMMANDS = {b"EVAL", b"EVALSHA", b"EVAL_RO", b"EVALSHA_RO", b"SCRIPT"}
# Known to Redis but meaningless or harmful inside a script.
_NOT_IN_SCRIPT = _SCRIPT_COMMANDS | {
    b"AUTH", b"CLIENT", b"DISCARD", b"EXEC", b"HELLO", b"MULTI", b"PSUBSCRIBE", b"PUNSUBSCRIBE", b"QUIT",
    b"RESET", b"SELECT", b"SUBSCRIBE", b"UNSUBSCRIBE", b"UNWATCH", b"WATCH",
}  # fmt: skip


def _wall_clock_us() -> int:
    return time.time_ns() // 1000


class Engine:
    """Runs commands one at a time.

    Args:
        publish: delivers a message and returns the number of its receivers.
        clock: microseconds since the epoch.
    """

    def __init__(
        self,
        publish: Callable[[bytes, bytes], int] = lambda _channel, _payload: 0,
        clock: Callable[[], int] = _wall_clock_us,
    ) -> None:
        self.db = Keyspace()
        self._publish = publish
        self._clock = clock
        self._scripting: Scripting | None = None

    def execute(self, words: tuple[bytes, ...]) -> Reply:
        """Run one command of a client now; its effects are then in `db.effects`.

        Raises:
            CommandError: the command's error reply.
        """
        self.db.now_us = self._clock()
        return self.run(words)

    def run(self, words: tuple[bytes, ...]) -> Reply:
        """Run one command at the time that is set already; inside a transaction."""
        name = words[0].upper()
        if name in COMMANDS:
            return self._apply(name, words)
        if name in _SCRIPT_COMMANDS:
            return self._script_command(name, words)
        if name == b"PUBLISH":
            return self._apply_publish(words)
        raise CommandError(unknown(words))

    def replay(self, words: tuple[bytes, ...]) -> None:
        """Run one effect again; at a time before every deadline, since expiry is an effect of its own."""
        self.db.now_us = 0
        COMMANDS[words[0]].run(self.db, words)
        self.db.effects.clear()

    def take_effects(self) -> list[Command]:
        """The effects since the last call."""
        effects = self.db.effects
        if effects:
            self.db.effects = []
        return effects

    def expire_some(self, limit: int = 200) -> int:
        """Remove up to `limit` keys whose deadline has passed; how many were removed."""
        db = self.db
        db.now_us = self._clock()
        due = [key for key, deadline in db.deadlines.items() if deadline * 1000 <= db.now_us][:limit]
        for key in due:
            db.get(key)
        return len(due)

    @property
    def scripting(self) -> Scripting:
        """The Lua side, made when first needed."""
        if self._scripting is None:
            self._scripting = Scripting(self._from_script)
        return self._scripting

    def _apply(self, name: bytes, words: tuple[bytes, ...]) -> Reply:
        spec, db = COMMANDS[name], self.db
        if not spec.fits(len(words)):
            raise CommandError(wrong_arity(words[0]))
        if not spec.writes:
            return spec.run(db, words)
        db.instead = None
        reply = spec.run(db, words)
        if db.instead is None:
            db.effects.append((name, *words[1:]))
        else:
            db.effects += db.instead
        return reply

    def _apply_publish(self, words: tuple[bytes, ...]) -> Reply:
        if len(words) != 3:
            raise CommandError(wrong_arity(words[0]))
        return self._publish(words[1], words[2])

    def _from_script(self, words: tuple[bytes, ...]) -> Reply:
        name = words[0].upper()
        spec = COMMANDS.get(name)
        if name in _NOT_IN_SCRIPT or (spec is not None and not spec.in_script):
            raise CommandError("ERR This Redis command is not allowed from script")
        if spec is not None:
            if not spec.fits(len(words)):
                raise CommandError("ERR Wrong number of args calling Redis command from script")
            return self._apply(name, words)
        if name == b"PUBLISH":
            return self._apply_publish(words)
        raise CommandError("ERR Unknown Redis command called from script")

    def _script_command(self, name: bytes, words: tuple[bytes, ...]) -> Reply:
        if name == b"SCRIPT":
            return self._manage_scripts(words)
        if len(words) < 3:
            raise CommandError(wrong_arity(words[0]))
        count = integer(words[2])
        if count < 0:
            raise CommandError("ERR Number of keys can't be negative")
        if count > len(words) - 3:
            raise CommandError("ERR Number of keys can't be greater than number of args")
        sha = words[1] if name.startswith(b"EVALSHA") else self.scripting.load(words[1])
        return self.scripting.run(sha, words[3 : 3 + count], words[3 + count :])

    def _manage_scripts(self, words: tuple[bytes, ...]) -> Reply:
        action = words[1].upper() if len(words) > 1 else b""
        if action == b"LOAD" and len(words) == 3:
            return self.scripting.load(words[2])
        if action == b"EXISTS" and len(words) > 2:
            return [int(self.scripting.knows(sha)) for sha in words[2:]]
        if action == b"FLUSH":
            self.scripting.flush()
            return OK
        text = words[1].decode("latin-1") if len(words) > 1 else ""
        raise CommandError(f"ERR unknown subcommand '{text[:128]}'. Try SCRIPT HELP.")


def wrong_arity(name: bytes) -> str:
    """The error for a command with too few or too many words."""
    return f"ERR wrong number of arguments for '{name.decode('latin-1').lower()}' command"


def unknown(words: tuple[bytes, ...]) -> str:
    """The error for a command that does not exist here."""
    shown = "".join(f"'{word[:128].decode('latin-1')}' " for word in words[1:8])
    return f"ERR unknown command '{words[0][:128].decode('latin-1')}', with args beginning with: {shown}"
