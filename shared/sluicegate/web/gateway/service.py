"""The gateway as a thing to start and stop: opened on first use, drained at the end."""

import asyncio
import contextlib
import gc
import logging
import resource
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sluicegate.web.asgi import as_asgi
from sluicegate.web.exchange import Exchange
from sluicegate.web.server import serve
from sluicegate.web.server.server import Server

log = logging.getLogger(__name__)

YOUNG_OBJECTS = 70_000

Handler = Callable[[Exchange], Awaitable[None]]
Hook = Callable[[], Awaitable[object]]


class Running:
    """A built service: its handler, and what to do before the first request and after the last.

    `opening` hooks run in order; `closing` hooks in order too, each tried whatever the others did.
    """

    def __init__(self, handler: Handler, opening: Sequence[Hook], closing: Sequence[Hook]) -> None:
        self.handler = handler
        self.opening = tuple(opening)
        self.closing = tuple(closing)


class GatewayService:
    """An ASGI application, and a server of its own.

    Nothing is read or opened before the first request or `run`, so that importing it costs nothing.

    Args:
        build: makes the service; called once, within the event loop that serves it.
    """

    def __init__(self, build: Callable[[], Running]) -> None:
        self._build = build
        self._running: Running | None = None
        self._lock: asyncio.Lock | None = None
        self._asgi = as_asgi(self._handle, on_startup=[self.open], on_shutdown=[self.close])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI 3. Works with and without lifespan events."""
        await self._asgi(scope, receive, send)

    async def open(self) -> Handler:
        """Build and open the service, once; its handler."""
        if self._running is not None:
            return self._running.handler
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            if self._running is None:
                running = self._build()
                for hook in running.opening:
                    await hook()
                self._running = running
        return self._running.handler

    async def close(self) -> None:
        """Run the closing hooks; a failing one is logged and does not keep the others."""
        running, self._running = self._running, None
        if running is None:
            return
        for hook in running.closing:
            try:
                await hook()
            except Exception:
                log.exception("closing failed", extra={"hook": getattr(hook, "__qualname__", str(hook))})

    async def _handle(self, exchange: Exchange) -> None:
        running = self._running
        handler = running.handler if running is not None else await self.open()
        await handler(exchange)

    async def run(
        self,
        *,
        host: str,
        port: int,
        drain_s: float,
        reuse_port: bool = False,
        started: Callable[[Server], None] | None = None,
    ) -> None:
        """Serve until SIGTERM or SIGINT, then drain within `drain_s` seconds.

        `started` is called with the listening server; `reuse_port` shares the port with other processes.
        """
        _raise_open_files()
        handler = await self.open()
        server = await serve(handler, host=host, port=port, reuse_port=reuse_port)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, stop.set)
        # What lives since start lives to the end: keep the collector from looking at it again and again.
        gc.collect()
        gc.freeze()
        # A request's objects die by their counts, not by cycles: look for those a hundred times less often.
        gc.set_threshold(YOUNG_OBJECTS)
        if started is not None:
            started(server)
        await stop.wait()
        log.info("draining")
        # Half for requests under way, the rest for settling what they leave behind.
        cut = await server.drain(drain_s / 2)
        await self.close()
        log.info("stopped", extra={"requests_cut": cut})


def _raise_open_files() -> None:
    """Use all the open files the system grants: a relayed stream takes two, one to either side."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems call "unlimited" what they do not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run_service(
    service: GatewayService, *, host: str, port: int, drain_s: float, started: Callable[[Server], None] | None
) -> None:
    """Run `service` on uvloop, until it is told to stop."""
    import uvloop  # noqa: PLC0415 - only whoever serves needs it

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(service.run(host=host, port=port, drain_s=drain_s, started=started))
