"""A private Redis server for the session, and the embedded one."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sluicegate.adapters.redis.client import RedisClient
from sluicegate.adapters.redis.local_server import start_local_redis

# Several suites share `admission_suite`.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def redis_port() -> Iterator[int]:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [binary, "--port", str(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 0.1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield port
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="session")
def embedded_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    local = start_local_redis(tmp_path_factory.mktemp("redis"), prefer="embedded")
    yield local.url
    local.stop()


@pytest.fixture(params=["server", "embedded"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[RedisClient]:
    if request.param == "embedded":
        pytest.importorskip("lupa")
        url = request.getfixturevalue("embedded_url")
    else:
        url = f"redis://127.0.0.1:{request.getfixturevalue('redis_port')}/0"
    redis = RedisClient.from_url(url)
    await redis.execute("FLUSHALL")
    yield redis
    await redis.close()
