"""A server per test and a client that sees raw bytes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
import uvloop

from sluicegate.web.exchange import Exchange
from sluicegate.web.server import Handler, Server, ServerLimits, serve


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    chunks: list[bytes] = field(default_factory=list)


class Wire:
    """One client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, dict[str, str]]:
        raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
        protocol, status, _ = first.split(" ", 2)
        assert protocol == "HTTP/1.1"
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name not in headers, f"{name} came twice"
            headers[name] = value
        return int(status), headers

    async def answer(self, method: str = "GET") -> Answer:
        status, headers = await self.head()
        if method == "HEAD" or status in {100, 102, 204, 304}:
            return Answer(status, headers, b"")
        if "content-length" in headers:
            assert "transfer-encoding" not in headers
            return Answer(status, headers, await self.reader.readexactly(int(headers["content-length"])))
        if headers.get("transfer-encoding") == "chunked":
            chunks = []
            while size := int((await self.reader.readuntil(b"\r\n"))[:-2], 16):
                chunks.append(await self.reader.readexactly(size))
                assert await self.reader.readexactly(2) == b"\r\n"
            assert await self.reader.readexactly(2) == b"\r\n"
            return Answer(status, headers, b"".join(chunks), chunks)
        return Answer(status, headers, await self.reader.read())

    async def at_end(self) -> bool:
        """The server has ended the connection, in order, with nothing more to say."""
        return await self.reader.read() == b""

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()


@dataclass
class Rig:
    server: Server
    wires: list[Wire]

    async def connect(self) -> Wire:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.server.port))
        self.wires.append(wire)
        return wire

    async def ask(self, data: bytes, method: str = "GET") -> Answer:
        wire = await self.connect()
        wire.send(data)
        return await wire.answer(method)

    async def settled(self) -> None:
        """Wait until no connection and no handler is left."""
        await until(lambda: not self.server.connections and not self.server.tasks)


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.005)


async def echo(exchange: Exchange) -> None:
    """Answers with method, path, query and body; `/stream` and `/huge` stream."""
    body = await exchange.body(1 << 20)
    told = b"%b %b %b %b" % (exchange.method.encode(), exchange.path.encode(), exchange.query, body)
    if exchange.path.startswith("/stream"):
        await exchange.start(200, [(b"content-type", b"text/plain")])
        for word in told.split(b" "):
            await exchange.write(word)
        await exchange.finish()
    else:
        await exchange.respond(200, [(b"content-type", b"text/plain")], told)


Launch = Callable[..., Awaitable[Rig]]


@pytest.fixture
async def launch() -> AsyncIterator[Launch]:
    rigs: list[Rig] = []

    async def start(handler: Handler = echo, **limits) -> Rig:
        rig = Rig(await serve(handler, port=0, limits=ServerLimits(**limits)), [])
        rigs.append(rig)
        return rig

    yield start
    for rig in rigs:
        for wire in rig.wires:
            wire.close()
        await rig.server.drain(2)
        for wire in rig.wires:
            with contextlib.suppress(OSError):
                await wire.writer.wait_closed()
        assert not rig.server.connections
        assert not rig.server.tasks
