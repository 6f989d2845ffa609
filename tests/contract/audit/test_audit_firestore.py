"""The whole log with its index and its keys in Firestore, whose server is killed while entries come."""

import asyncio

import pytest
from audit_rig.logs import check, make_log, usage
from firestore_process import FirestoreProcess, new_project, skip_where_not_ours

from sluicegate.adapters.gcp.firestore.audit_index import FirestoreEntryIndex
from sluicegate.adapters.gcp.firestore.client import Firestore
from sluicegate.adapters.gcp.firestore.data_keys import FirestoreDataKeys
from sluicegate.adapters.local.log_files import LogFiles
from sluicegate.audit.ports import EntryFilter
from sluicegate.kernel.errors import DependencyUnavailableError

pytest.importorskip("google.cloud.firestore_v1", reason="the extra 'gcp' is not installed")

TENANTS = 3
EVENTS = [
    usage(number, tenant=f"tenant-{number % TENANTS}", user=f"user-{number % 4}") for number in range(400)
]


@pytest.fixture
def server(tmp_path):
    skip_where_not_ours()
    process = FirestoreProcess(tmp_path / "journal")
    process.start()
    yield process
    process.kill()


async def test_a_log_whose_index_is_killed_again_and_again_has_every_entry_once(server, tmp_path):
    project = new_project()
    opened = [Firestore(project, emulator=server.host, attempt_s=2.0, deadline_s=8.0) for _ in range(2)]
    blobs = [LogFiles(tmp_path / "log") for _ in opened]
    indexes = [FirestoreEntryIndex(each) for each in opened]
    logs = [
        make_log(blobs=files, index=index, keys=FirestoreDataKeys(each))
        for files, index, each in zip(blobs, indexes, opened, strict=True)
    ]

    async def append(log, events):
        for at in range(0, len(events), 20):
            while True:
                try:
                    assert await log.consumer.handle(events[at : at + 20]) == []
                    break
                except DependencyUnavailableError:
                    await asyncio.sleep(0.05)

    async def kill():
        for _ in range(4):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

    # Two sequencers, some events at both: one is the log's writer, the other is late each time.
    await asyncio.gather(kill(), append(logs[0], EVENTS[:250]), append(logs[1], EVENTS[150:]))
    assert await indexes[0].size() == len(EVENTS)
    rows = []
    for number in range(TENANTS):
        for newest_first in (False, True):
            found = await indexes[1].find(
                f"tenant-{number}", EntryFilter(), 500, after=None, newest_first=newest_first
            )
            assert len(found) == len({row.index for row in found}) == len(EVENTS[number::TENANTS])
        rows += found
    rows.sort(key=lambda row: row.index)
    await check(None, EVENTS, blobs[0], rows)
    for each in (*blobs, *opened):
        await each.close()
