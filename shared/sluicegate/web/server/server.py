"""Listening, the clock of all connections, and an orderly end."""

import asyncio
import socket
from collections.abc import Sequence

from sluicegate.web.server.connection import Connection
from sluicegate.web.server.heads import DatedStatusLines
from sluicegate.web.server.limits import ServerLimits
from sluicegate.web.server.problems import Handler

_DRAIN_POLL_S = 0.02
_CANCEL_GRACE_S = 1.0


class Server:
    """A listening server; `serve` makes one.

    `connections` and `tasks` are what is open and under way now: read their lengths for metrics.
    """

    def __init__(self, handler: Handler, limits: ServerLimits) -> None:
        self.handler = handler
        self.limits = limits
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time()
        self.status_lines = DatedStatusLines()
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.draining = False
        self._listeners: list[asyncio.Server] = []
        self._timer = self.loop.call_later(limits.tick_s, self._tick)

    @property
    def open_connections(self) -> int:
        """Connections open now."""
        return len(self.connections)

    @property
    def port(self) -> int:
        """The TCP port listened on.

        Raises:
            LookupError: the server listens on no TCP port.
        """
        for listener in self._listeners:
            for listening in listener.sockets:
                address = listening.getsockname()
                if isinstance(address, tuple):
                    return int(address[1])
        raise LookupError("the server listens on no TCP port")

    def adopt(self, listener: asyncio.Server) -> None:
        """Count `listener` as this server's own."""
        self._listeners.append(listener)

    def _tick(self) -> None:
        self.now = now = self.loop.time()
        self.status_lines.refresh()
        for connection in tuple(self.connections):
            if connection.deadline < now or connection.write_paused:
                connection.look_at_clock(now)
        self._timer = self.loop.call_later(self.limits.tick_s, self._tick)

    async def drain(self, timeout_s: float) -> int:
        """Stop listening, let what is under way finish, and close everything.

        Idle connections close at once; answers that begin from now on say `connection: close`. Handlers
        that are not done within `timeout_s` seconds are cancelled, and what they were sending is cut.

        Returns:
            How many handlers were cancelled.
        """
        self.draining = True
        for listener in self._listeners:
            listener.close()
        for connection in tuple(self.connections):
            connection.drain()
        end = self.loop.time() + timeout_s
        # Polled, so that requests do not pay for an end that comes once.
        while (self.connections or self.tasks) and self.loop.time() < end:  # noqa: ASYNC110 - see above
            await asyncio.sleep(min(_DRAIN_POLL_S, timeout_s))
        left = tuple(self.tasks)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_CANCEL_GRACE_S)
        for connection in tuple(self.connections):
            connection.abort()
        while self.connections:  # noqa: ASYNC110 - each is told by the event loop within a turn or two
            await asyncio.sleep(0)
        self._timer.cancel()
        return len(left)


async def serve(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    sockets: Sequence[socket.socket] | None = None,
    uds: str | None = None,
    limits: ServerLimits | None = None,
    backlog: int = 2_048,
    reuse_port: bool = False,
) -> Server:
    """Serve `handler` on the running event loop.

    Args:
        handler: called for each request, in a task of its own.
        host: the address to bind, unless `sockets` or `uds` say otherwise.
        port: the port to bind; 0 for any free one, see `Server.port`.
        sockets: bound sockets to listen on instead.
        uds: path of a Unix socket to listen on instead.
        limits: see `ServerLimits`.
        backlog: connections the kernel may keep waiting to be accepted.
        reuse_port: share the port with other processes.

    Raises:
        OSError: the address cannot be bound.
    """
    server = Server(handler, limits or ServerLimits())
    loop = server.loop

    def connection() -> Connection:
        return Connection(server)

    try:
        if sockets is not None:
            for listening in sockets:
                server.adopt(await loop.create_server(connection, sock=listening, backlog=backlog))
        elif uds is not None:
            server.adopt(await loop.create_unix_server(connection, uds, backlog=backlog))
        else:
            server.adopt(
                await loop.create_server(
                    connection, host, port, backlog=backlog, reuse_port=reuse_port or None
                )
            )
    except BaseException:
        await server.drain(0)
        raise
    return server
