"""What is refused, with which status, and that nothing behind it is taken for a request."""

import asyncio
import json

import pytest

HOST = b"Host: t\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED = {
    "content-length and transfer-encoding": (
        400,
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "transfer-encoding and content-length": (
        400,
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    ),
    "the same content-length twice": (400, POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
    "two content-lengths": (400, POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
    "a list of content-lengths": (400, POST + b"Content-Length: 3, 3\r\n\r\nabc"),
    "a signed content-length": (400, POST + b"Content-Length: +3\r\n\r\nabc"),
    "a hexadecimal content-length": (400, POST + b"Content-Length: 0x3\r\n\r\nabc"),
    "an empty content-length": (400, POST + b"Content-Length:\r\n\r\nabc"),
    "an overflowing content-length": (400, POST + b"Content-Length: 18446744073709551617\r\n\r\nabc"),
    "another coding": (501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "chunked not last": (400, POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    "two codings": (
        400,
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    ),
    "a disguised coding": (501, POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "a coding with a vertical tab": (400, POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    "chunks in HTTP/1.0": (400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "bare LF": (400, b"GET / HTTP/1.1\nHost: t\n\n"),
    "bare LF after a header": (400, b"GET / HTTP/1.1\r\nHost: t\nX: y\r\n\r\n"),
    "bare CR in a header": (400, b"GET / HTTP/1.1\r\nHost: t\rX: y\r\n\r\n"),
    "NUL in a header": (400, b"GET / HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n"),
    "obs-fold": (400, b"GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\n\r\n"),
    "a folded first header": (400, b"GET / HTTP/1.1\r\n Host: t\r\n\r\n"),
    "a space before the colon": (400, b"GET / HTTP/1.1\r\nHost : t\r\n\r\n"),
    "an empty header name": (400, b"GET / HTTP/1.1\r\nHost: t\r\n: a\r\n\r\n"),
    "a separator in a header name": (400, b"GET / HTTP/1.1\r\nHost: t\r\nX(y: a\r\n\r\n"),
    "a header without a colon": (400, b"GET / HTTP/1.1\r\nHost: t\r\nnothing\r\n\r\n"),
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET / HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n"),
    "two hosts in HTTP/1.0": (400, b"GET / HTTP/1.0\r\nHost: t\r\nHost: u\r\n\r\n"),
    "a host with a user": (400, b"GET / HTTP/1.1\r\nHost: a@t\r\n\r\n"),
    "a host with a path": (400, b"GET / HTTP/1.1\r\nHost: t/x\r\n\r\n"),
    "a fragment": (400, b"GET /a#b HTTP/1.1\r\nHost: t\r\n\r\n"),
    "a path that is not UTF-8": (400, b"GET /%ff HTTP/1.1\r\nHost: t\r\n\r\n"),
    "a NUL in the path": (400, b"GET /%00 HTTP/1.1\r\nHost: t\r\n\r\n"),
    "a relative target": (400, b"GET x HTTP/1.1\r\nHost: t\r\n\r\n"),
    "another scheme": (400, b"GET ftp://t/x HTTP/1.1\r\nHost: t\r\n\r\n"),
    "GET *": (400, b"GET * HTTP/1.1\r\nHost: t\r\n\r\n"),
    "an unknown method": (501, b"GOT / HTTP/1.1\r\nHost: t\r\n\r\n"),
    "a lower-case method": (501, b"get / HTTP/1.1\r\nHost: t\r\n\r\n"),
    "a method nobody needs": (501, b"TRACE / HTTP/1.1\r\nHost: t\r\n\r\n"),
    "CONNECT": (501, b"CONNECT t:1 HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n"),
    "another protocol": (501, b"DESCRIBE / RTSP/1.0\r\nHost: t\r\n\r\n"),
    "HTTP/2 by its preface": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/2.0": (505, b"GET / HTTP/2.0\r\nHost: t\r\n\r\n"),
    "HTTP/1.2": (505, b"GET / HTTP/1.2\r\nHost: t\r\n\r\n"),
    "TLS": (501, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "another expectation": (417, POST + b"Expect: a-miracle\r\nContent-Length: 1\r\n\r\n"),
    "a websocket": (501, b"GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
    "an upgrade with chunks": (
        501,
        POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "a long target": (414, b"GET /" + b"a" * 8_192 + b" HTTP/1.1\r\nHost: t\r\n\r\n"),
    "a target without end": (414, b"GET /" + b"a" * 200_000),
    "a long header": (431, b"GET / HTTP/1.1\r\nHost: t\r\nX: " + b"a" * 32_768 + b"\r\n\r\n"),
    "a header without end": (431, b"GET / HTTP/1.1\r\nHost: t\r\nX: " + b"a" * 200_000),
    "a header name without end": (431, b"GET / HTTP/1.1\r\nHost: t\r\n" + b"a" * 200_000),
    "many headers": (431, b"GET / HTTP/1.1\r\nHost: t\r\n" + b"X: y\r\n" * 100 + b"\r\n"),
}

# A body the handler is already waiting for: the handler itself answers.
BROKEN_BODIES = {
    "a chunk size that is none": CHUNKED + b"Z\r\n\r\n",
    "a prefixed chunk size": CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED + b"-1\r\na\r\n0\r\n\r\n",
    "bare LF between chunks": CHUNKED + b"1\na\n0\n\n",
    "a space after a chunk size": CHUNKED + b"1 \r\na\r\n0\r\n\r\n",
    "bare LF in a chunk extension": CHUNKED + b"1;a\nb\r\na\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"1\r\nabc\r\n0\r\n\r\n",
    "an overflowing chunk size": CHUNKED + b"ffffffffffffffffff\r\na\r\n0\r\n\r\n",
    "content-length in a trailer": CHUNKED + b"1\r\na\r\n0\r\nContent-Length: 7\r\n\r\n",
    "a chunk extension without end": CHUNKED + b"1;" + b"a" * 200_000,
    "trailers without end": CHUNKED + b"0\r\n" + b"X: y\r\n" * 40_000,
}

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"


class Witness:
    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, exchange):
        self.paths.append(exchange.path)
        await exchange.body(1 << 20)
        await exchange.respond(200, [], b"")


@pytest.mark.parametrize("name", REFUSED)
async def test_refused(launch, name):
    status, request = REFUSED[name]
    witness = Witness()
    wire = await (await launch(witness)).connect()
    wire.send(request + SMUGGLED)
    answer = await wire.answer()
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    problem = json.loads(answer.body)
    assert problem["status"] == status
    assert problem["code"]
    assert await wire.at_end()
    assert witness.paths == []


@pytest.mark.parametrize("name", BROKEN_BODIES)
async def test_broken_bodies(launch, name):
    witness = Witness()
    wire = await (await launch(witness)).connect()
    wire.send(BROKEN_BODIES[name] + SMUGGLED)
    answer = await wire.answer()
    assert answer.status == 400
    assert answer.headers["connection"] == "close"
    assert await wire.at_end()
    assert witness.paths == ["/"]


async def test_a_refusal_waits_for_the_answers_before_it(launch):
    wire = await (await launch()).connect()
    wire.send(b"GET /1 HTTP/1.1\r\nHost: t\r\n\r\nGET /2 HTTP/1.1\r\nHost: t\r\n\r\nnonsense\r\n\r\n")
    assert (await wire.answer()).body == b"GET /1  "
    assert (await wire.answer()).body == b"GET /2  "
    assert (await wire.answer()).status == 501
    assert await wire.at_end()


async def test_exactly_the_limits_are_allowed(launch):
    rig = await launch()
    target = b"/" + b"a" * 8_191
    assert (await rig.ask(b"GET %b HTTP/1.1\r\nHost: t\r\n\r\n" % target)).status == 200
    assert (await rig.ask(b"GET / HTTP/1.1\r\nHost: t\r\n" + b"X: y\r\n" * 99 + b"\r\n")).status == 200
    assert (await rig.ask(b"GET / HTTP/1.1\r\nHost: t\r\nX: " + b"a" * 32_000 + b"\r\n\r\n")).status == 200


@pytest.mark.parametrize(
    "framing", [b"Content-Length: %d\r\n\r\n" % (1 << 30), b"Transfer-Encoding: chunked\r\n\r\n"]
)
async def test_a_body_too_large_is_refused_while_it_is_sent(launch, framing):
    """The answer arrives although the client sends on: the connection lingers instead of resetting."""

    async def handler(exchange):
        await exchange.body(1_000)

    wire = await (await launch(handler)).connect()
    wire.send(POST + framing)
    for _ in range(40):
        wire.send(b"%x\r\n%b\r\n" % (8_192, b"a" * 8_192))
    answer = await wire.answer()
    assert (answer.status, json.loads(answer.body)["code"]) == (413, "request_too_large")
    assert answer.headers["connection"] == "close"
    assert await wire.at_end()


async def test_a_declared_body_too_large_is_refused_before_it_is_sent(launch):
    async def handler(exchange):
        await exchange.body(1_000)

    wire = await (await launch(handler)).connect()
    wire.send(POST + b"Content-Length: 1001\r\n\r\n")
    assert (await wire.answer()).status == 413


async def test_too_many_connections(launch):
    rig = await launch(connections=2)
    first, second = await rig.connect(), await rig.connect()
    for wire in (first, second):
        wire.send(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        assert (await wire.answer()).status == 200
    third = await rig.connect()
    assert (await third.answer()).status == 503
    assert await third.at_end()
    first.send(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
    assert (await first.answer()).status == 200


async def test_slow_headers(launch):
    wire = await (await launch(header_s=0.2)).connect()
    wire.send(b"GET / HTTP/1.1\r\n")

    async def drip():
        while True:
            wire.send(b"X: y\r\n")
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    assert (await wire.answer()).status == 408
    dripping.cancel()
    assert await wire.at_end()


async def test_slow_headers_behind_a_request_under_way(launch):
    gate = asyncio.Event()

    async def handler(exchange):
        await gate.wait()
        await exchange.respond(200, [], b"")

    rig = await launch(handler, header_s=0.1)
    wire = await rig.connect()
    wire.send(b"GET / HTTP/1.1\r\nHost: t\r\n\r\nGET")
    await asyncio.sleep(0.3)
    gate.set()
    assert (await wire.answer()).status == 200
    assert (await wire.answer()).status == 408
    assert await wire.at_end()


async def test_slow_body(launch):
    """A byte now and then is no progress."""
    wire = await (await launch(body_s=0.2, body_progress_bytes=1_000)).connect()
    wire.send(POST + b"Content-Length: 100000\r\n\r\n")

    async def drip():
        while True:
            wire.send(b"a")
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    assert (await wire.answer()).status == 408
    dripping.cancel()
    assert await wire.at_end()


async def test_a_body_that_progresses_may_take_its_time(launch):
    wire = await (await launch(body_s=0.1, body_progress_bytes=1_000)).connect()
    wire.send(POST + b"Content-Length: 100000\r\n\r\n")
    for _ in range(20):
        wire.send(b"a" * 5_000)
        await asyncio.sleep(0.02)
    assert len((await wire.answer()).body) == 100_000 + len("POST /  ")


async def test_a_body_nobody_asks_for_does_not_time_out(launch):
    """While the server does not read, the client cannot be late."""

    async def handler(exchange):
        await asyncio.sleep(0.5)
        await exchange.respond(200, [], b"%d" % len(await exchange.body(1 << 20)))

    wire = await (await launch(handler, body_s=0.1, unread_bytes=1_000)).connect()
    wire.send(POST + b"Content-Length: 1000000\r\n\r\n" + b"a" * 1_000_000)
    assert (await wire.answer()).body == b"1000000"


async def test_idle_connections_end_without_a_word(launch):
    rig = await launch(idle_s=0.1)
    silent, used = await rig.connect(), await rig.connect()
    used.send(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
    assert (await used.answer()).status == 200
    assert await silent.at_end()
    assert await used.at_end()


async def test_empty_lines_do_not_keep_an_idle_connection(launch):
    wire = await (await launch(idle_s=0.2)).connect()

    async def drip():
        while True:
            wire.send(b"\r\n")
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    assert await wire.at_end()
    dripping.cancel()
