"""One client of the embedded server: its commands in order, its transaction, its subscriptions."""

import asyncio
from collections.abc import Callable
from typing import ClassVar, Protocol, cast

import hiredis

from sluicegate.adapters.redis.embedded.commands.registry import COMMANDS
from sluicegate.adapters.redis.embedded.commands.server import REDIS_VERSION
from sluicegate.adapters.redis.embedded.engine import Engine, unknown, wrong_arity
from sluicegate.adapters.redis.embedded.pubsub import Channels
from sluicegate.adapters.redis.embedded.resp import OK, CommandError, RawReply, Reply, Status, encode

Words = tuple[bytes, ...]

_MAX_REQUEST_BYTES = 512 << 20
_MAX_UNREAD_BYTES = 32 << 20
_WHILE_SUBSCRIBED = {b"SUBSCRIBE", b"UNSUBSCRIBE", b"PING", b"QUIT", b"RESET"}
_IMMEDIATE = {b"EXEC", b"DISCARD", b"MULTI", b"QUIT", b"RESET", b"WATCH"}
_NEEDS_NO_LOGIN = (
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?"
)


class Backend(Protocol):
    """What a session needs of the server."""

    engine: Engine
    channels: Channels

    def commit(self) -> None:
        """Make what was done durable; before any reply about it leaves."""
        ...


class Session(asyncio.Protocol):
    """Speaks RESP2 with one client."""

    def __init__(self, backend: Backend, number: int, on_closed: Callable[["Session"], None]) -> None:
        self._backend = backend
        self._engine = backend.engine
        self._number = number
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader()
        self._queue: list[Words] | None = None
        self._spoiled = False
        self._channels: set[bytes] = set()
        self._name = b""
        self._leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        for channel in self._channels:
            self._backend.channels.leave(channel, self)
        self._transport = None
        self._on_closed(self)

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        out: list[bytes] = []
        try:
            self._reader.feed(data)
            while not self._leaving and (words := self._reader.gets()) is not False:
                self._serve(words, out)
        except hiredis.ProtocolError as error:
            out.append(f"-ERR Protocol error: {error}\r\n".encode())
            self._leaving = True
        if self._reader.len() > _MAX_REQUEST_BYTES:
            self._leaving = True
        self._backend.commit()
        if self._transport is not None:
            if out:
                self._transport.write(b"".join(out))
            if self._leaving:
                self._transport.close()

    def deliver(self, channel: bytes, payload: bytes) -> None:
        """Send a published message; a client that does not read is cut off."""
        if self._transport is None:
            return
        out: list[bytes] = []
        encode([b"message", channel, payload], out)
        self._transport.write(b"".join(out))
        if self._transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            self._transport.abort()

    def abort(self) -> None:
        """Cut the client off."""
        if self._transport is not None:
            self._transport.abort()

    def _serve(self, words: object, out: list[bytes]) -> None:
        if words == [] or words is None:
            return
        if not isinstance(words, list) or not all(type(word) is bytes for word in words):
            raise hiredis.ProtocolError("expected an array of bulk strings")
        try:
            reply = self._run(tuple(words))
        except CommandError as error:
            out.append(b"-%b\r\n" % error.message.replace("\r", " ").replace("\n", " ").encode())
            return
        encode(reply, out)

    def _run(self, words: Words) -> Reply:
        name = words[0].upper()
        if self._channels and name not in _WHILE_SUBSCRIBED:
            text = name.decode("latin-1").lower()
            raise CommandError(
                f"ERR Can't execute '{text}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
                "are allowed in this context"
            )
        if self._queue is not None and name not in _IMMEDIATE:
            return self._enqueue(name, words)
        own = self._OWN.get(name)
        return own(self, words) if own is not None else self._engine.execute(words)

    def _enqueue(self, name: bytes, words: Words) -> Reply:
        spec = COMMANDS.get(name)
        if spec is not None and not spec.fits(len(words)):
            self._spoiled = True
            raise CommandError(wrong_arity(words[0]))
        if spec is None and name not in {b"EVAL", b"EVALSHA", b"PUBLISH", b"SCRIPT"}:
            self._spoiled = True
            raise CommandError(unknown(words))
        if self._queue is not None:
            self._queue.append(words)
        return Status(b"QUEUED")

    def _multi(self, _words: Words) -> Reply:
        if self._queue is not None:
            raise CommandError("ERR MULTI calls can not be nested")
        self._queue, self._spoiled = [], False
        return OK

    def _discard(self, _words: Words) -> Reply:
        if self._queue is None:
            raise CommandError("ERR DISCARD without MULTI")
        self._queue = None
        return OK

    def _exec(self, _words: Words) -> Reply:
        queue, self._queue = self._queue, None
        if queue is None:
            raise CommandError("ERR EXEC without MULTI")
        if self._spoiled:
            raise CommandError("EXECABORT Transaction discarded because of previous errors.")
        replies: list[Reply] = []
        for words in queue:
            try:
                replies.append(self._engine.execute(words))
            except CommandError as error:
                replies.append(error)
        return replies

    def _watch(self, _words: Words) -> Reply:
        raise CommandError("ERR the embedded server does not watch keys; use a script")

    def _subscribe(self, words: Words) -> Reply:
        if len(words) < 2:
            raise CommandError(wrong_arity(words[0]))
        out: list[bytes] = []
        for channel in words[1:]:
            self._channels.add(channel)
            self._backend.channels.join(channel, self)
            encode([b"subscribe", channel, len(self._channels)], out)
        return RawReply(b"".join(out))

    def _unsubscribe(self, words: Words) -> Reply:
        out: list[bytes] = []
        gone = words[1:] or tuple(self._channels)
        for channel in gone:
            self._channels.discard(channel)
            self._backend.channels.leave(channel, self)
            encode([b"unsubscribe", channel, len(self._channels)], out)
        if not gone:
            encode([b"unsubscribe", None, 0], out)
        return RawReply(b"".join(out))

    def _ping(self, words: Words) -> Reply:
        if self._channels:
            return [b"pong", words[1] if len(words) > 1 else b""]
        return self._engine.execute(words)

    def _quit(self, _words: Words) -> Reply:
        self._leaving = True
        return OK

    def _reset(self, _words: Words) -> Reply:
        self._queue = None
        for channel in self._channels:
            self._backend.channels.leave(channel, self)
        self._channels.clear()
        return Status(b"RESET")

    def _auth(self, _words: Words) -> Reply:
        raise CommandError(_NEEDS_NO_LOGIN)

    def _select(self, words: Words) -> Reply:
        if len(words) != 2:
            raise CommandError(wrong_arity(words[0]))
        if words[1] != b"0":
            raise CommandError("ERR DB index is out of range")
        return OK

    def _hello(self, words: Words) -> Reply:
        if len(words) > 1 and words[1] != b"2":
            raise CommandError("NOPROTO unsupported protocol version")
        options = [word.upper() for word in words[2:]]
        if b"AUTH" in options:
            raise CommandError(_NEEDS_NO_LOGIN)
        if b"SETNAME" in options[:-1]:
            self._name = words[2 + options.index(b"SETNAME") + 1]
        return [
            b"server", b"redis", b"version", REDIS_VERSION.encode(), b"proto", 2, b"id", self._number,
            b"mode", b"standalone", b"role", b"master", b"modules", [],
        ]  # fmt: skip

    def _client(self, words: Words) -> Reply:
        action = words[1].upper() if len(words) > 1 else b""
        if action == b"ID":
            return self._number
        if action == b"GETNAME":
            return self._name or None
        if action == b"SETNAME" and len(words) == 3:
            self._name = words[2]
            return OK
        if action in {b"SETINFO", b"NO-EVICT", b"NO-TOUCH"}:
            return OK
        text = words[1].decode("latin-1") if len(words) > 1 else ""
        raise CommandError(f"ERR unknown subcommand '{text[:128]}'. Try CLIENT HELP.")

    _OWN: ClassVar[dict[bytes, Callable[["Session", Words], Reply]]] = {
        b"AUTH": _auth,
        b"CLIENT": _client,
        b"DISCARD": _discard,
        b"EXEC": _exec,
        b"HELLO": _hello,
        b"MULTI": _multi,
        b"PING": _ping,
        b"QUIT": _quit,
        b"RESET": _reset,
        b"SELECT": _select,
        b"SUBSCRIBE": _subscribe,
        b"UNSUBSCRIBE": _unsubscribe,
        b"WATCH": _watch,
    }
