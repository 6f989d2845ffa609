"""The embedded server: sockets in front of one engine and its folder."""

import asyncio
import itertools
import logging
import os
from pathlib import Path
from socket import AF_UNIX
from socket import socket as Socket  # noqa: N812 - a parameter here is called socket

from sluicegate.adapters.redis.embedded.engine import Engine
from sluicegate.adapters.redis.embedded.pubsub import Channels
from sluicegate.adapters.redis.embedded.session import Session
from sluicegate.adapters.redis.embedded.store import Store

_LOGGER = logging.getLogger(__name__)
_TICK_S = 0.1


class EmbeddedServer:
    """Serves one folder on a Unix socket, a port of 127.0.0.1, or both.

    There is no password: the socket is its owner's alone (mode 0600); a port is open to everyone on this
    machine.

    Args:
        folder: where the state is kept; None keeps it in memory only.
        sync_every_s: how often the journal is put on the disk.
    """

    def __init__(self, folder: Path | None, *, sync_every_s: float = 1.0) -> None:
        self.channels = Channels()
        self.engine = Engine(self.channels.publish)
        self.failed = asyncio.Event()
        self._store = Store(folder, self.engine) if folder is not None else None
        self._sync_every = max(1, round(sync_every_s / _TICK_S))
        self._servers: list[asyncio.Server] = []
        self._sessions: set[Session] = set()
        self._numbers = itertools.count(1)
        self._ticks = itertools.count(1)
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, *, socket: Path | None = None, port: int | None = None) -> int | None:
        """Load the state and listen; returns the port, chosen by the system when 0 was given.

        Raises:
            ConfigurationError: the folder is in use or damaged.
            OSError: the socket or port cannot be had.
        """
        if self._store is not None:
            self._store.open()
        loop = asyncio.get_running_loop()
        bound = None
        if socket is not None:
            self._servers.append(await loop.create_unix_server(self._session, sock=_private_socket(socket)))
        if port is not None:
            server = await loop.create_server(self._session, "127.0.0.1", port)
            bound = int(server.sockets[0].getsockname()[1])
            self._servers.append(server)
        self._timer = loop.call_later(_TICK_S, self._tick)
        return bound

    def commit(self) -> None:
        """Append to the journal what was done; if the disk refuses, stop before anyone is told of it."""
        if self._store is None:
            self.engine.take_effects()
            return
        try:
            self._store.commit()
        except OSError as error:
            self._give_up(error)

    async def stop(self) -> None:
        """Stop listening, cut off the clients, and put everything on the disk."""
        if self._timer is not None:
            self._timer.cancel()
        for server in self._servers:
            server.close()
        for session in list(self._sessions):
            session.abort()
        for server in self._servers:
            await server.wait_closed()
        if self._store is not None and not self.failed.is_set():
            self._store.close()

    def _session(self) -> Session:
        session = Session(self, next(self._numbers), self._sessions.discard)
        self._sessions.add(session)
        return session

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)
        self.engine.expire_some()
        self.commit()
        if self._store is None or self.failed.is_set():
            return
        try:
            if next(self._ticks) % self._sync_every == 0:
                self._store.sync()
            self._store.tidy()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if not self.failed.is_set():
            _LOGGER.critical("the journal cannot be written (%s); stopping", error.strerror or error)
            self.failed.set()
        for session in list(self._sessions):
            session.abort()


def _private_socket(path: Path) -> Socket:
    """A Unix socket that nobody but its owner may connect to, from its first moment on."""
    path.unlink(missing_ok=True)
    made = Socket(AF_UNIX)
    before = os.umask(0o177)
    try:
        made.bind(str(path))
    finally:
        os.umask(before)
    return made
