"""Requests of every shape get the answer they should, however the bytes are cut."""

import asyncio

import pytest

GET = b"GET /a%20b?x=1 HTTP/1.1\r\nHost: t\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\nX-Trailer: t\r\n\r\n"
)


async def test_answers_and_keeps_the_connection(launch):
    wire = await (await launch()).connect()
    for sent, told in ((GET, b"GET /a b x=1 "), (POST, b"POST /p  hello"), (CHUNKED, b"POST /c  hello")) * 2:
        wire.send(sent)
        answer = await wire.answer()
        assert (answer.status, answer.body) == (200, told)
        assert answer.headers["content-type"] == "text/plain"
        assert "connection" not in answer.headers
        assert answer.headers["date"].endswith(" GMT")


async def test_split_at_every_byte(launch):
    rig = await launch()
    whole = POST + CHUNKED + GET.replace(b"/a", b"/stream/a")

    async def cut(at: int) -> list[bytes]:
        wire = await rig.connect()
        wire.send(whole[:at])
        await asyncio.sleep(0.002)
        wire.send(whole[at:])
        return [(await wire.answer()).body for _ in range(3)]

    for first in range(1, len(whole), 32):
        cuts = range(first, min(first + 32, len(whole)))
        for bodies in await asyncio.gather(*map(cut, cuts)):
            assert bodies == [b"POST /p  hello", b"POST /c  hello", b"GET/stream/abx=1"]


async def test_one_byte_at_a_time(launch):
    wire = await (await launch()).connect()
    for byte in CHUNKED + GET:
        wire.send(bytes([byte]))
        await asyncio.sleep(0)
        await wire.writer.drain()
    assert (await wire.answer()).body == b"POST /c  hello"
    assert (await wire.answer()).body == b"GET /a b x=1 "


async def test_trailers_never_reach_the_next_request(launch):
    seen = []

    async def handler(exchange):
        seen.append(dict(exchange.headers))
        await exchange.body(100)
        await exchange.respond(200, [], b"")

    wire = await (await launch(handler)).connect()
    wire.send(CHUNKED + b"GET / HTTP/1.1\r\nHost: u\r\n\r\n")
    await wire.answer()
    await wire.answer()
    assert seen == [{b"host": b"t", b"transfer-encoding": b"chunked"}, {b"host": b"u"}]


async def test_streams_in_chunks(launch):
    answer = await (await launch()).ask(GET.replace(b"/a%20b", b"/stream"))
    assert answer.chunks == [b"GET", b"/stream", b"x=1"]
    assert answer.headers["transfer-encoding"] == "chunked"


async def test_the_head_goes_out_before_the_first_piece_when_that_takes_time(launch):
    go_on = asyncio.Event()

    async def handler(exchange):
        await exchange.start(200, [])
        await go_on.wait()
        await exchange.write(b"late")
        await exchange.finish()

    wire = await (await launch(handler)).connect()
    wire.send(GET)
    assert (await wire.head())[0] == 200
    go_on.set()
    assert await wire.reader.readuntil(b"0\r\n\r\n") == b"4\r\nlate\r\n0\r\n\r\n"


@pytest.mark.parametrize("path", [b"/x", b"/stream"])
async def test_head_has_no_body(launch, path):
    wire = await (await launch()).connect()
    wire.send(b"HEAD %b HTTP/1.1\r\nHost: t\r\n\r\n" % path + GET)
    answer = await wire.answer("HEAD")
    assert answer.status == 200
    assert ("content-length" in answer.headers) == (path == b"/x")
    assert (await wire.answer()).body == b"GET /a b x=1 "


@pytest.mark.parametrize(("path", "length"), [(b"/x", True), (b"/stream", False)])
async def test_http_1_0_ends_with_the_connection(launch, path, length):
    wire = await (await launch()).connect()
    wire.send(b"GET %b HTTP/1.0\r\n\r\n" % path)
    answer = await wire.answer()
    assert answer.body.startswith(b"GET")
    assert ("content-length" in answer.headers) == length
    assert answer.headers["connection"] == "close"
    assert "transfer-encoding" not in answer.headers
    assert await wire.at_end()


async def test_http_1_0_can_keep_the_connection(launch):
    wire = await (await launch()).connect()
    for _ in range(2):
        wire.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await wire.answer()).headers["connection"] == "keep-alive"


async def test_connection_close(launch):
    wire = await (await launch()).connect()
    wire.send(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n" + GET)
    assert (await wire.answer()).headers["connection"] == "close"
    assert await wire.at_end()


@pytest.mark.parametrize("target", [b"http://t/q?y=2", b"HTTP://t:80/q?y=2"])
async def test_absolute_form(launch, target):
    answer = await (await launch()).ask(b"GET %b HTTP/1.1\r\nHost: t\r\n\r\n" % target)
    assert answer.body == b"GET /q y=2 "


async def test_pipelined_requests_are_answered_in_order(launch):
    """The first are the slowest, so that any overtaking would show."""
    running = 0

    async def handler(exchange):
        nonlocal running
        running += 1
        assert running == 1
        number = int(exchange.path[1:])
        await asyncio.sleep(0.002 * (number % 3 == 0))
        await exchange.respond(200, [], exchange.path.encode())
        running -= 1

    wire = await (await launch(handler, pipelined=4)).connect()
    wire.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: t\r\n\r\n" % number for number in range(900)))
    for number in range(900):
        assert (await wire.answer()).body == b"/%d" % number


async def test_a_pipeline_does_not_pile_up(launch):
    gate = asyncio.Event()

    async def handler(exchange):
        await gate.wait()
        await exchange.respond(200, [], b"")

    rig = await launch(handler, pipelined=4)
    wire = await rig.connect()
    requests = 20_000
    wire.send(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n" * requests)
    await asyncio.sleep(0.1)
    (connection,) = rig.server.connections
    # One slice of requests may come on top of the bound.
    assert len(connection._queue) < 4 + 16_384 // 27
    assert connection._paused
    gate.set()
    for _ in range(requests):
        assert (await wire.answer()).status == 200


async def test_expect_100_continue(launch):
    wire = await (await launch()).connect()
    wire.send(b"POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert (await wire.head()) == (100, {})
    wire.send(b"ok")
    assert (await wire.answer()).body == b"POST /  ok"


async def test_expect_100_continue_is_not_said_when_the_body_came_anyway(launch):
    answer = await (await launch()).ask(
        b"POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok"
    )
    assert answer.status == 200


async def test_a_refusal_comes_instead_of_100_continue(launch):
    async def handler(exchange):
        await exchange.respond(401, [], b"no")

    wire = await (await launch(handler)).connect()
    wire.send(b"POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    answer = await wire.answer()
    assert (answer.status, answer.headers["connection"]) == (401, "close")
    assert await wire.at_end()


@pytest.mark.parametrize("cut", [0, 1, 40])
async def test_an_upgrade_that_is_not_taken_up_leaves_a_request(launch, cut):
    """JDK clients send h2c upgrades with bodies; llhttp alone would take the body for the next request."""
    wire = await (await launch()).connect()
    sent = (
        b"POST /u HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 40\r\n\r\n"
        + b"GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n".ljust(40)
        + GET
    )
    at = sent.index(b"\r\n\r\n") + 4 + cut
    wire.send(sent[:at])
    await asyncio.sleep(0.01)
    wire.send(sent[at:])
    assert (await wire.answer()).body.startswith(b"POST /u  GET /smuggled")
    assert (await wire.answer()).body == b"GET /a b x=1 "


async def test_header_lookup_gives_the_first(launch):
    async def handler(exchange):
        assert exchange.header(b"missing") is None
        assert exchange.client == "127.0.0.1"
        await exchange.respond(200, [], exchange.header(b"x-twice") or b"")

    answer = await (await launch(handler)).ask(
        b"GET / HTTP/1.1\r\nHost: t\r\nX-Twice: 1 \r\nx-twice: 2\r\n\r\n"
    )
    assert answer.body == b"1"


async def test_a_large_body_both_ways(launch):
    big = bytes(range(256)) * 4_000

    async def handler(exchange):
        await exchange.respond(200, [], await exchange.body(len(big)))

    answer = await (await launch(handler)).ask(
        b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%b" % (len(big), big)
    )
    assert answer.body == big
