"""The access log: written in batches, bounded, whole lines."""

import asyncio
import json
import os

from sluicegate.kernel.telemetry.access import MAX_LINES, AccessLog


async def test_lines_arrive_whole_and_in_order():
    reader, writer = os.pipe()
    log = AccessLog(writer)
    for number in range(100):
        log.write({"request_id": f"req_{number}"})
    await log.close()
    os.close(writer)
    with os.fdopen(reader) as stream:
        assert [json.loads(line)["request_id"] for line in stream] == [f"req_{n}" for n in range(100)]


async def test_a_burst_beyond_the_bound_is_counted_not_kept():
    reader, writer = os.pipe()
    os.close(reader)
    log = AccessLog(writer)
    for _ in range(MAX_LINES + 3):
        log.write({})
    assert log.dropped == 3
    await asyncio.wait_for(log.close(), 10)
    assert log.dropped == MAX_LINES + 3  # nobody read them
    os.close(writer)
