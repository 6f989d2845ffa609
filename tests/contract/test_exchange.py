"""What handlers may rely on, whichever server drives them."""

import asyncio
import contextlib
import json
import socket

import pytest
import uvicorn
import uvloop

from sluicegate.kernel.errors import PayloadTooLargeError, RequestTimeoutError
from sluicegate.web.asgi import as_asgi
from sluicegate.web.exchange import ClientGoneError
from sluicegate.web.server import ServerLimits, asgi_handler, serve

LIMITS = ServerLimits(body_s=0.2)


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@contextlib.asynccontextmanager
async def own(handler):
    server = await serve(handler, limits=LIMITS)
    try:
        yield server.port
    finally:
        await server.drain(1)


@contextlib.asynccontextmanager
async def under_uvicorn(handler):
    server = uvicorn.Server(
        uvicorn.Config(
            as_asgi(handler, limits=LIMITS),
            log_config=None,
            lifespan="on",
            http="httptools",
            timeout_graceful_shutdown=1,
        )
    )
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server._serve([listening]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


@pytest.fixture(params=[own, under_uvicorn], ids=["own", "uvicorn"])
def driver(request):
    return request.param


class Client:
    def __init__(self, reader, writer) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, data: bytes, method: str = "GET"):
        self.writer.write(data)
        head = await self.reader.readuntil(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100 "):
            head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().lower().split("\r\n")[:-2]
        headers = dict(line.split(": ", 1) for line in lines)
        pieces = []
        if method != "HEAD" and "content-length" in headers:
            pieces.append(await self.reader.readexactly(int(headers["content-length"])))
        elif method != "HEAD" and headers.get("transfer-encoding") == "chunked":
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                pieces.append((await self.reader.readexactly(size + 2))[:-2])
            await self.reader.readexactly(2)
        return int(first.split(" ")[1]), headers, b"".join(pieces)


@contextlib.asynccontextmanager
async def client(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def talk(driver, handler):
    async with driver(handler) as port, client(port) as wire:
        yield wire


GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"


def post(body: bytes, path: bytes = b"/") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


class TestExchange:
    async def test_tells_the_request(self, driver):
        async def handler(exchange):
            facts = {
                "method": exchange.method,
                "path": exchange.path,
                "query": exchange.query.decode(),
                "client": exchange.client,
                "first": (exchange.header(b"x-a") or b"").decode(),
                "missing": exchange.header(b"x-b"),
                "names": sorted({name.decode() for name, _ in exchange.headers}),
                "body": (await exchange.body(10)).decode(),
            }
            assert await exchange.body(10) == await exchange.body(10)
            await exchange.respond(201, [(b"content-type", b"application/json")], json.dumps(facts).encode())

        async with talk(driver, handler) as wire:
            for _ in range(2):
                status, headers, body = await wire.ask(
                    b"PATCH /a%2Fb%20c/%C3%A9?q=%20 HTTP/1.1\r\nHost: t\r\n"
                    b"X-A: 1\r\nX-A: 2\r\nContent-Length: 3\r\n\r\nabc"
                )
                assert status == 201
                assert headers["content-type"] == "application/json"
                assert json.loads(body) == {
                    "method": "PATCH",
                    "path": "/a/b c/é",
                    "query": "q=%20",
                    "client": "127.0.0.1",
                    "first": "1",
                    "missing": None,
                    "names": ["content-length", "host", "x-a"],
                    "body": "abc",
                }

    async def test_sets_the_content_length(self, driver):
        async def handler(exchange):
            await exchange.respond(200, [(b"content-length", b"99")], b"four")

        async with talk(driver, handler) as wire:
            assert (await wire.ask(GET))[2] == b"four"
            _, headers, _ = await wire.ask(GET.replace(b"GET", b"HEAD"), "HEAD")
            assert headers["content-length"] == "4"
            assert (await wire.ask(GET))[2] == b"four"

    @pytest.mark.parametrize("status", [204, 304])
    async def test_answers_without_a_body_have_none(self, driver, status):
        async def handler(exchange):
            await exchange.respond(status, [], b"")

        async with talk(driver, handler) as wire:
            for _ in range(2):
                assert (await wire.ask(GET))[0] == status

    async def test_streams(self, driver):
        async def handler(exchange):
            await exchange.start(200, [(b"content-type", b"text/event-stream")])
            for piece in (b"a", b"", b"b" * 100_000, b"c"):
                await exchange.write(piece)
                await asyncio.sleep(0)
            await exchange.finish()
            await exchange.finish()

        async with talk(driver, handler) as wire:
            for _ in range(2):
                status, headers, body = await wire.ask(GET)
                assert (status, headers["transfer-encoding"]) == (200, "chunked")
                assert body == b"a" + b"b" * 100_000 + b"c"

    @pytest.mark.parametrize(
        "framing",
        [b"Content-Length: 11\r\n\r\n%b", b"Transfer-Encoding: chunked\r\n\r\nb\r\n%b\r\n0\r\n\r\n"],
    )
    async def test_bodies_beyond_the_limit(self, driver, framing):
        async def handler(exchange):
            with pytest.raises(PayloadTooLargeError) as caught:
                await exchange.body(10)
            assert caught.value.details == {"limit_bytes": 10}
            await exchange.respond(413, [], b"")

        async with talk(driver, handler) as wire:
            request = b"POST / HTTP/1.1\r\nHost: t\r\n" + framing % (b"a" * 11)
            assert (await wire.ask(request))[0] == 413

    async def test_bodies_at_the_limit(self, driver):
        async def handler(exchange):
            await exchange.respond(200, [], await exchange.body(10))

        async with talk(driver, handler) as wire:
            assert (await wire.ask(post(b"a" * 10)))[2] == b"a" * 10

    async def test_bodies_that_do_not_arrive(self, driver):
        async def handler(exchange):
            with pytest.raises(RequestTimeoutError):
                await exchange.body(10)
            await exchange.respond(408, [], b"")

        async with talk(driver, handler) as wire:
            assert (await wire.ask(post(b"abc")[:-1]))[0] == 408

    async def test_expectations(self, driver):
        async def handler(exchange):
            await exchange.respond(200, [], await exchange.body(10))

        async with talk(driver, handler) as wire:
            wire.writer.write(
                b"POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
            )
            assert (await wire.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            assert (await wire.ask(b"ok"))[2] == b"ok"

    @pytest.mark.parametrize("streaming", [False, True])
    async def test_a_client_that_goes_away_cancels(self, driver, streaming):
        waiting, cancelled = asyncio.Event(), asyncio.Event()

        async def handler(exchange):
            if streaming:
                await exchange.start(200, [])
                await exchange.write(b"a")
            waiting.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        async with talk(driver, handler) as wire:
            wire.writer.write(GET)
            await waiting.wait()
            wire.writer.close()
            await cancelled.wait()

    @pytest.mark.parametrize("streaming", [False, True])
    async def test_a_handler_may_go_on_without_its_client(self, driver, streaming):
        waiting, done = asyncio.Event(), asyncio.Event()

        async def handler(exchange):
            exchange.cancel_when_gone = False
            if not streaming:
                waiting.set()
                await asyncio.sleep(0.2)
                await exchange.respond(200, [], b"in vain")
                done.set()
                return
            await exchange.start(200, [])
            with pytest.raises(ClientGoneError):  # noqa: PT012 - which write notices depends on the kernel
                while True:
                    await exchange.write(b"a" * 4_096)
                    waiting.set()
                    await asyncio.sleep(0)
            await exchange.finish()
            done.set()

        async with talk(driver, handler) as wire:
            wire.writer.write(GET)
            await waiting.wait()
            wire.writer.transport.abort()
            await done.wait()

    @pytest.mark.parametrize("streaming", [False, True])
    async def test_a_handler_that_goes_on_is_told_at_once(self, driver, streaming):
        waiting, told, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
        tellings = []

        def tell():
            tellings.append(done.is_set())
            told.set()

        async def handler(exchange):
            exchange.when_gone(tell)
            if streaming:
                await exchange.start(200, [])
                await exchange.write(b"a")
            waiting.set()
            await told.wait()
            await asyncio.sleep(0.02)
            done.set()

        async with talk(driver, handler) as wire:
            wire.writer.write(GET)
            await waiting.wait()
            wire.writer.close()
            await done.wait()
        assert tellings == [False]

    async def test_nobody_is_told_of_a_client_that_has_its_answer(self, driver):
        tellings, done = [], asyncio.Event()

        async def handler(exchange):
            exchange.when_gone(lambda: tellings.append(exchange))
            await exchange.respond(200, [], b"")
            await asyncio.sleep(0.05)
            done.set()

        async with talk(driver, handler) as wire:
            await wire.ask(GET)
            wire.writer.transport.abort()
            await done.wait()
        assert not tellings

    async def test_what_follows_the_answer_is_not_cancelled(self, driver):
        done = asyncio.Event()

        async def handler(exchange):
            await exchange.respond(200, [], b"")
            await asyncio.sleep(0.05)
            done.set()

        async with talk(driver, handler) as wire:
            await wire.ask(GET)
            wire.writer.transport.abort()
            await done.wait()

    async def test_failures_show(self, driver, caplog):
        async def handler(exchange):
            if exchange.path == "/typed":
                raise PayloadTooLargeError("Much too large.")
            if exchange.path == "/late":
                await exchange.start(200, [])
                await exchange.write(b"a")
            raise KeyError("secret")

        async with driver(handler) as port:
            for path, expected, code in (
                (b"/", 500, "internal_error"),
                (b"/typed", 413, "request_too_large"),
            ):
                async with client(port) as wire:
                    status, headers, body = await wire.ask(post(b"", path))
                    assert (status, json.loads(body)["code"]) == (expected, code)
                    assert headers["content-type"] == "application/problem+json"
                    assert b"secret" not in body
            async with client(port) as wire:
                with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                    await wire.ask(post(b"", b"/late"))
        assert "secret" in caplog.text

    async def test_an_answer_is_given_once(self, driver, caplog):
        async def handler(exchange):
            with pytest.raises(RuntimeError):
                await exchange.write(b"")
            with pytest.raises(ValueError, match="line end"):
                await exchange.respond(200, [(b"x", b"a\nb: c")], b"")
            with pytest.raises(ValueError, match="final"):
                await exchange.respond(100, [], b"")
            await exchange.respond(200, [], b"once")
            with pytest.raises(RuntimeError):
                await exchange.respond(200, [], b"twice")

        async with talk(driver, handler) as wire:
            assert (await wire.ask(GET))[2] == b"once"
            assert (await wire.ask(GET))[2] == b"once"
        assert caplog.records == []

    async def test_a_slow_reader_holds_up_the_writer(self, driver):
        written = 0

        async def handler(exchange):
            nonlocal written
            await exchange.start(200, [])
            for _ in range(1_000):
                await exchange.write(b"a" * 16_384)
                written += 16_384
            await exchange.finish()

        async with talk(driver, handler) as wire:
            wire.writer.write(GET)
            before = -1
            while before != written:
                before = written
                await asyncio.sleep(0.1)
            assert 0 < written < 1_000 * 16_384
            assert len((await wire.ask(b""))[2]) == 1_000 * 16_384

    async def test_serves_an_application(self, driver):
        async def app(scope, receive, send):
            assert scope["type"] == "http"
            body = b""
            while True:
                message = await receive()
                body += message["body"]
                if not message["more_body"]:
                    break
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"X-Path", scope["raw_path"])]}
            )
            await send({"type": "http.response.body", "body": body[:2], "more_body": True})
            await send({"type": "http.response.body", "body": body[2:]})
            assert await receive() == {"type": "http.disconnect"}

        async with talk(driver, asgi_handler(app)) as wire:
            for _ in range(2):
                _, headers, body = await wire.ask(post(b"hello", b"/a%20b"))
                assert (body, headers["x-path"]) == (b"hello", "/a%20b")

    async def test_bounds_the_bodies_of_an_application(self, driver):
        async def app(scope, receive, send):
            while (await receive())["type"] != "http.disconnect":
                pass
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise KeyError("nobody listens any more")

        async with talk(driver, asgi_handler(app, body_limit=10)) as wire:
            status, _, body = await wire.ask(post(b"a" * 11))
            assert (status, json.loads(body)["code"]) == (413, "request_too_large")


class Lifespan:
    """One lifespan conversation."""

    def __init__(self) -> None:
        self.said = []

    async def receive(self):
        return {"type": f"lifespan.{'shutdown' if self.said else 'startup'}"}

    async def send(self, message):
        self.said.append(message["type"])


async def test_lifespan_hooks_run_in_order():
    ran = []

    def hook(name):
        async def run():
            ran.append(name)

        return run

    app = as_asgi(None, on_startup=[hook("a"), hook("b")], on_shutdown=[hook("c")])
    lifespan = Lifespan()
    await app({"type": "lifespan"}, lifespan.receive, lifespan.send)
    assert ran == ["a", "b", "c"]
    assert lifespan.said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_failing_start_stops_the_server():
    async def fail():
        raise OSError("no disk")

    lifespan = Lifespan()
    with pytest.raises(OSError, match="no disk"):
        await as_asgi(None, on_startup=[fail])({"type": "lifespan"}, lifespan.receive, lifespan.send)
    assert lifespan.said == ["lifespan.startup.failed"]


async def test_websockets_are_refused():
    lifespan = Lifespan()
    await as_asgi(None)({"type": "websocket"}, lifespan.receive, lifespan.send)
    assert lifespan.said == ["websocket.close"]
