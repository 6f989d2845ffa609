"""The embedded server as a process: killed, restarted, hostile clients, no room."""

import asyncio
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate.adapters.redis.client import RedisClient
from sluicegate.adapters.redis.embedded.server import EmbeddedServer
from sluicegate.adapters.redis.errors import RedisUnavailable
from sluicegate.adapters.redis.local_server import LocalRedis, start_local_redis
from sluicegate.adapters.redis.script import Script
from sluicegate.kernel.errors import ConfigurationError

COUNT = Script.of(
    "count",
    "redis.call('HINCRBY', KEYS[1], 'n', 1) redis.call('HINCRBY', KEYS[1], 'm', 1) "
    "return redis.call('XADD', KEYS[2], '*', 'n', ARGV[1])",
)


async def test_kill_9_loses_nothing_that_was_confirmed(tmp_path: Path) -> None:
    confirmed: list[bytes] = []
    for round_ in range(3):
        local = start_local_redis(tmp_path, prefer="embedded")
        client = RedisClient.from_url(local.url)

        async def caller(client: RedisClient = client) -> None:
            while True:
                try:
                    confirmed.append(await client.script(COUNT, ["counts", "events"], ["x"]))
                except RedisUnavailable:
                    return

        callers = [asyncio.create_task(caller()) for _ in range(20)]
        while len(confirmed) < 300 * (round_ + 1):  # noqa: ASYNC110 - the test's own count, by design
            await asyncio.sleep(0.005)
        local.process.kill()
        await asyncio.gather(*callers)
        await client.close()
        local.process.wait()
    local = start_local_redis(tmp_path, prefer="embedded")
    client = RedisClient.from_url(local.url)
    counts = await client.execute("HMGET", "counts", "n", "m")
    kept = {entry[0] for entry in await client.execute("XRANGE", "events", "-", "+")}
    await client.close()
    local.stop()
    assert set(confirmed) <= kept
    assert len(confirmed) == len(set(confirmed))
    # What was not confirmed is there whole or not at all.
    assert counts == [b"%d" % len(kept)] * 2


async def test_the_client_rides_through_a_restart(tmp_path: Path) -> None:
    local = start_local_redis(tmp_path, prefer="embedded")
    client = RedisClient.from_url(local.url)
    await client.script(COUNT, ["c", "e"], ["x"])
    local.stop()
    with pytest.raises(RedisUnavailable):
        await client.execute("GET", "a")
    local = start_local_redis(tmp_path, prefer="embedded")
    async with asyncio.timeout(10):
        while True:
            try:
                # The restarted server has forgotten the script, and remembers the data.
                await client.script(COUNT, ["c", "e"], ["x"])
                break
            except RedisUnavailable:
                await asyncio.sleep(0.01)
    assert await client.execute("HGET", "c", "n") == b"2"
    await client.close()
    local.stop()


@pytest.mark.parametrize("kind", ["server", "embedded"])
def test_a_folder_in_use_is_refused_and_freed_by_stopping(kind: str, tmp_path: Path) -> None:
    local = _started(kind, tmp_path)
    with pytest.raises(ConfigurationError, match="in use by another Redis"):
        _started(kind, tmp_path)
    local.stop()
    _started(kind, tmp_path).stop()


def _started(kind: str, folder: Path) -> LocalRedis:
    try:
        return start_local_redis(folder, prefer="server" if kind == "server" else "embedded")
    except ConfigurationError as error:
        if "not installed" in str(error):
            pytest.skip("redis-server is not installed")
        raise


@pytest.mark.parametrize("kind", ["server", "embedded"])
def test_it_ends_with_the_process_that_started_it(kind: str, tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells a process of its parent's end")
    _started(kind, tmp_path).stop()
    code = (
        "import sys, pathlib, os\n"
        "from sluicegate.adapters.redis.local_server import start_local_redis\n"
        "local = start_local_redis(pathlib.Path(sys.argv[1]), prefer=sys.argv[2])\n"
        "print(local.process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    shared = Path(__file__).parents[2] / "shared"
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), kind],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(shared)},
        check=False,
    )
    assert run.returncode == -signal.SIGKILL
    # Its folder is free again exactly when it is gone.
    for _ in range(500):
        try:
            _started(kind, tmp_path).stop()
        except ConfigurationError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"process {run.stdout!r} outlived its parent")


def test_the_socket_is_its_owners_alone_and_a_long_folder_name_does_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20)
    local = start_local_redis(folder, prefer="embedded")
    path = Path(local.url.removeprefix("unix://"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    local.stop()


@pytest.fixture
def server_port(tmp_path: Path) -> Iterator[int]:
    process, port = _process(tmp_path)
    yield port
    process.terminate()
    assert process.wait(10) == 0


def _process(folder: Path, *, file_limit: int | None = None) -> tuple[subprocess.Popen[str], int]:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit or 0, file_limit or 0))

    process = subprocess.Popen(
        [sys.executable, "-m", "sluicegate.adapters.redis.embedded", "--port", "0", "--data", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "shared")},
        preexec_fn=limit if file_limit else None,  # noqa: PLW1509 - no threads here
    )
    assert process.stdout is not None
    with process.stdout as output:
        match = re.fullmatch(r"ready redis://127\.0\.0\.1:(\d+)/0\n", output.readline())
    assert match is not None
    return process, int(match[1])


async def test_a_full_disk_ends_the_server_before_it_confirms_what_it_cannot_keep(tmp_path: Path) -> None:
    process, port = _process(tmp_path, file_limit=20_000)
    client = RedisClient.from_url(f"redis://127.0.0.1:{port}")
    confirmed = 0
    with pytest.raises(RedisUnavailable) as caught:  # noqa: PT012 - which of the writes fails is not known
        while confirmed < 1_000:
            await client.execute("RPUSH", "list", b"x" * 100)
            confirmed += 1
    assert caught.value.maybe_applied
    await client.close()
    assert process.wait(10) == 1
    process, port = _process(tmp_path)
    client = RedisClient.from_url(f"redis://127.0.0.1:{port}")
    assert await client.execute("LLEN", "list") == confirmed
    await client.close()
    process.terminate()
    assert process.wait(10) == 0


@pytest.mark.parametrize(
    "hostile",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x00\xff\xfe",
        b"*2\r\n:1\r\n:2\r\n",
        b"*-5\r\n",
        b"$5\r\nhello\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n*1\r\n$4\r\nPING\r\n",
        b"*2\r\n$3\r\nGET\r\n$99999999999999\r\n",
        b"*1000000\r\n$1\r\n",
        b"*3\r\n$3\r\nSET\r\n",
    ],
)
def test_a_hostile_client_harms_nobody_else(hostile: bytes, server_port: int) -> None:
    with socket.create_connection(("127.0.0.1", server_port)) as bad:
        bad.settimeout(5)
        bad.sendall(hostile)
        bad.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := bad.recv(4096):
            answer += chunk
        assert answer == b"" or answer.startswith(b"-ERR Protocol error")
    with socket.create_connection(("127.0.0.1", server_port)) as good:
        good.settimeout(5)
        good.sendall(b"*1\r\n$4\r\nPING\r\n")
        assert good.recv(64) == b"+PONG\r\n"


def test_commands_split_at_every_byte(server_port: int) -> None:
    with socket.create_connection(("127.0.0.1", server_port)) as client:
        client.settimeout(5)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n":
            client.sendall(bytes([byte]))
        answer = b""
        while len(answer) < len(b"+OK\r\n$2\r\n\r\n\r\n"):
            answer += client.recv(64)
        assert answer == b"+OK\r\n$2\r\n\r\n\r\n"


async def test_a_subscriber_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluicegate.adapters.redis.embedded.session._MAX_UNREAD_BYTES", 100_000)
    server = EmbeddedServer(None)
    port = await server.start(port=0)
    assert port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n")
    assert await reader.readline() == b"*3\r\n"
    client = RedisClient.from_url(f"redis://127.0.0.1:{port}")
    delivered = 1
    async with asyncio.timeout(20):
        while delivered:
            delivered = await client.execute("PUBLISH", "c", b"x" * 100_000)
    await client.close()
    writer.transport.abort()
    await server.stop()
