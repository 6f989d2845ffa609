import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from sluicegate.adapters.redis.client import RedisClient


@pytest.fixture(scope="session")
def ledger_redis_url() -> Iterator[str]:
    """A private redis-server for the session."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, "--port", str(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
async def redis(ledger_redis_url: str) -> AsyncIterator[RedisClient]:
    client = RedisClient.from_url(ledger_redis_url)
    await client.execute("FLUSHALL")
    yield client
    await client.close()
