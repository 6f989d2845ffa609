"""Lua scripts, run by Lua 5.1 as in Redis itself."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lupa import lua51

from sluicegate.adapters.redis.embedded.commands.server import REDIS_VERSION
from sluicegate.adapters.redis.embedded.resp import (
    CommandError,
    RawReply,
    Reply,
    Status,
)

Call = Callable[[tuple[bytes, ...]], Reply]

_LOGGER = logging.getLogger(__name__)
_LEVELS = {0: logging.DEBUG, 1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING}
_FOLDER = Path(__file__).parent
_REPLY, _STATUS, _FAILURE = 0, 1, 2
_BAD_ARGUMENT = "ERR Lua redis lib command arguments must be strings or integers"
_NO_SCRIPT = "NOSCRIPT No matching script. Please use EVAL."


class Scripting:
    """Compiles scripts once and runs them in one Lua state.

    A script that never ends stops the server: nothing interrupts it.

    Args:
        call: runs one command for a script; raises CommandError.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._functions: dict[bytes, Any] = {}
        self._lua = lua51.LuaRuntime(
            encoding=None,
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
        )
        sandbox = self._lua.execute(
            b"return function(source, name, ...) return assert(loadstring(source, name))(...) end"
        )
        cjson = sandbox((_FOLDER / "cjson.lua").read_bytes(), b"=cjson")
        bits = self._lua.table_from({name.encode(): run for name, run in _BIT_OPERATIONS.items()})
        self._compile, self._run = sandbox(
            (_FOLDER / "sandbox.lua").read_bytes(),
            b"=sandbox",
            self._invoke,
            lambda text: hashlib.sha1(text, usedforsecurity=False).hexdigest().encode(),
            lambda level, text: _LOGGER.log(
                _LEVELS.get(level, logging.INFO), "%s", text.decode(errors="replace")
            ),
            bits,
            cjson,
            REDIS_VERSION.encode(),
        )

    def load(self, source: bytes) -> bytes:
        """Compile a script and keep it; returns its digest.

        Raises:
            CommandError: it does not compile.
        """
        # SHA-1 is Redis' name for a script, not a safeguard.
        sha = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
        if sha not in self._functions:
            function, problem = self._compile(source)
            if function is None:
                text = problem.decode(errors="replace")
                raise CommandError(f"ERR Error compiling script (new function): {text}")
            self._functions[sha] = function
        return sha

    def knows(self, sha: bytes) -> bool:
        """Whether the script of this digest is kept."""
        return sha.lower() in self._functions

    def flush(self) -> None:
        """Forget every script."""
        self._functions.clear()

    def run(self, sha: bytes, keys: Sequence[bytes], args: Sequence[bytes]) -> Reply:
        """Run a kept script.

        Raises:
            CommandError: unknown (NOSCRIPT), or the script failed; what it wrote before stays.
        """
        sha = sha.lower()
        function = self._functions.get(sha)
        if function is None:
            raise CommandError(_NO_SCRIPT)
        table = self._lua.table_from
        ok, reply, *line = self._run(function, table(keys), table(args))
        if ok:
            return RawReply(reply)
        where = f", on @user_script:{line[0]}" if line and line[0] is not None else ""
        raise CommandError(f"{reply.decode(errors='replace')} script: {sha.decode()}{where}.")

    def _invoke(self, *words: object) -> tuple[int, Any]:
        """One `redis.call`: (kind, value) for the sandbox. Never raises a command's error."""
        try:
            return self._to_lua(self._call(tuple(map(_word, words))))
        except CommandError as error:
            return _FAILURE, error.message.encode()

    def _to_lua(self, reply: Reply) -> tuple[int, Any]:
        if isinstance(reply, Status):
            return _STATUS, bytes(reply)
        return _REPLY, self._value(reply)

    def _value(self, reply: Reply) -> Any:
        """A reply as a script sees it: nothing is false, a list a table."""
        if reply is None:
            return False
        if isinstance(reply, list):
            return self._lua.table_from(
                [item if type(item) is bytes else self._value(item) for item in reply]
            )
        if isinstance(reply, Status):
            return self._lua.table_from({b"ok": bytes(reply)})
        return reply


def _word(value: object) -> bytes:
    """An argument of `redis.call` as Redis sends it; numbers to 17 digits.

    Raises:
        CommandError: neither a string nor a number.
    """
    # Exact types: Lua's booleans arrive as bool, which would pass for int.
    if type(value) is bytes:
        return value
    if type(value) is int:
        return b"%d" % value
    if type(value) is float:
        return b"%.17g" % value
    raise CommandError(_BAD_ARGUMENT)


def _signed(value: int) -> int:
    """The low 32 bits as a signed number, as LuaBitOp answers."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


def _fold(combine: Callable[[int, int], int]) -> Callable[..., int]:
    def folded(first: float, *rest: float) -> int:
        value = int(first)
        for item in rest:
            value = combine(value, int(item))
        return _signed(value)

    return folded


def _rotate(value: float, by: float) -> int:
    bits, places = int(value) & 0xFFFFFFFF, int(by) & 31
    return _signed(bits << places | bits >> (32 - places))


_BIT_OPERATIONS: dict[str, Callable[..., Any]] = {
    "tobit": lambda value: _signed(int(value)),
    "tohex": lambda value: b"%08x" % (int(value) & 0xFFFFFFFF),
    "bnot": lambda value: _signed(~int(value)),
    "band": _fold(lambda left, right: left & right),
    "bor": _fold(lambda left, right: left | right),
    "bxor": _fold(lambda left, right: left ^ right),
    "lshift": lambda value, by: _signed(int(value) << (int(by) & 31)),
    "rshift": lambda value, by: _signed((int(value) & 0xFFFFFFFF) >> (int(by) & 31)),
    "arshift": lambda value, by: _signed(_signed(int(value)) >> (int(by) & 31)),
    "rol": _rotate,
    "ror": lambda value, by: _rotate(value, -by),
    "bswap": lambda value: _signed(int.from_bytes((int(value) & 0xFFFFFFFF).to_bytes(4, "little"), "big")),
}
