"""Log lines: written in batches, bounded, whole lines, errors last to be dropped, and none uncounted."""

import asyncio
import json
import logging
import os

import pytest

from sluicegate.kernel.telemetry.access import AccessLog, timestamp
from sluicegate.kernel.telemetry.lines import MAX_LINES, ROOM_FOR_ERRORS, LineWriter
from sluicegate.kernel.telemetry.logs import LinesHandler
from sluicegate.kernel.telemetry.metrics import REGISTRY


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    ends = {reader, writer}

    def closing(end):
        ends.discard(end)
        os.close(end)

    yield reader, writer, closing
    for end in ends:
        os.close(end)


def read(reader, writer, closing):
    closing(writer)
    with os.fdopen(os.dup(reader)) as stream:
        return [json.loads(line) for line in stream]


def lost(severity):
    return REGISTRY.get_sample_value("sluicegate_log_lines_lost_total", {"severity": severity}) or 0


async def test_lines_arrive_whole_and_in_order(pipe):
    lines = LineWriter(pipe[1])
    log = AccessLog(lines)
    for number in range(100):
        log.write({"request_id": f"req_{number}"})
    await lines.close()
    assert [line["request_id"] for line in read(*pipe)] == [f"req_{n}" for n in range(100)]


async def test_a_burst_beyond_the_bound_is_counted_not_kept(pipe):
    reader, writer, closing = pipe
    closing(reader)
    lines = LineWriter(writer)
    before = lost("other"), lost("unknown")
    for _ in range(MAX_LINES + 3):
        lines.write(b"{}\n")
    assert lines.lost == 3
    await asyncio.wait_for(lines.close(), 10)
    assert lines.lost == MAX_LINES + 3  # nobody read them
    assert (lost("other") - before[0], lost("unknown") - before[1]) == (3, MAX_LINES)


async def test_errors_are_kept_where_other_lines_no_longer_are(pipe):
    lines = LineWriter(pipe[1])
    before = lost("error")
    for _ in range(MAX_LINES + 5):
        lines.write(b"\n")
    for _ in range(ROOM_FOR_ERRORS + 2):
        lines.write(b"\n", error=True)
    assert lines.lost == 5 + 2
    assert lost("error") - before == 2
    lines._lines.clear()
    await lines.close()


async def test_what_is_logged_on_the_event_loop_waits_for_nobody(pipe):
    """A pipe that nobody reads takes some 64 KiB; a handler that writes at once would wait for ever."""
    lines = LineWriter(pipe[1])
    log = logging.getLogger("sluicegate.test_lines")
    log.propagate = False
    log.addHandler(LinesHandler(lines))
    for number in range(2_000):
        log.error("a line of some length %s", "x" * 100, extra={"number": number})
    reading = asyncio.create_task(asyncio.to_thread(read_lines, pipe[0], 2_000))
    found = await asyncio.wait_for(reading, 30)
    await lines.close()
    assert [line["number"] for line in found] == list(range(2_000))
    assert found[0]["severity"] == "ERROR"


def read_lines(reader, number):
    with os.fdopen(os.dup(reader)) as stream:
        return [json.loads(stream.readline()) for _ in range(number)]


def test_without_an_event_loop_lines_are_written_at_once(pipe):
    LineWriter(pipe[1]).write(b'{"a":1}\n')
    assert read(*pipe) == [{"a": 1}]


def test_lines_left_by_an_event_loop_that_ended_are_written_at_the_end(pipe):
    lines = LineWriter(pipe[1])

    async def log():
        lines.write(b'{"a":1}\n')

    asyncio.run(log())
    lines.flush()
    asyncio.run(log())
    lines.flush()
    assert read(*pipe) == [{"a": 1}] * 2


def test_timestamps_are_to_the_millisecond():
    assert timestamp(0.0019) == "1970-01-01T00:00:00.001Z"
    assert timestamp(1_763_640_000.25) == "2025-11-20T12:00:00.250Z"
