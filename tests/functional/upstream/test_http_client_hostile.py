"""The client against servers that break off, stall, overflow or lie."""

import asyncio
import socket
import struct

import pytest

from sluicegate.completions.types import UpstreamFailure

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


async def fails(call, client, server, **options) -> UpstreamFailure:
    """The failure that one call ends in, at the head or in the body."""
    with pytest.raises(UpstreamFailure) as caught:
        await (await call(client, server, **options)).read()
    return caught.value


@pytest.mark.parametrize(
    ("sent", "phase"),
    [
        (b"", "head"),
        (b"HTTP/1.1 2", "head"),
        (OK + b"content-len", "head"),
        (OK + b"content-length: 5\r\n\r\n", "body"),
        (OK + b"content-length: 5\r\n\r\nfour", "body"),
        (CHUNKED + b"5\r\nfour", "body"),
        (CHUNKED + b"4\r\nfour\r\n", "body"),
        (CHUNKED + b"4\r\nfour\r\n0\r\n", "body"),
    ],
)
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_an_answer_that_breaks_off(wire, client, call, sent, phase, how):
    async def handler(peer, request):
        if peer.number == 1:
            await peer.send(sent)
            await asyncio.sleep(0.005)  # so that a reset does not overtake what was sent
            getattr(peer, how)()
        else:
            await peer.answer()

    server = await wire(handler)
    failure = await fails(call, client, server)
    assert (failure.phase, failure.sent, failure.timeout) == (phase, True, False)
    assert server.accepted == 1  # a fresh connection is never tried again
    assert await (await call(client, server)).read() == b"ok"


async def test_a_body_delimited_by_close_is_not_whole_after_a_reset(wire, client, call):
    arrived = asyncio.Event()

    async def handler(peer, request):
        await peer.send(OK + b"\r\nhello")
        await arrived.wait()
        # A reset rather than an orderly close.
        peer.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        peer.reset()

    server = await wire(handler)
    reply = await call(client, server)
    chunks = reply.chunks()
    assert await anext(chunks) == b"hello"
    arrived.set()
    with pytest.raises(UpstreamFailure, match="connection broke"):
        await anext(chunks)


async def test_chunks_give_out_what_arrived_before_they_fail(wire, client, call):
    async def handler(peer, request):
        await peer.send(CHUNKED + b"4\r\nfour\r\n")
        peer.close()

    server = await wire(handler)
    reply = await call(client, server)
    chunks = reply.chunks()
    assert await anext(chunks) == b"four"
    with pytest.raises(UpstreamFailure, match="closed the connection"):
        await anext(chunks)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\x16\x03\x01\x00\x00",
        b"HTTP/1.1 99 x\r\n\r\n",
        b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
        OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nok",
        OK + b"content-length: 2, 2\r\n\r\nok",
        OK + b"content-length: -2\r\n\r\nok",
        OK + b"content-length: 99999999999999999999999\r\n\r\nok",
        OK + b"content-length : 2\r\n\r\nok",
        OK + b"x: 1\r\n folded\r\ncontent-length: 2\r\n\r\nok",
        OK + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"transfer-encoding: gzip\r\n\r\nok",
        OK + b"transfer-encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"2 \r\nok\r\n0\r\n\r\n",
        CHUNKED + b"2\nok\n0\n\n",
        CHUNKED + b"2\r\nokay\r\n0\r\n\r\n",
        CHUNKED + b"fffffffffffffffff\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
    ],
)
async def test_broken_framing_fails_and_the_connection_is_not_used_again(wire, client, call, answer):
    async def handler(peer, request):
        if peer.number == 1:
            await peer.send(answer)
        else:
            await peer.answer()

    server = await wire(handler)
    failure = await fails(call, client, server)
    assert not failure.timeout
    assert await (await call(client, server)).read() == b"ok"
    assert server.accepted == 2


@pytest.mark.parametrize("pause", [None, 0.01])
@pytest.mark.parametrize("extra", [b"x", OK + b"content-length: 6\r\n\r\npoison"])
async def test_bytes_after_the_answer_never_reach_the_next_call(wire, client, call, extra, pause):
    async def handler(peer, request):
        first = OK + b"content-length: 5\r\n\r\nfirst"
        if peer.number > 1:
            await peer.answer()
        elif pause is None:
            await peer.send(first + extra)
        else:
            await peer.send(first)
            await asyncio.sleep(pause)
            await peer.send(extra)

    server = await wire(handler)
    assert await (await call(client, server)).read() == b"first"
    if pause:
        await server.all_closed()
    assert await (await call(client, server)).read() == b"ok"
    assert server.accepted == 2


@pytest.mark.parametrize(
    ("endless", "every"),
    [
        (OK + b"x: ", b"y" * 1000),
        (OK, b"x: y\r\n" * 100),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 40),
        (b"HTTP/1.1 200 ", b"x" * 1000),
        (CHUNKED + b"2\r\nok\r\n0\r\n", b"x: y\r\n" * 100),
        (CHUNKED + b"2\r\nok\r\n0\r\nx: ", b"y" * 1000),
        (CHUNKED + b"2;", b"y" * 1000),
    ],
)
async def test_endless_heads_trailers_and_framing_are_cut_off(wire, client, call, endless, every):
    async def handler(peer, request):
        await peer.send(endless)
        while True:
            await peer.send(every)

    server = await wire(handler)
    failure = await fails(call, client, server, total_s=5.0)
    assert "65536 bytes" in failure.reason
    await server.all_closed()


async def test_a_head_up_to_the_limit_is_fine_and_one_beyond_is_not(wire, client, call):
    async def handler(peer, request):
        await peer.answer(b"ok", b"x: " + b"y" * int(request[1]) + b"\r\n")

    server = await wire(handler)
    assert (await call(client, server, b"65000")).headers[b"x"] == b"y" * 65000
    assert (await fails(call, client, server, body=b"66000")).phase == "head"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_beyond_the_limit_is_refused(wire, bounded, call, announced):
    async def handler(peer, request):
        if announced:
            await peer.send(OK + b"content-length: 1001\r\n\r\n")
        else:
            await peer.send(OK + b"transfer-encoding: chunked\r\n\r\n" + b"64\r\n%b\r\n" % (b"x" * 100) * 11)

    server = await wire(handler)
    failure = await fails(call, bounded(body=1000), server)
    assert "larger than 1000 bytes" in failure.reason
    await server.all_closed()


async def test_a_server_that_closed_an_idle_connection_goes_unnoticed(wire, client, call):
    async def handler(peer, request):
        await peer.answer()
        peer.close()

    server = await wire(handler)
    for _ in range(3):
        assert await (await call(client, server)).read() == b"ok"
        await server.all_closed()
    assert len(server.requests) == 3


def closes_on_the_second_request(how, first=b""):
    seen = {}

    async def handler(peer, request):
        seen[peer.number] = seen.get(peer.number, 0) + 1
        if peer.number == 1 and seen[1] == 2:
            await peer.send(first)
            getattr(peer, how)()
        else:
            await peer.answer()

    return handler


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_reused_connection_closed_under_the_request_is_replaced_once(wire, client, call, how):
    server = await wire(closes_on_the_second_request(how))
    assert await (await call(client, server)).read() == b"ok"
    assert await (await call(client, server)).read() == b"ok"
    assert server.accepted == 2


async def test_it_is_not_replaced_once_a_byte_of_an_answer_has_come(wire, client, call):
    server = await wire(closes_on_the_second_request("close", b"H"))
    await (await call(client, server)).read()
    assert (await fails(call, client, server)).phase == "head"
    assert server.accepted == 1


async def test_it_is_not_replaced_when_the_close_comes_late(wire, bounded, call):
    server = await wire(closes_on_the_second_request("close"))
    client = bounded(stale_s=0.0)
    await (await call(client, server)).read()
    failure = await fails(call, client, server)
    assert (failure.phase, failure.sent) == ("head", True)
    assert server.accepted == 1


async def test_a_replacement_that_is_closed_too_fails(wire, client, call):
    answered = False

    async def handler(peer, request):
        nonlocal answered
        if answered:
            peer.close()
        else:
            answered = True
            await peer.answer()

    server = await wire(handler)
    await (await call(client, server)).read()
    assert (await fails(call, client, server)).phase == "head"
    assert server.accepted == 2


@pytest.mark.parametrize(
    ("sent", "times", "phase"),
    [
        (b"", {"first_byte_s": 0.03}, "head"),
        (b"HTTP/1.1 200", {"first_byte_s": 0.03}, "head"),
        (b"", {"total_s": 0.03}, "head"),
        (CHUNKED, {"first_byte_s": 0.03}, "body"),
        (CHUNKED + b"1\r\nx\r\n", {"idle_s": 0.03}, "body"),
        (CHUNKED + b"1\r\nx\r\n", {"total_s": 0.03}, "body"),
    ],
)
async def test_deadlines(wire, client, call, sent, times, phase):
    async def handler(peer, request):
        await peer.send(sent)
        await peer.reader.read()

    server = await wire(handler)
    failure = await fails(call, client, server, **times)
    assert (failure.phase, failure.sent, failure.timeout) == (phase, True, True)
    await server.all_closed()


@pytest.mark.parametrize("times", [{"first_byte_s": 0.03}, {"total_s": 0.03}])
async def test_a_head_that_trickles_does_not_extend_its_deadline(wire, client, call, times):
    async def handler(peer, request):
        await peer.send(OK)
        while True:
            await peer.send(b"x: y\r\n")
            await asyncio.sleep(0.005)

    server = await wire(handler)
    failure = await fails(call, client, server, **times)
    assert (failure.phase, failure.timeout) == ("head", True)


async def test_a_body_that_trickles_runs_into_the_total_deadline_only(wire, client, call):
    async def handler(peer, request):
        await peer.send(CHUNKED)
        for _ in range(40):
            await peer.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.01)
        await peer.send(b"0\r\n\r\n")

    server = await wire(handler)
    reply = await call(client, server, idle_s=0.3, first_byte_s=0.3)
    assert await reply.read() == b"x" * 40
    assert (await fails(call, client, server, total_s=0.05)).timeout


async def test_a_deadline_passed_in_one_call_does_not_haunt_the_next(wire, client, call):
    async def handler(peer, request):
        await asyncio.sleep(0.25 if len(server.requests) == 2 else 0)
        await peer.answer()

    server = await wire(handler)
    await (await call(client, server, first_byte_s=0.2)).read()
    assert await (await call(client, server, first_byte_s=20.0)).read() == b"ok"
    assert server.accepted == 1


async def test_an_answer_before_the_whole_request_was_taken_ends_the_connection(wire, client, call):
    async def handler(peer, request):
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        await asyncio.Event().wait()

    server = await wire(handler, take_body=False)
    reply = await call(client, server, b"x" * 50_000_000)
    assert (reply.status, await reply.read()) == (413, b"big")
    reply = await call(client, server, b"x" * 50_000_000)
    assert (reply.status, server.accepted) == (413, 2)


async def test_a_server_that_does_not_take_the_request_fails_in_sending(call, client):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(UpstreamFailure) as caught:
            await call(client, f"http://127.0.0.1:{port}", b"x" * 50_000_000, first_byte_s=0.05)
    assert (caught.value.phase, caught.value.sent, caught.value.timeout) == ("send", True, True)


async def test_nobody_listens(call, client):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UpstreamFailure) as caught:
        await call(client, f"http://127.0.0.1:{port}")
    assert (caught.value.phase, caught.value.sent, caught.value.timeout) == ("connect", False, False)
    assert f"127.0.0.1:{port}" in caught.value.reason
