"""The connection without sockets: a transport that records, and replies fed in by hand."""

import asyncio
from typing import Any, cast

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.adapters.redis.command import pack
from sluicegate.adapters.redis.connection import Connection
from sluicegate.adapters.redis.errors import RedisReplyError, RedisUnavailable


class RecordingTransport:
    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def abort(self) -> None:
        self.aborted = True

    def get_extra_info(self, _name: str) -> None:
        return None


class Wire:
    """A connection with both its ends in hand."""

    def __init__(self, timeout_s: float = 60.0) -> None:
        self.lost: list[str] = []
        self.connection = Connection(timeout_s, lambda _, reason: self.lost.append(reason))
        self.transport = RecordingTransport()
        self.connection.connection_made(cast("Any", self.transport))

    def ask(self, count: int) -> list[asyncio.Future[Any]]:
        return [self.connection.send(pack(("ECHO", str(index)))) for index in range(count)]


async def turn() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_commands_of_one_turn_leave_in_one_write() -> None:
    wire = Wire()
    futures = wire.ask(3)
    await turn()
    assert wire.transport.writes == [b"".join(pack(("ECHO", str(index))) for index in range(3))]
    wire.connection.data_received(b":0\r\n:1\r\n:2\r\n")
    assert await asyncio.gather(*futures) == [0, 1, 2]


REPLIES = st.recursive(
    st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.binary(max_size=40),
        st.none(),
    ),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=10,
)


def encoded(value: Any) -> bytes:
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    return b"*%d\r\n%b" % (len(value), b"".join(map(encoded, value)))


@given(replies=st.lists(REPLIES, min_size=1, max_size=6), data=st.data())
@settings(max_examples=60, deadline=None)
def test_replies_split_anywhere_reach_their_askers_in_order(replies: list[Any], data: st.DataObject) -> None:
    stream = b"".join(map(encoded, replies))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))

    async def scenario() -> list[Any]:
        wire = Wire()
        futures = wire.ask(len(replies))
        await turn()
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            wire.connection.data_received(stream[start:end])
        return await asyncio.gather(*futures)

    assert asyncio.run(scenario()) == replies


async def test_replies_split_at_every_byte() -> None:
    wire = Wire()
    futures = wire.ask(3)
    await turn()
    for byte in b"*2\r\n$2\r\n\r\n\r\n:-7\r\n-WRONGTYPE no\r\n$0\r\n\r\n":
        wire.connection.data_received(bytes([byte]))
    assert await futures[0] == [b"\r\n", -7]
    with pytest.raises(RedisReplyError) as caught:
        await futures[1]
    assert caught.value.prefix == "WRONGTYPE"
    assert await futures[2] == b""


async def test_cancelled_callers_do_not_shift_the_replies_of_others() -> None:
    wire = Wire()
    futures = wire.ask(1_000)
    await turn()
    for future in futures[::3]:
        future.cancel()
    wire.connection.data_received(b"".join(b":%d\r\n" % index for index in range(1_000)))
    for index, future in enumerate(futures):
        if index % 3:
            assert await future == index
        else:
            assert future.cancelled()


@given(noise=st.binary(min_size=1, max_size=200))
@settings(max_examples=150, deadline=None)
def test_garbage_never_raises_and_never_answers_after_the_connection_is_lost(noise: bytes) -> None:
    async def scenario() -> None:
        wire = Wire()
        futures = wire.ask(2)
        await turn()
        wire.connection.data_received(noise)
        wire.connection.connection_lost(None)
        results = await asyncio.gather(*futures, return_exceptions=True)
        answered = [result for result in results if not isinstance(result, RedisUnavailable)]
        assert results[: len(answered)] == answered or len(answered) == 0
        assert len(wire.lost) == 1

    asyncio.run(scenario())


async def test_a_reply_that_nobody_asked_for_ends_the_connection() -> None:
    wire = Wire()
    wire.connection.data_received(b"+OK\r\n")
    assert wire.transport.aborted
    assert "no command asked for" in wire.lost[0]


async def test_resp3_push_messages_are_not_taken_for_replies() -> None:
    wire = Wire()
    (future,) = wire.ask(1)
    await turn()
    wire.connection.data_received(b">2\r\n+invalidate\r\n*1\r\n+k\r\n%1\r\n+a\r\n#t\r\n")
    assert await future == {b"a": True}


async def test_losing_the_connection_tells_what_may_have_run() -> None:
    wire = Wire()
    sent = wire.ask(2)
    await turn()
    unsent = wire.connection.send(pack(("SET", "a", 1)))
    wire.connection.connection_lost(ConnectionResetError("reset"))
    for future in sent:
        with pytest.raises(RedisUnavailable) as caught:
            await future
        assert caught.value.maybe_applied
    with pytest.raises(RedisUnavailable) as caught:
        await unsent
    assert not caught.value.maybe_applied
    await turn()
    assert len(wire.transport.writes) == 1


async def test_a_command_on_a_lost_connection_fails_and_surely_did_not_run() -> None:
    wire = Wire()
    wire.connection.connection_lost(None)
    with pytest.raises(RedisUnavailable) as caught:
        await wire.connection.send(pack(("PING",)))
    assert not caught.value.maybe_applied


@pytest.mark.parametrize("prefix", ["LOADING", "READONLY", "MASTERDOWN", "BUSY", "MISCONF", "OOM", "NOAUTH"])
async def test_a_server_that_cannot_serve_now_is_unavailable_and_nothing_ran(prefix: str) -> None:
    wire = Wire()
    (future,) = wire.ask(1)
    await turn()
    wire.connection.data_received(f"-{prefix} not now\r\n".encode())
    with pytest.raises(RedisUnavailable, match=prefix) as caught:
        await future
    assert not caught.value.maybe_applied
    await turn()
    assert wire.transport.aborted is (prefix == "READONLY")


async def test_a_cluster_says_what_to_do() -> None:
    wire = Wire()
    (future,) = wire.ask(1)
    await turn()
    wire.connection.data_received(b"-MOVED 3999 10.0.0.2:6381\r\n")
    with pytest.raises(RedisUnavailable, match="single primary"):
        await future


async def test_sweeps_time_out_only_what_is_unanswered_for_the_whole_timeout() -> None:
    wire = Wire(timeout_s=1_000.0)
    sweep = wire.connection._sweep
    (old,) = wire.ask(1)
    await turn()
    for _ in range(3):
        sweep()
    wire.connection.data_received(b":0\r\n")
    (young,) = wire.ask(1)
    await turn()
    sweep()
    sweep()
    assert await old == 0
    assert not young.done()
    for _ in range(3):
        sweep()
    assert wire.transport.aborted
    with pytest.raises(RedisUnavailable, match="no reply within 1000 s") as caught:
        await young
    assert caught.value.maybe_applied


async def test_a_reply_beyond_the_limit_is_not_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluicegate.adapters.redis.connection.MAX_REPLY_BYTES", 1_000)
    wire = Wire()
    (future,) = wire.ask(1)
    await turn()
    wire.connection.data_received(b"$999999999999\r\n" + b"x" * 2_000)
    with pytest.raises(RedisUnavailable, match="larger than 1000 bytes"):
        await future


def test_errors_keep_addresses_from_callers() -> None:
    error = RedisUnavailable("redis://10.0.0.3:6379/0: connection lost")
    assert "10.0.0.3" in str(error)
    assert "10.0.0.3" not in error.message
    assert error.status == 503
    refused = RedisReplyError("ERR value of key slg:{acme}:x is wrong")
    assert "acme" not in refused.message
    assert refused.status == 500


def test_packing_refuses_what_redis_has_no_form_for() -> None:
    with pytest.raises(TypeError):
        pack(cast("Any", (None,)))
    assert hiredis.pack_command(("é", b"\xff", 2**63 - 1)) == pack(("é", b"\xff", 2**63 - 1))
