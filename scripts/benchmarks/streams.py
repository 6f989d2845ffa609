"""Many streams open at the same time on one gateway process."""

import asyncio
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

from benchmarks.processes import cpu_s, rss_kib
from benchmarks.targets import Target
from benchmarks.traffic import Request

OPENING = 128
LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Streams:
    """What became of `wanted` streams; memory in KiB, `peak_open` of them at one instant."""

    wanted: int
    complete: int
    peak_open: int
    events: dict[int, int]
    problems: dict[str, int]
    rss_before: int
    rss_at_peak: int
    rss_after: int
    seconds: float
    opened_in_s: float
    cpu_s: float

    @property
    def kib_per_stream(self) -> float:
        return (self.rss_at_peak - self.rss_before) / max(1, self.peak_open)

    def as_json(self) -> dict[str, object]:
        return asdict(self) | {"kib_per_stream": round(self.kib_per_stream, 2)}


class _Run:
    def __init__(self, request: Request, wanted: int) -> None:
        self.raw = request.raw()
        self.port = request.port
        self.wanted = wanted
        self.open = 0
        self.peak = 0
        self.complete = 0
        self.ended = 0
        self.events: Counter[int] = Counter()
        self.problems: Counter[str] = Counter()
        self.room = asyncio.Semaphore(OPENING)
        self.transports: set[asyncio.Transport] = set()
        self.begun_at = 0.0

    def began(self) -> None:
        self.open += 1
        if self.open > self.peak:
            self.peak = self.open
            self.begun_at = time.monotonic()


class _Stream(asyncio.Protocol):
    """One stream from its request to its last chunk."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._tail = b""
        self._events = 0
        self._waiting = True
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._run.transports.add(self._transport)
        self._transport.write(self._run.raw)

    def data_received(self, data: bytes) -> None:
        if not self._events and not self._tail and not data.startswith(b"HTTP/1.1 200"):
            self._end(f"answered {data[:40]!r}")
            return
        joined = self._tail + data
        self._events += joined.count(b"data: ") - self._tail.count(b"data: ")
        self._tail = joined[-24:]
        if self._events and self._waiting:
            self._waiting = False
            self._run.room.release()
            self._run.began()
        if self._tail.endswith(b"0\r\n\r\n"):
            self._end(None if b"[DONE]" in self._tail else "ended without [DONE]")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._run.transports.discard(self._transport)
        self._end(f"cut ({exc!r})")

    def _end(self, problem: str | None) -> None:
        if self._over:
            return
        self._over = True
        run = self._run
        run.ended += 1
        if self._waiting:
            run.room.release()
        else:
            run.open -= 1
        if problem is None:
            run.complete += 1
            run.events[self._events] += 1
        else:
            run.problems[problem] += 1
        if self._transport is not None:
            self._transport.close()


def hold_open(target: Target, request: Request, *, wanted: int, within_s: float) -> Streams:
    """Open `wanted` streams, each on a connection of its own, and read all of them to their end."""
    return uvloop.run(_hold_open(target, request, wanted, within_s))


async def _hold_open(target: Target, request: Request, wanted: int, within_s: float) -> Streams:
    run = _Run(request, wanted)
    before, used, started = rss_kib(target.gateway), cpu_s(target.gateway), time.monotonic()
    at_peak = before
    opener = asyncio.create_task(_open_all(run))
    while run.ended < wanted and time.monotonic() - started < within_s:
        await asyncio.sleep(LOOK_EVERY_S)
        at_peak = max(at_peak, rss_kib(target.gateway))
    seconds = time.monotonic() - started
    opener.cancel()
    await asyncio.gather(opener, return_exceptions=True)
    if run.ended < wanted:
        run.problems[f"not over after {within_s:.0f} s"] += wanted - run.ended
    complete, problems = run.complete, dict(run.problems.most_common(5))
    for transport in tuple(run.transports):
        transport.abort()
    while run.transports:  # noqa: ASYNC110 - the event loop tells each within a turn or two
        await asyncio.sleep(0)
    return Streams(
        wanted=wanted,
        complete=complete,
        peak_open=run.peak,
        events=dict(run.events),
        problems=problems,
        rss_before=before,
        rss_at_peak=at_peak,
        rss_after=rss_kib(target.gateway),
        seconds=seconds,
        opened_in_s=run.begun_at - started,
        cpu_s=cpu_s(target.gateway) - used,
    )


async def _open_all(run: _Run) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(run.wanted):
        await run.room.acquire()
        try:
            await loop.create_connection(lambda: _Stream(run), "127.0.0.1", run.port)
        except OSError as error:
            run.room.release()
            run.ended += 1
            run.problems[f"not connected ({error.strerror})"] += 1
