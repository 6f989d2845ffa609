"""The process that keeps the books, killed again and again while events come in."""

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
from pathlib import Path

from sluicegate.kernel.events import USAGE_RECORDED, Event

ROOT = Path(__file__).resolve().parents[3]
KILLS = 12


def usage(number):
    data = {"request_id": f"req_{number}", "cost_nano": number + 1, "user": "kim"}
    return Event(f"req_{number}", "/g", USAGE_RECORDED, 5.0, "acme", f"req_{number}", data).to_json()


async def start(data, url):
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sluicegate", "ledger", "run", "--data", str(data),
        env={
            "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "shared"), "REDIS_URL": url,
            "ENVIRONMENT": "development", "LOG_LEVEL": "ERROR", "SLUICEGATE_POLICY_DIR": str(data.parent),
        },
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_killed_at_any_moment_it_loses_nothing_and_counts_nothing_twice(
    redis, ledger_redis_url, tmp_path
):
    chance = random.Random(7)
    (tmp_path / "events.yaml").write_text("stale_s: 1\n")
    data = tmp_path / "data"
    told, full = 0, asyncio.Event()
    await redis.execute("SADD", "slg:tenants", "acme")

    async def feed():
        nonlocal told
        while not full.is_set():
            for _ in range(chance.randint(1, 60)):
                await redis.execute("XADD", "slg:{acme}:outbox", "*", "event", usage(told))
                told += 1
            await redis.execute("XADD", "slg:{acme}:outbox", "*", "event", b"poison %d" % told)
            await asyncio.sleep(0.005)

    feeding = asyncio.create_task(feed())
    for _ in range(KILLS):
        process = await start(data, ledger_redis_url)
        before = await redis.execute("GET", "slg:{acme}:published")
        async with asyncio.timeout(30):
            while await redis.execute("GET", "slg:{acme}:published") == before:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.001)
        await asyncio.sleep(chance.random() * 0.1)  # somewhere in the midst of it
        process.send_signal(signal.SIGKILL)
        await process.wait()
    full.set()
    await feeding

    process = await start(data, ledger_redis_url)
    async with asyncio.timeout(60):
        while await redis.execute("XLEN", "slg:{acme}:outbox"):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = await process.communicate()
    assert process.returncode == 0, said
    rows = sqlite3.connect(data / "sluicegate.db")
    found = rows.execute(
        "SELECT COUNT(*), COUNT(DISTINCT request_id), SUM(cost_nano) FROM usage_rows"
    ).fetchone()
    rows.close()
    assert found == (told, told, told * (told + 1) // 2)
    bus = sqlite3.connect(data / "bus.db")
    reasons = {reason for (reason,) in bus.execute("SELECT DISTINCT reason FROM dead_letters")}
    left = bus.execute("SELECT COUNT(*) FROM pending").fetchone()
    bus.close()
    assert (reasons, left) == ({"not JSON"}, (0,))
    assert b"Traceback" not in said, json.dumps(said.decode())
