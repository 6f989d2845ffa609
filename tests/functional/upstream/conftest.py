"""A server whose every byte the test decides, and both event loops to try the client on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
import uvloop

from sluicegate.adapters.web.http_client import HttpClient
from sluicegate.adapters.web.http_limits import ClientLimits


def pytest_asyncio_loop_factories(config, item):
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@dataclass
class Peer:
    """One connection, from the server's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int

    async def request(self, *, take_body: bool = True) -> tuple[bytes, bytes]:
        """The next request's head and body; EOFError when the client closed instead."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            raise EOFError from None
        body = b""
        for line in head.split(b"\r\n"):
            if take_body and line.lower().startswith(b"content-length:"):
                body = await self.reader.readexactly(int(line.split(b":")[1]))
        return head, body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes = b"ok", head: bytes = b"") -> None:
        await self.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%b\r\n%b" % (len(body), head, body))

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()


@dataclass
class Wire:
    port: int
    requests: list[tuple[bytes, bytes]] = field(default_factory=list)
    accepted: int = 0
    open: int = 0
    errors: list[Exception] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():  # noqa: ASYNC110 - the conditions are the tests', too many for an event each
            await asyncio.sleep(0.001)

    async def all_closed(self) -> None:
        await self.until(lambda: not self.open)


Handler = Callable[[Peer, tuple[bytes, bytes]], Awaitable[None]]


@pytest.fixture
async def wire() -> AsyncIterator[Callable[..., Awaitable[Wire]]]:
    """Start a server that calls `handler(peer, request)` for every request on every connection."""
    servers, tasks = [], set()

    async def start(handler: Handler, *, tls=None, take_body: bool = True) -> Wire:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            state.accepted += 1
            state.open += 1
            peer = Peer(reader, writer, state.accepted)
            tasks.add(asyncio.current_task())
            try:
                while True:
                    request = await peer.request(take_body=take_body)
                    state.requests.append(request)
                    await handler(peer, request)
            except (EOFError, ConnectionError, asyncio.CancelledError):
                pass
            except Exception as error:  # noqa: BLE001 - kept for the test to look at
                state.errors.append(error)
            finally:
                state.open -= 1
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        state = Wire(server.sockets[0].getsockname()[1])
        return state

    yield start
    for server in servers:
        server.close()
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.aclose()


@pytest.fixture
async def bounded() -> AsyncIterator[Callable[..., HttpClient]]:
    """A client with other limits."""
    made = []

    def make(**limits) -> HttpClient:
        made.append(HttpClient(ClientLimits(**limits)))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


@pytest.fixture
def call():
    """POST a small body, by default with deadlines that no test reaches."""

    async def post(client: HttpClient, server: Wire | str, body: bytes = b"{}", method="POST", **times):
        url = server if isinstance(server, str) else server.url
        waits = {"connect_s": 20.0, "first_byte_s": 20.0, "idle_s": 20.0, "total_s": 20.0} | times
        return await client.endpoint(method, f"{url}/v1/chat").send([(b"x-request-id", b"r1")], body, **waits)

    return post
