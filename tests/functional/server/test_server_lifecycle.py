"""Slow readers, vanished clients, failing handlers, the end of the server."""

import asyncio
import gc
import json
import logging

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.web.exchange import ClientGoneError
from sluicegate.web.server import asgi_handler, serve
from sluicegate.web.server.connection import Connection
from sluicegate.web.server.exchange import ServerExchange
from sluicegate.web.server.reader import RequestReader

GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"


async def until(condition):
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.005)


class Waiter:
    """Waits for ever, after `before`, and tells whether it was cancelled."""

    def __init__(self, before=None) -> None:
        self.before = before
        self.running = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, exchange):
        try:
            if self.before is not None:
                await self.before(exchange)
            self.running.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def begun(exchange):
    await exchange.start(200, [])
    await exchange.write(b"first")


# Clients that read slowly.


async def test_a_slow_reader_holds_up_the_writer(launch):
    written = 0

    async def handler(exchange):
        nonlocal written
        await exchange.start(200, [])
        for _ in range(2_000):
            await exchange.write(b"a" * 16_384)
            written += 16_384
        await exchange.finish()

    rig = await launch(handler)
    wire = await rig.connect()
    wire.send(GET)
    await wire.head()
    before = -1
    while before != written:
        before = written
        await asyncio.sleep(0.1)
    (connection,) = rig.server.connections
    assert connection.write_paused
    assert connection.transport.get_write_buffer_size() < 200_000
    assert written < 2_000 * 16_384
    while (await wire.reader.readuntil(b"\r\n")) != b"0\r\n":
        await wire.reader.readexactly(16_386)
    assert written == 2_000 * 16_384


async def test_no_further_request_begins_before_a_large_answer_is_taken(launch):
    begun_requests = 0

    async def handler(exchange):
        nonlocal begun_requests
        begun_requests += 1
        await exchange.respond(200, [], b"a" * 8_000_000)

    wire = await (await launch(handler)).connect()
    wire.send(GET * 10)
    await asyncio.sleep(0.2)
    assert begun_requests == 1
    for _ in range(10):
        assert len((await wire.answer()).body) == 8_000_000


async def test_a_reader_that_stops_is_cut_off(launch):
    async def endless(exchange):
        await exchange.start(200, [])
        while True:
            await exchange.write(b"a" * 65_536)

    waiter = Waiter(endless)
    rig = await launch(waiter, send_s=0.2)
    wire = await rig.connect()
    wire.send(GET)
    await wire.head()
    await waiter.cancelled.wait()
    await rig.settled()


async def test_a_finished_answer_nobody_takes_is_cut_off(launch):
    async def handler(exchange):
        await exchange.respond(200, [], b"a" * 16_000_000)

    rig = await launch(handler, send_s=0.2)
    wire = await rig.connect()
    wire.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    await wire.head()
    await rig.settled()


# Clients that go away.


@pytest.mark.parametrize("before", [None, begun], ids=["waiting", "streaming"])
@pytest.mark.parametrize("leave", ["reset", "close"])
async def test_a_client_that_goes_away_cancels_the_handler(launch, before, leave):
    waiter = Waiter(before)
    rig = await launch(waiter)
    wire = await rig.connect()
    wire.send(GET)
    await waiter.running.wait()
    getattr(wire, leave)()
    await waiter.cancelled.wait()
    await rig.settled()


async def test_a_client_that_goes_away_within_its_body_cancels_the_handler(launch):
    async def reads(exchange):
        await exchange.body(100)

    waiter = Waiter(reads)
    rig = await launch(waiter)
    wire = await rig.connect()
    wire.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nabc")
    await until(lambda: rig.server.tasks)
    wire.close()
    await waiter.cancelled.wait()


async def test_a_client_that_goes_away_before_its_handler_runs_leaves_nothing(launch):
    rig = await launch()
    for _ in range(50):
        wire = await rig.connect()
        wire.send(GET)
        await wire.writer.drain()
        wire.reset()
    await rig.settled()


async def test_work_after_the_answer_is_not_cancelled(launch):
    done = asyncio.Event()

    async def handler(exchange):
        await exchange.respond(200, [], b"")
        await asyncio.sleep(0.05)
        done.set()

    wire = await (await launch(handler)).connect()
    wire.send(GET)
    await wire.answer()
    wire.reset()
    await done.wait()


async def test_writing_to_a_client_that_has_gone_raises(launch):
    outcome = asyncio.get_running_loop().create_future()

    async def stubborn(exchange):
        await exchange.start(200, [])
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            try:
                await exchange.write(b"late")
            except ClientGoneError as error:
                outcome.set_result(error)
            raise

    rig = await launch(stubborn)
    wire = await rig.connect()
    wire.send(GET)
    await wire.head()
    wire.reset()
    assert isinstance(await outcome, ClientGoneError)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_half_closed_client_gets_its_answers(launch, streamed):
    async def handler(exchange):
        if streamed:
            await exchange.start(200, [])
        await asyncio.sleep(0.15)
        if streamed:
            await exchange.write(b"slow")
            await exchange.finish()
        else:
            await exchange.respond(200, [], b"slow")

    wire = await (await launch(handler)).connect()
    wire.send(GET * 2)
    wire.writer.write_eof()
    for _ in range(2):
        while (answer := await wire.answer()).status == 102:
            pass
        assert (answer.status, answer.body) == (200, b"slow")
    assert await wire.at_end()


async def test_a_half_closed_client_without_a_whole_request_is_let_go(launch):
    rig = await launch()
    wire = await rig.connect()
    wire.send(b"GET / HTT")
    wire.writer.write_eof()
    assert await wire.at_end()


# Handlers that fail.


async def test_a_failing_handler_is_answered_for_and_logged(launch, caplog):
    async def handler(exchange):
        raise KeyError("a secret")

    wire = await (await launch(handler)).connect()
    wire.send(GET)
    answer = await wire.answer()
    assert (answer.status, json.loads(answer.body)["code"]) == (500, "internal_error")
    assert b"secret" not in answer.body
    assert await wire.at_end()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "a secret" in caplog.text


async def test_a_handler_that_fails_within_its_answer_cuts_it(launch, caplog):
    async def handler(exchange):
        await exchange.start(200, [])
        await exchange.write(b"half")
        await asyncio.sleep(0.01)
        raise KeyError("x")

    wire = await (await launch(handler)).connect()
    wire.send(GET)
    await wire.head()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await wire.reader.readuntil(b"0\r\n\r\n")
    assert "handler failed" in caplog.text


@pytest.mark.parametrize("broken", ["no answer", "unfinished", "header", "status", "twice", "long", "short"])
async def test_answers_that_are_none(launch, caplog, broken):
    async def handler(exchange):
        if broken == "unfinished":
            await exchange.start(200, [])
        elif broken == "header":
            await exchange.respond(200, [(b"x", b"a\r\nset-cookie: forged")], b"")
        elif broken == "status":
            await exchange.respond(101, [], b"")
        elif broken == "twice":
            await exchange.respond(200, [], b"first")
            await exchange.respond(200, [], b"second")
        elif broken in {"long", "short"}:
            await exchange.start(200, [(b"content-length", b"3")])
            await exchange.write(b"four" if broken == "long" else b"2!")
            await exchange.finish()

    wire = await (await launch(handler)).connect()
    wire.send(GET)
    if broken in {"no answer", "header", "status"}:
        assert (await wire.answer()).status == 500
    elif broken == "twice":
        assert (await wire.answer()).body == b"first"
    else:
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await wire.answer()
    await until(lambda: caplog.records)


async def test_a_declared_length_is_kept_for_a_stream(launch):
    async def handler(exchange):
        await exchange.start(200, [(b"content-length", b"4"), (b"transfer-encoding", b"gzip")])
        await exchange.write(b"fo")
        await exchange.write(b"ur")
        await exchange.finish()

    wire = await (await launch(handler)).connect()
    for _ in range(2):
        wire.send(GET)
        answer = await wire.answer()
        assert answer.body == b"four"
        assert "transfer-encoding" not in answer.headers


# The end.


async def test_drain_lets_requests_finish(launch):
    gate = asyncio.Event()

    async def handler(exchange):
        await gate.wait()
        await exchange.respond(200, [], b"done")

    rig = await launch(handler)
    idle, busy, partial = await rig.connect(), await rig.connect(), await rig.connect()
    busy.send(GET)
    partial.send(GET[:10])
    await until(lambda: rig.server.tasks and rig.server.open_connections == 3)
    await asyncio.sleep(0.02)
    draining = asyncio.create_task(rig.server.drain(5))
    assert await idle.at_end()
    with pytest.raises(OSError, match="refused"):
        await asyncio.open_connection("127.0.0.1", rig.server.port if rig.server._listeners[0].sockets else 9)
    partial.send(GET[10:])
    await asyncio.sleep(0.02)
    assert not draining.done()
    gate.set()
    for wire in (busy, partial):
        answer = await wire.answer()
        assert (answer.body, answer.headers["connection"]) == (b"done", "close")
        assert await wire.at_end()
        wire.close()
    assert await draining == 0


async def test_drain_cancels_what_does_not_finish(launch):
    waiter = Waiter()
    rig = await launch(waiter)
    wire = await rig.connect()
    wire.send(GET)
    await waiter.running.wait()
    assert await rig.server.drain(0.05) == 1
    assert waiter.cancelled.is_set()
    assert (await wire.answer()).status == 503
    assert rig.server.open_connections == 0


async def test_drain_cuts_streams_that_do_not_finish(launch):
    waiter = Waiter(begun)
    rig = await launch(waiter)
    wire = await rig.connect()
    wire.send(GET)
    await waiter.running.wait()
    assert await rig.server.drain(0.05) == 1
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await wire.answer()


async def test_unix_socket(launch, tmp_path):
    async def handler(exchange):
        await exchange.respond(200, [], exchange.client.encode())

    server = await serve(handler, uds=str(tmp_path / "s"))
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    writer.write(GET)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(LookupError):
        _ = server.port
    await server.drain(1)
    writer.close()
    await writer.wait_closed()


async def test_a_thousand_open_streams_all_complete(launch):
    gate = asyncio.Event()

    async def handler(exchange):
        await exchange.start(200, [])
        await exchange.write(b"first")
        await gate.wait()
        await exchange.write(b"last")
        await exchange.finish()

    rig = await launch(handler)
    wires = await asyncio.gather(*(rig.connect() for _ in range(1_000)))
    for wire in wires:
        wire.send(GET)
    await until(lambda: len(rig.server.tasks) == 1_000)
    assert rig.server.open_connections == 1_000
    gate.set()
    answers = await asyncio.gather(*(wire.answer() for wire in wires))
    assert {answer.body for answer in answers} == {b"firstlast"}


async def test_connections_leave_no_cyclic_garbage(launch):
    """The gateway freezes its heap and collects rarely, so what is over has to go at once."""

    async def handler(exchange):
        await exchange.body(10)
        if exchange.path == "/broken":
            raise InvalidRequestError(
                "Not so."
            )  # Not logged as an error, which would keep it for the report.
        await exchange.start(200, [])
        await exchange.write(b"a")
        await exchange.finish()

    rig = await launch(handler)

    def alive():
        return [
            one for one in gc.get_objects() if isinstance(one, Connection | RequestReader | ServerExchange)
        ]

    gc.collect()
    gc.disable()
    try:
        before = len(alive())
        for request in (GET, GET * 2 + b"nonsense\r\n", GET.replace(b"/", b"/broken", 1), b"GET /", b""):
            wire = await rig.connect()
            wire.send(request)
            await asyncio.sleep(0.02)
            wire.close()
        await rig.settled()
        await asyncio.sleep(0.02)
        assert len(alive()) == before
    finally:
        gc.enable()


# Applications beside handlers.


async def test_a_starlette_application(launch):
    left = asyncio.Event()

    async def sum_up(request):
        total = 0
        async for piece in request.stream():
            total += len(piece)
        return JSONResponse({"total": total, "q": request.query_params["q"], "url": request.url.path})

    async def count(request):
        async def numbers():
            try:
                for number in range(3 if "n" in request.query_params else 1 << 30):
                    yield f"{number}\n"
                    await asyncio.sleep(0)
            finally:
                left.set()

        return StreamingResponse(numbers())

    async def broken(request):
        raise KeyError("x")

    app = Starlette(
        routes=[
            Route("/sum up", sum_up, methods=["POST"]),
            Route("/count", count),
            Route("/broken", broken),
        ]
    )
    rig = await launch(asgi_handler(app), body_s=0.2)
    wire = await rig.connect()
    wire.send(b"POST /sum%20up?q=1 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await asyncio.sleep(0.02)
    wire.send(b"2\r\nde\r\n0\r\n\r\n")
    answer = await wire.answer()
    assert json.loads(answer.body) == {"total": 5, "q": "1", "url": "/sum up"}
    wire.send(b"GET /count?n HTTP/1.1\r\nHost: t\r\n\r\n")
    assert (await wire.answer()).body == b"0\n1\n2\n"
    wire.send(b"HEAD /count?n HTTP/1.1\r\nHost: t\r\n\r\n")
    assert (await wire.answer("HEAD")).status == 200
    wire.send(b"GET /none HTTP/1.1\r\nHost: t\r\n\r\n")
    assert (await wire.answer()).status == 404
    wire.send(b"POST /sum%20up?q=1 HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nabc")
    assert (await wire.answer()).status == 408
    assert await wire.at_end()
    wire = await rig.connect()
    left.clear()
    wire.send(b"GET /count HTTP/1.1\r\nHost: t\r\n\r\n")
    await wire.head()
    wire.reset()
    await left.wait()
    wire = await rig.connect()
    wire.send(b"GET /broken HTTP/1.1\r\nHost: t\r\n\r\n")
    assert (await wire.answer()).status == 500
