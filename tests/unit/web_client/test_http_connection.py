"""The connection's parser and state, fed by hand: any split of an answer, any bytes at all."""

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.adapters.web.http_connection import HttpConnection
from sluicegate.adapters.web.http_limits import ClientLimits
from sluicegate.completions.types import UpstreamFailure


class Wire(asyncio.Transport):
    """A transport that notes what is done to it and sends nothing."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.aborted = False
        self.reading = True

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def write(self, data):
        self.written += data

    def abort(self):
        self.aborted = True

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True


class Owner:
    def __init__(self):
        self.released = 0
        self.forgotten = 0

    def release(self, connection):
        self.released += 1

    def forget(self, connection):
        self.forgotten += 1


class Rig:
    def __init__(self, **limits):
        self.wire, self.owner = Wire(), Owner()
        self.connection = HttpConnection(asyncio.get_running_loop(), self.owner, ClientLimits(**limits))
        self.connection.connection_made(self.wire)

    def start(self):
        return self.connection.start(
            b"GET / HTTP/1.1\r\n\r\n", b"", head_only=False, first_byte_s=60, idle_s=60, total_at=1e12
        )

    def feed(self, *pieces):
        for piece in pieces:
            if piece and not self.wire.aborted:
                self.connection.data_received(piece)


ANSWERS = {
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: \r\nX-B: 1\r\n\r\nhello": b"hello",
    b"HTTP/1.1 103 Hint\r\nx: y\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"
    b"2;e=1\r\nhe\r\n3\r\nllo\r\n0\r\ntrailer: t\r\n\r\n": b"hello",
    b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n": b"",
}


@pytest.mark.parametrize(("answer", "body"), ANSWERS.items())
async def test_split_at_every_byte_it_reads_the_same(answer, body):
    for cut in range(len(answer) + 1):
        rig = Rig()
        reply = rig.start()
        rig.feed(answer[:cut], answer[cut:])
        await reply.head()
        assert await reply.read() == body
        assert (rig.owner.released, rig.wire.aborted) == (1, False)
        assert b"x" not in reply.headers or reply.status == 204
        rig.connection.shut()


@given(
    st.sampled_from(list(ANSWERS.items())),
    st.lists(st.integers(0, 200), max_size=12),
)
async def test_any_split_twice_over_one_connection(pair, cuts):
    answer, body = pair
    edges = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    rig = Rig()
    for served in (1, 2):
        reply = rig.start()
        rig.feed(*(answer[a:b] for a, b in itertools.pairwise(edges)))
        assert b"".join([chunk async for chunk in reply.chunks()]) == body
        assert rig.owner.released == rig.connection.served == served
    rig.connection.shut()


mutated = st.sampled_from(list(ANSWERS)).flatmap(
    lambda answer: st.tuples(
        st.just(answer), st.integers(0, len(answer)), st.integers(0, 8), st.binary(max_size=8)
    )
)


@settings(max_examples=400)
@given(
    st.one_of(
        st.binary(max_size=300),
        mutated.map(lambda m: m[0][: m[1]] + m[3] + m[0][m[1] + m[2] :]),
    ),
    st.integers(0, 300),
)
async def test_whatever_comes_the_reader_gets_an_end_and_the_pool_no_dirty_connection(data, cut):
    rig = Rig()
    reply = rig.start()
    rig.feed(data[:cut], data[cut:])
    rig.connection.eof_received()
    try:
        await reply.head()
        body = await reply.read()
    except UpstreamFailure as failure:
        assert failure.sent  # noqa: PT017 - an answer is as good as a failure here
    else:
        assert len(body) <= len(data)
    assert rig.wire.aborted
    assert rig.owner.forgotten == 1


@pytest.mark.parametrize("served", [0, 1])
async def test_bytes_nobody_asked_for_end_an_idle_connection(served):
    rig = Rig()
    for _ in range(served):
        reply = rig.start()
        rig.feed(b"HTTP/1.1 204 X\r\n\r\n")
        assert await reply.read() == b""
    rig.feed(b"\r\n")
    assert (rig.wire.aborted, rig.owner.forgotten, rig.connection.usable) == (True, 1, False)


async def test_a_connection_is_forgotten_once_however_often_it_ends():
    rig = Rig()
    reply = rig.start()
    rig.connection.eof_received()
    rig.connection.connection_lost(ConnectionResetError())
    rig.connection.shut()
    reply.close()
    assert rig.owner.forgotten == 1
    assert not rig.connection.usable


async def test_reading_stops_when_the_reader_is_behind_and_starts_again():
    rig = Rig(stream_buffer=10)
    reply = rig.start()
    rig.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n" + b"x" * 11)
    assert not rig.wire.reading
    assert await anext(reply.chunks()) == b"x" * 11
    assert rig.wire.reading
    rig.feed(b"x" * 11)
    assert not rig.wire.reading
    rig.feed(b"x" * 8)
    assert rig.wire.reading  # the answer is whole: an idle connection must notice the server's close
    assert rig.owner.released == 1
    rig.connection.shut()


async def test_a_second_request_on_a_busy_connection_is_refused():
    rig = Rig()
    rig.start()
    with pytest.raises(RuntimeError):
        rig.start()
    rig.connection.shut()


async def test_a_request_still_being_sent_when_the_answer_ends_costs_the_connection():
    rig = Rig()
    reply = rig.start()
    rig.connection.pause_writing()
    rig.feed(b"HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n")
    assert await reply.read() == b""
    assert (rig.wire.aborted, rig.owner.released) == (True, 0)
