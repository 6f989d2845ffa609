"""The Redis client against servers that misbehave, over real sockets on 127.0.0.1."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import hiredis
import pytest

from sluicegate.adapters.redis.client import RedisClient
from sluicegate.adapters.redis.errors import RedisReplyError, RedisUnavailable
from sluicegate.adapters.redis.script import Script

Answer = Callable[[list[bytes], asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A server whose every answer is scripted; a polite one answers PING truthfully."""

    def __init__(self, answer: Answer, *, polite: bool = True) -> None:
        self.answer = answer
        self.polite = polite
        self.connections = 0
        self.commands: list[list[bytes]] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.sleep(0)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        parser = hiredis.Reader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                parser.feed(data)
                while (command := parser.gets()) is not False:
                    if self.polite and command[0] == b"PING":
                        writer.write(b"+PONG\r\n")
                        continue
                    self.commands.append(command)
                    await self.answer(command, writer)


@contextlib.asynccontextmanager
async def serving(
    answer: Answer, *, polite: bool = True, **options: Any
) -> AsyncIterator[tuple[Peer, RedisClient]]:
    peer = Peer(answer, polite=polite)
    await peer.start()
    client = RedisClient.from_url(peer.url, **options)
    try:
        yield peer, client
    finally:
        await client.close()
        await peer.stop()


async def echo(command: list[bytes], writer: asyncio.StreamWriter) -> None:
    writer.write(b"$%d\r\n%b\r\n" % (len(command[-1]), command[-1]))


async def silence(_command: list[bytes], _writer: asyncio.StreamWriter) -> None:
    return


async def test_nothing_is_opened_before_the_first_command() -> None:
    async with serving(echo) as (peer, client):
        await asyncio.sleep(0.01)
        assert peer.connections == 0
        assert await client.execute("ECHO", "a") == b"a"
        assert peer.connections == 1


async def test_a_thousand_callers_with_cancellations_each_get_their_own_reply() -> None:
    async with serving(echo, connections=2) as (peer, client):

        async def caller(index: int) -> bool:
            for round_ in range(3):
                word = f"{index}-{round_}".encode()
                if await client.execute("ECHO", word) != word:
                    return False
            return True

        tasks = [asyncio.create_task(caller(index)) for index in range(1_000)]
        for step in range(5):
            await asyncio.sleep(0.002)
            for task in tasks[step::11]:
                task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is True or isinstance(result, asyncio.CancelledError) for result in results)
        assert sum(result is True for result in results) >= 500
        assert peer.connections <= 2


async def test_half_a_reply_and_a_close_is_unavailable_and_maybe_applied() -> None:
    async def half(_command: list[bytes], writer: asyncio.StreamWriter) -> None:
        writer.write(b"$10\r\nhal")
        await writer.drain()
        writer.close()

    async with serving(half) as (_, client):
        with pytest.raises(RedisUnavailable) as caught:
            await client.execute("GET", "a")
        assert caught.value.maybe_applied


async def test_a_silent_server_times_out_and_its_late_reply_reaches_nobody() -> None:
    late: list[asyncio.StreamWriter] = []

    async def first_silent(command: list[bytes], writer: asyncio.StreamWriter) -> None:
        if command[-1] == b"first":
            late.append(writer)
        else:
            await echo(command, writer)

    async with serving(first_silent, timeout_s=0.1) as (_, client):
        with pytest.raises(RedisUnavailable, match="no reply within") as caught:
            await client.execute("ECHO", "first")
        assert caught.value.maybe_applied
        late[0].write(b"$5\r\nfirst\r\n")
        assert await eventually(lambda: client.execute("ECHO", "second")) == b"second"


async def test_garbage_instead_of_a_reply() -> None:
    async def garbage(_command: list[bytes], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(garbage) as (_, client):
        with pytest.raises(RedisUnavailable, match="does not speak RESP"):
            await client.execute("GET", "a")


async def test_a_server_that_accepts_but_never_speaks_is_unavailable_within_the_connect_timeout() -> None:
    async with serving(silence, polite=False, connect_timeout_s=0.1) as (_, client):
        with pytest.raises(RedisUnavailable, match="cannot connect within") as caught:
            await client.execute("GET", "a")
        assert not caught.value.maybe_applied


async def test_while_the_server_is_away_callers_fail_at_once_and_do_not_hammer_it() -> None:
    peer = Peer(silence, polite=False)
    await peer.start()
    client = RedisClient.from_url(peer.url, connect_timeout_s=0.1)
    try:
        errors = await asyncio.gather(
            *(client.execute("GET", "a") for _ in range(200)), return_exceptions=True
        )
        assert all(isinstance(error, RedisUnavailable) for error in errors)
        assert peer.connections == 1
        # Within the pause after the failure not one more connection is made.
        for _ in range(100):
            with pytest.raises(RedisUnavailable) as caught:
                await client.execute("GET", "a")
            assert not caught.value.maybe_applied
        assert peer.connections <= 2
    finally:
        await client.close()
        await peer.stop()


async def test_it_recovers_by_itself_when_the_server_comes_back() -> None:
    async with serving(echo) as (peer, client):
        assert await client.execute("ECHO", "before") == b"before"
        await peer.stop()
        with pytest.raises(RedisUnavailable):
            await eventually_raises(lambda: client.execute("ECHO", "down"))
        await peer.start(peer.port)
        assert await eventually(lambda: client.execute("ECHO", "after")) == b"after"


async def test_a_connection_closed_while_idle_is_replaced() -> None:
    async with serving(echo) as (peer, client):
        await client.execute("ECHO", "a")
        peer.cut()
        await asyncio.sleep(0.01)
        assert await eventually(lambda: client.execute("ECHO", "b")) == b"b"
        assert peer.connections == 2


async def test_after_readonly_the_next_command_goes_over_a_new_connection() -> None:
    async def demoted(command: list[bytes], writer: asyncio.StreamWriter) -> None:
        if len(peer.commands) == 1:
            writer.write(b"-READONLY You can't write against a read only replica.\r\n")
        else:
            await echo(command, writer)

    async with serving(demoted) as (peer, client):
        with pytest.raises(RedisUnavailable, match="READONLY") as caught:
            await client.execute("SET", "a", "1")
        assert not caught.value.maybe_applied
        await asyncio.sleep(0)
        assert await eventually(lambda: client.execute("SET", "a", "1")) == b"1"
        assert peer.connections == 2


async def test_wrong_password_is_told_without_showing_it() -> None:
    async def refuse(_command: list[bytes], writer: asyncio.StreamWriter) -> None:
        writer.write(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")

    async with serving(refuse, polite=False) as (peer, _):
        client = RedisClient.from_url(f"redis://app:hunter2@127.0.0.1:{peer.port}")
        with pytest.raises(RedisUnavailable, match="WRONGPASS") as caught:
            await client.execute("GET", "a")
        assert "hunter2" not in str(caught.value)
        assert peer.commands[0] == [b"AUTH", b"app", b"hunter2"]
        await client.close()


async def test_login_and_database_are_chosen_before_the_first_command() -> None:
    async def accept(_command: list[bytes], writer: asyncio.StreamWriter) -> None:
        writer.write(b"+OK\r\n")

    async with serving(accept) as (peer, _):
        client = RedisClient.from_url(f"redis://:pw@127.0.0.1:{peer.port}/4")
        await client.execute("SET", "a", 1)
        assert peer.commands == [[b"AUTH", b"default", b"pw"], [b"SELECT", b"4"], [b"SET", b"a", b"1"]]
        await client.close()


async def test_pending_commands_are_bounded() -> None:
    async with serving(silence, max_pending=10, connections=1, timeout_s=60) as (_, client):
        tasks = [asyncio.create_task(client.execute("GET", "a")) for _ in range(100)]
        await asyncio.sleep(0.05)
        refused = [task for task in tasks if task.done()]
        assert len(refused) >= 26
        for task in refused:
            error = task.exception()
            assert isinstance(error, RedisUnavailable)
            assert not error.maybe_applied
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_close_fails_what_is_under_way_and_what_comes_later() -> None:
    async with serving(silence) as (_, client):
        task = asyncio.create_task(client.execute("GET", "a"))
        await asyncio.sleep(0.02)
        await client.close()
        with pytest.raises(RedisUnavailable) as caught:
            await task
        assert caught.value.maybe_applied
        with pytest.raises(RedisUnavailable, match="closed"):
            await client.execute("GET", "a")


async def test_a_connection_refused_names_the_address() -> None:
    async with serving(echo) as (peer, client):
        await peer.stop()
        with pytest.raises(RedisUnavailable, match=f"127.0.0.1:{peer.port}"):
            await client.execute("GET", "a")


async def test_a_script_is_sent_whole_only_when_the_server_lacks_it() -> None:
    known: set[bytes] = set()

    async def scripts(command: list[bytes], writer: asyncio.StreamWriter) -> None:
        if command[0] == b"EVALSHA" and command[1] not in known:
            writer.write(b"-NOSCRIPT No matching script. Please use EVAL.\r\n")
            return
        if command[0] == b"EVAL":
            known.add(script.sha)
        writer.write(b":1\r\n")

    script = Script.of("one", "return 1")
    assert script.sha == b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
    async with serving(scripts) as (peer, client):
        for _ in range(2):
            assert await client.script(script, ["k"], [1, "two", b"three"]) == 1
        known.clear()
        assert await client.script(script, [], []) == 1
        names = [command[0] for command in peer.commands]
        assert names == [b"EVALSHA", b"EVAL", b"EVALSHA", b"EVALSHA", b"EVAL"]
        assert peer.commands[2][2:] == [b"1", b"k", b"1", b"two", b"three"]


async def test_an_error_inside_a_script_is_not_retried() -> None:
    async def failing(_command: list[bytes], writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR user_script:1: broken\r\n")

    async with serving(failing) as (peer, client):
        with pytest.raises(RedisReplyError, match="broken"):
            await client.script(Script.of("x", "return"), [], [])
        assert len(peer.commands) == 1


class Listener:
    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.gaps = 0

    def on_message(self, payload: bytes) -> None:
        self.messages.append(payload)

    def on_gap(self) -> None:
        self.gaps += 1


async def pubsub(command: list[bytes], writer: asyncio.StreamWriter) -> None:
    if command[0] == b"SUBSCRIBE":
        for channel in command[1:]:
            writer.write(b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%b\r\n:1\r\n" % (len(channel), channel))
            word = b"hello " + channel
            writer.write(
                b"*3\r\n$7\r\nmessage\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n"
                % (len(channel), channel, len(word), word)
            )


async def test_a_subscription_survives_its_connection_and_tells_of_the_gap() -> None:
    async with serving(pubsub) as (peer, client):
        listener = Listener()
        await client.subscribe("news", listener.on_message, listener.on_gap)
        await until(lambda: listener.messages == [b"hello news"])
        assert listener.gaps == 0
        peer.cut()
        await until(lambda: listener.gaps == 1)
        await until(lambda: listener.messages == [b"hello news"] * 2)


async def test_subscribing_while_the_server_is_away_returns_and_subscribes_later_with_a_gap() -> None:
    peer = Peer(pubsub)
    await peer.start()
    await peer.stop()
    client = RedisClient.from_url(peer.url)
    try:
        listener = Listener()
        await client.subscribe("news", listener.on_message, listener.on_gap)
        assert listener.messages == []
        await peer.start(peer.port)
        await until(lambda: listener.messages == [b"hello news"])
        assert listener.gaps == 1
    finally:
        await client.close()
        await peer.stop()


async def test_two_channels_share_one_connection_and_one_bad_listener_harms_no_other() -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))

    def broken(_payload: bytes) -> None:
        raise ValueError("listener")

    async with serving(pubsub) as (peer, client):
        listener = Listener()
        await client.subscribe("a", broken, listener.on_gap)
        await client.subscribe("b", listener.on_message, listener.on_gap)
        await until(lambda: listener.messages == [b"hello b"])
        assert peer.connections == 1
    assert [type(fault["exception"]) for fault in faults] == [ValueError]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is plain state, by design
            await asyncio.sleep(0.005)


async def eventually(call: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(10):
        while True:
            try:
                return await call()
            except RedisUnavailable:
                await asyncio.sleep(0.01)


async def eventually_raises(call: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(10):
        while True:
            await call()
