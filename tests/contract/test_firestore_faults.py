"""Adapters while their Firestore is contended, hangs, or is killed and comes back: all is there, and once."""

import asyncio
import signal

import pytest
from firestore_process import FirestoreProcess, new_project, skip_where_not_ours

from sluicegate.adapters.gcp.firestore.client import Firestore
from sluicegate.adapters.gcp.firestore.events import FirestoreEventStore
from sluicegate.adapters.gcp.firestore.keys import FirestoreKeyStore
from sluicegate.adapters.gcp.firestore.usage_rows import FirestoreUsageStore
from sluicegate.identity.api_keys import ApiKey, KeySecret
from sluicegate.kernel.clock import SystemClock
from sluicegate.kernel.errors import DependencyUnavailableError
from sluicegate.kernel.events import Event
from sluicegate.ledger.spending import GroupBy, SpendQuery
from sluicegate.ledger.usage import UsageRow

pytest.importorskip("google.cloud.firestore_v1", reason="the extra 'gcp' is not installed")


def row(number, **fields):
    return UsageRow(
        **{
            "request_id": f"req_{number}", "at": 1000.0 + number, "tenant": "acme", "workspace": "growth",
            "user": "kim", "key": "key_a", "agent": None, "mission": None, "task": None, "model": "small",
            "provider": "scripted", "requested_model": "auto", "input_tokens": 10, "cached_input_tokens": 0,
            "cache_write_tokens": 0, "output_tokens": 5, "reasoning_tokens": 0, "cost_nano": 100 + number,
            "held_nano": 300, "estimated": False, "latency_ms": 12.5, "first_byte_ms": None, "cache": "none",
            "outcome": "success", **fields,
        }
    )  # fmt: skip


def key(number):
    secret = KeySecret(f"{number:08}", b"d" * 32, 1.0)
    return ApiKey(
        id=f"key_{number}", tenant="acme", workspace="growth", user="kim", name="CI", roles=("ai_service",),
        secrets=(secret,), created_at=float(number),
    )  # fmt: skip


@pytest.fixture
def server(tmp_path):
    skip_where_not_ours()
    process = FirestoreProcess(tmp_path / "journal")
    process.start()
    yield process
    process.kill()


@pytest.fixture
async def firestore(server):
    opened = Firestore(new_project(), emulator=server.host, attempt_s=2.0, deadline_s=10.0)
    yield opened
    await opened.close()


async def persist(work):
    """Do `work` again until it is done, as a consumer of the bus does; how often it failed."""
    failures = 0
    while True:
        try:
            return await work(), failures
        except DependencyUnavailableError:
            failures += 1
            await asyncio.sleep(0.05)


async def test_a_ledger_whose_server_is_killed_again_and_again_has_every_row_once(server, firestore):
    usage = FirestoreUsageStore(firestore)
    batches = [[row(n) for n in range(first, first + 25)] for first in range(0, 1_000, 20)]  # overlapping
    at_work = asyncio.Semaphore(4)

    async def append(batch):
        async with at_work:
            await persist(lambda: usage.append(batch))

    async def kill():
        for _ in range(5):
            await asyncio.sleep(0.15)
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(0.1)
            await asyncio.to_thread(server.start)

    await asyncio.gather(kill(), *(append(batch) for batch in batches))
    rows = {n for batch in batches for n in range(int(batch[0].at) - 1000, int(batch[-1].at) - 999)}
    nano = sum(100 + n for n in rows)
    assert await usage.spent("acme", "tenant", "acme", 0, 10_000) == (nano, 15 * len(rows))
    report = await usage.report("acme", SpendQuery(0, 10_000, (GroupBy.MODEL,)))
    assert (report.total.requests, report.total.cost_nano) == (len(rows), nano)


async def test_while_it_is_away_tries_are_bounded_and_the_error_is_clear(server, firestore):
    keys = FirestoreKeyStore(firestore)
    assert await keys.add(key(1))
    server.kill()
    async with asyncio.timeout(60):  # the deadline is 4 s; the rest is for a busy machine
        with pytest.raises(DependencyUnavailableError, match="Firestore") as refused:
            await keys.find_by_prefix("00000001")
    assert refused.value.retry_after
    assert server.host not in refused.value.message
    server.start()
    assert await keys.find_by_prefix("00000001") == key(1)
    assert await keys.add(key(2))


async def test_a_server_that_hangs_is_not_waited_for_beyond_the_deadline(server, firestore):
    keys = FirestoreKeyStore(firestore)
    await keys.add(key(1))
    server.signal(signal.SIGSTOP)
    try:
        with pytest.raises(DependencyUnavailableError):
            await keys.find("acme", "key_1")
    finally:
        server.signal(signal.SIGCONT)
    assert await keys.find("acme", "key_1") == key(1)


async def test_a_short_absence_goes_unnoticed(server, firestore):
    keys = FirestoreKeyStore(firestore)
    await keys.add(key(1))
    server.kill()
    asked = asyncio.create_task(keys.keys("acme"))
    await asyncio.sleep(0.2)
    await asyncio.to_thread(server.start)
    assert await asked == [key(1)]


async def test_a_commit_whose_answer_was_lost_is_known_as_ones_own(server, firestore, monkeypatch):
    """The server applied it and the answer was lost: trying again must not say that another was first."""
    keys, usage = FirestoreKeyStore(firestore), FirestoreUsageStore(firestore)
    events = FirestoreEventStore(firestore, SystemClock())
    client = await firestore._open()
    real, lost = client._firestore_api.commit, []

    async def losing(**call):
        answer = await real(**call)
        if not lost:
            from google.api_core import exceptions

            lost.append(answer)
            raise exceptions.ServiceUnavailable("the connection broke")
        return answer

    monkeypatch.setattr(client._firestore_api, "commit", losing)
    assert await keys.add(key(1))
    lost.clear()
    changed = ApiKey(
        **{name: getattr(key(1), name) for name in ApiKey.__slots__ if name != "revision"}, revision=2
    )
    assert await keys.replace(changed)
    lost.clear()
    await usage.append([row(1), row(2)])
    assert (await usage.spent("acme", "tenant", "acme", 0, 9_999))[0] == 203
    lost.clear()
    await events.record([Event("1", "/a", "t.v1", 1.0, "acme")])
    assert len(await events.events("acme")) == 1


async def test_the_first_use_may_come_before_the_server(tmp_path):
    skip_where_not_ours()
    process = FirestoreProcess(tmp_path / "journal")
    process.start()
    process.kill()
    opened = Firestore(new_project(), emulator=process.host, deadline_s=0.5)
    keys = FirestoreKeyStore(opened)
    with pytest.raises(DependencyUnavailableError):
        await keys.keys("acme")
    process.start()
    assert (await persist(lambda: keys.keys("acme")))[0] == []
    await opened.close()
    process.kill()


@pytest.mark.parametrize("concurrency", ["pessimistic", "optimistic"])
async def test_many_writers_of_the_same_rows_store_each_once(tmp_path, concurrency):
    skip_where_not_ours()
    process = FirestoreProcess(concurrency=concurrency)
    process.start()
    project = new_project()
    opened = [Firestore(project, emulator=process.host) for _ in range(4)]
    stores = [FirestoreUsageStore(each) for each in opened]
    # Each row comes as the estimate of a lost owner and as the owner's own, from all sides at once.
    estimates = [row(n, reaped=True, cost_nano=9_000) for n in range(40)]
    own = [row(n) for n in range(40)]
    await asyncio.gather(*(stores[n % 4].append((estimates, own)[n // 4]) for n in range(8)))
    total = await stores[0].spent("acme", "user", "kim", 0, 10_000)
    assert total == (sum(100 + n for n in range(40)), 15 * 40)
    for each in opened:
        await each.close()
    process.kill()
