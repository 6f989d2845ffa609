"""The client against servers that behave: framing, reuse, pooling, streaming, cancelling."""

import asyncio
import random
import socket

import pytest

from sluicegate.adapters.web.http_url import Url
from sluicegate.completions.types import UpstreamFailure


async def test_sends_one_well_formed_request(wire, client):
    async def handler(peer, request):
        await peer.answer(b'{"a":1}', b"Content-Type: application/json\r\nX-Two: 1\r\nx-two: 2\r\n")

    server = await wire(handler)
    reply = await client.send(
        b"POST",
        Url.parse(server.url),
        b"/v1/x?a=b",
        [(b"authorization", b"Bearer k")],
        b"body",
        connect_s=9,
        first_byte_s=9,
        idle_s=9,
        total_s=9,
    )
    assert (reply.status, await reply.read()) == (200, b'{"a":1}')
    assert reply.headers[b"content-type"] == b"application/json"
    assert reply.headers[b"x-two"] == b"1, 2"
    head = b"POST /v1/x?a=b HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nauthorization: Bearer k\r\n" % server.port
    assert server.requests == [(head + b"content-length: 4\r\n\r\n", b"body")]


async def test_a_connection_is_reused_while_clean(wire, client, call):
    async def handler(peer, request):
        await peer.answer(b"%d" % peer.number)

    server = await wire(handler)
    for _ in range(5):
        assert await (await call(client, server)).read() == b"1"
    assert server.accepted == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_a_body(wire, client, call, status):
    async def handler(peer, request):
        await peer.send(b"HTTP/1.1 %d X\r\ncontent-length: 9\r\n\r\n" % status)

    server = await wire(handler)
    for _ in range(2):
        reply = await call(client, server)
        assert (reply.status, await reply.read()) == (status, b"")
    assert server.accepted == 1


async def test_an_answer_to_head_has_no_body_and_costs_its_connection(wire, client, call):
    async def handler(peer, request):
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n")

    server = await wire(handler)
    for _ in range(2):
        reply = await call(client, server, b"", method="HEAD")
        assert await reply.read() == b""
    assert server.accepted == 2


async def test_interim_answers_are_skipped(wire, client, call):
    async def handler(peer, request):
        await peer.send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        await peer.answer(b"done")

    server = await wire(handler)
    for _ in range(2):
        reply = await call(client, server)
        assert (reply.status, await reply.read()) == (200, b"done")
        assert b"link" not in reply.headers
    assert server.accepted == 1


async def test_a_body_delimited_by_close(wire, client, call):
    async def handler(peer, request):
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello ")
        await peer.send(b"world")
        peer.close()

    server = await wire(handler)
    for _ in range(2):
        assert await (await call(client, server)).read() == b"hello world"
    assert server.accepted == 2


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nconnection: close\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/2.0 200 OK\r\n"]
)
async def test_a_server_that_will_not_keep_the_connection_is_believed(wire, client, call, head):
    async def handler(peer, request):
        await peer.send(head + b"content-length: 2\r\n\r\nok")

    server = await wire(handler)
    for _ in range(2):
        assert await (await call(client, server)).read() == b"ok"
    assert server.accepted == 2


async def test_chunked_streams_arrive_as_they_are_sent(wire, client, call):
    more = asyncio.Event()

    async def handler(peer, request):
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\none\r\n")
        await more.wait()
        await peer.send(b"3\r\ntwo\r\n5\r\nthree\r\n0\r\ntrailer: 1\r\n\r\n")

    server = await wire(handler)
    reply = await call(client, server)
    chunks = reply.chunks()
    assert await anext(chunks) == b"one"
    more.set()
    assert b"".join([chunk async for chunk in chunks]) == b"twothree"
    assert b"trailer" not in reply.headers
    reply.close()
    await (await call(client, server)).read()
    assert server.accepted == 1


async def test_ten_calls_over_three_connections(wire, bounded, call):
    busy = most = 0

    async def handler(peer, request):
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.005)
        busy -= 1
        await peer.answer(request[1])

    server = await wire(handler)
    client = bounded(connections=3)

    async def one(number: int) -> bytes:
        return await (await call(client, server, b"%d" % number)).read()

    assert await asyncio.gather(*map(one, range(10))) == [b"%d" % number for number in range(10)]
    assert (most, server.accepted) == (3, 3)


async def test_no_free_connection_in_time_is_a_failure_before_sending(wire, bounded, call):
    async def handler(peer, request):
        if request[1] == b"stall":
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
            await peer.reader.read()
        await peer.answer()

    server = await wire(handler)
    client = bounded(connections=1)
    held = await call(client, server, b"stall")
    with pytest.raises(UpstreamFailure) as caught:
        await call(client, server, connect_s=0.02)
    assert (caught.value.phase, caught.value.sent, caught.value.timeout) == ("connect", False, True)
    held.close()
    assert await (await call(client, server)).read() == b"ok"


async def test_only_so_many_idle_connections_are_kept(wire, bounded, call):
    gate = asyncio.Event()

    async def handler(peer, request):
        await gate.wait()
        await peer.answer()

    server = await wire(handler)
    client = bounded(idle_connections=2)
    calls = [asyncio.ensure_future(call(client, server)) for _ in range(5)]
    await server.until(lambda: len(server.requests) == 5)
    gate.set()
    for reply in await asyncio.gather(*calls):
        assert await reply.read() == b"ok"
    await server.until(lambda: server.open == 2)
    await (await call(client, server)).read()
    assert server.accepted == 5


async def test_idle_connections_expire(wire, bounded, call):
    async def handler(peer, request):
        await peer.answer()

    server = await wire(handler)
    client = bounded(idle_expiry_s=0.02)
    await (await call(client, server)).read()
    await server.all_closed()
    await (await call(client, server)).read()
    assert server.accepted == 2


async def test_a_large_body_goes_and_comes_whole(wire, client, call):
    async def handler(peer, request):
        await peer.answer(request[1][::-1])

    server = await wire(handler)
    body = bytes(range(256)) * 4096 * 4
    assert await (await call(client, server, body)).read() == body[::-1]


async def test_a_slow_reader_slows_the_server(wire, bounded, call):
    sent = 0

    async def handler(peer, request):
        nonlocal sent
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n")
        for _ in range(100):
            await peer.send(b"x" * 1_048_576)
            sent += 1

    server = await wire(handler)
    client = bounded(stream_buffer=1024)
    reply = await call(client, server, idle_s=0.03)
    chunks = reply.chunks()
    size = len(await anext(chunks))
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.06)  # longer than the idle deadline, which must not count our own slowness
    assert sent < 60
    async for chunk in chunks:
        size += len(chunk)
    assert size == 104_857_600


async def test_cancel_tells_a_watching_server_and_collects_what_it_had_produced(wire, client, call):
    async def handler(peer, request):
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        assert await peer.reader.read() == b""  # the half-close
        await peer.send(b"4\r\nlast\r\n0\r\n\r\n")
        peer.close()

    server = await wire(handler)
    reply = await call(client, server)
    assert await anext(reply.chunks()) == b"first"
    assert await reply.cancel(10.0) == b"last"
    await server.all_closed()
    assert server.errors == []


async def test_cancel_of_a_server_that_does_not_care_ends_after_the_linger(wire, client, call):
    async def handler(peer, request):
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            await peer.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.002)

    server = await wire(handler)
    reply = await call(client, server)
    assert set(await reply.cancel(0.05)) == set(b"x")
    await server.all_closed()


async def test_cancel_without_linger_and_after_the_end(wire, client, call):
    async def handler(peer, request):
        await peer.answer(b"whole")

    server = await wire(handler)
    reply = await call(client, server)
    assert await reply.cancel(0) in {b"whole", b""}
    reply = await call(client, server)
    await reply.read()
    assert await reply.cancel(1.0) == b""
    reply.close()


async def test_a_cancelled_read_can_still_be_cancelled_for_its_bytes(wire, client, call):
    async def handler(peer, request):
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf-")
        await peer.reader.read()
        await peer.send(b"whole")

    server = await wire(handler)
    reply = await call(client, server)
    reading = asyncio.ensure_future(reply.read())
    await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await reply.cancel(10.0) == b"half-whole"


async def test_cancelled_while_waiting_for_the_head_drops_the_connection(wire, client, call):
    async def handler(peer, request):
        if peer.number == 1:
            await peer.reader.read()
        await peer.answer()

    server = await wire(handler)
    calling = asyncio.ensure_future(call(client, server))
    await server.until(lambda: server.requests)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await server.all_closed()
    assert await (await call(client, server)).read() == b"ok"
    assert server.accepted == 2


async def test_cancelled_while_waiting_for_a_connection_leaves_the_pool_whole(wire, bounded, call):
    gate = asyncio.Event()

    async def handler(peer, request):
        await gate.wait()
        await peer.answer()

    server = await wire(handler)
    client = bounded(connections=1)
    first = asyncio.ensure_future(call(client, server))
    await server.until(lambda: server.requests)
    waiting = [asyncio.ensure_future(call(client, server)) for _ in range(4)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    waiting[2].cancel()
    gate.set()
    await (await first).read()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, False, True, False]
    assert server.accepted == 1
    assert (await call(client, server)).status == 200


async def test_a_connection_granted_to_a_call_cancelled_at_that_moment_is_not_lost(wire, bounded, call):
    async def handler(peer, request):
        await peer.answer()

    server = await wire(handler)
    client = bounded(connections=1)
    for grant_one_to_open in (True, False):
        held = await call(client, server)
        pool = next(iter(client._pools.values()))
        await held.read()
        connection = pool._idle.pop()  # as a call would take it
        waiting = asyncio.ensure_future(call(client, server))
        await asyncio.sleep(0)
        if grant_one_to_open:
            connection.shut()
        else:
            pool.release(connection)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await (await call(client, server, connect_s=5.0)).read() == b"ok"
        assert pool.open_connections == 1


async def test_calls_that_wait_get_a_connection_when_one_is_dropped(wire, bounded, call):
    async def handler(peer, request):
        if request[1] == b"stall":
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
            await peer.reader.read()
        await peer.answer()

    server = await wire(handler)
    client = bounded(connections=1)
    held = await call(client, server, b"stall")
    waiting = [asyncio.ensure_future(call(client, server)) for _ in range(3)]
    await asyncio.sleep(0)
    held.close()
    for reply in await asyncio.gather(*waiting):
        assert await reply.read() == b"ok"
    assert server.accepted == 2


async def test_calls_that_wait_get_their_turn_when_connecting_fails(bounded, call):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    client = bounded(connections=1)
    failures = await asyncio.gather(*(call(client, url) for _ in range(3)), return_exceptions=True)
    assert [(type(failure), failure.timeout) for failure in failures] == [(UpstreamFailure, False)] * 3


async def test_a_closed_client_fails_calls_under_way_and_new_ones(wire, client, call):
    async def handler(peer, request):
        await peer.reader.read()

    server = await wire(handler)
    calling = asyncio.ensure_future(call(client, server))
    await server.until(lambda: server.requests)
    await client.aclose()
    with pytest.raises(UpstreamFailure):
        await calling
    with pytest.raises(UpstreamFailure):
        await call(client, server)
    await server.all_closed()


async def test_calls_cancelled_at_any_moment_never_mix_up_answers_or_lose_connections(wire, bounded, call):
    async def handler(peer, request):
        await asyncio.sleep(0.002)
        size = b"%x\r\n" % len(request[1])
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        await asyncio.sleep(0.002)
        await peer.send(size + request[1] + b"\r\n0\r\n\r\n")

    server = await wire(handler)
    client = bounded(connections=4)
    chance = random.Random(20260101)

    async def one(number: int) -> bool:
        reply = await call(client, server, b"%d" % number)
        try:
            body = await reply.read() if number % 2 else b"".join([c async for c in reply.chunks()])
        finally:
            reply.close()
        return body == b"%d" % number

    async def one_that_may_be_cancelled(number: int) -> bool:
        task = asyncio.ensure_future(one(number))
        done, _ = await asyncio.wait([task], timeout=chance.choice([0, 0.001, 0.002, 0.004, 0.006, 20]))
        if done:
            return task.result()
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            return True

    assert all(await asyncio.gather(*map(one_that_may_be_cancelled, range(200))))
    assert all(await asyncio.gather(*map(one, range(8))))
    await server.until(lambda: server.open <= 4)
