"""`python -m benchmarks.generator PORT FILE CONNECTIONS SECONDS`: the load, where wrk is not installed.

Sends the request in FILE over and over on each connection, and prints what `load.Load` holds as JSON. It
costs more per request than wrk does, so what it measures of the fastest targets is its own limit.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import cast

import uvloop


class Caller(asyncio.Protocol):
    """One connection: a request, its whole answer, the next request."""

    def __init__(self, raw: bytes, tally: "Tally") -> None:
        self._raw = raw
        self._tally = tally
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        if self._transport is not None:
            self._sent = time.perf_counter()
            self._transport.write(self._raw)

    def data_received(self, data: bytes) -> None:
        self._buffer = data if not self._buffer else self._buffer + data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        _, _, rest = head.partition(b"content-length:")
        if len(self._buffer) < end + 4 + int(rest.split(b"\r\n", 1)[0]):
            return
        self._buffer = b""
        self._tally.answered(head[9:10] == b"2", time.perf_counter() - self._sent)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - any loss is one failure
        self._tally.lost()


class Tally:
    """What the connections of one run have seen."""

    def __init__(self) -> None:
        self.refused = 0
        self.failed = 0
        self.latencies: list[float] = []
        self.over = False

    def answered(self, good: bool, seconds: float) -> None:  # noqa: FBT001 - one caller, right above
        self.latencies.append(seconds)
        self.refused += not good

    def lost(self) -> None:
        self.failed += not self.over


async def _run(port: int, raw: bytes, connections: int, seconds: float) -> dict[str, float]:
    tally = Tally()
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    opened = [
        await loop.create_connection(lambda: Caller(raw, tally), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - started
    tally.over = True
    for transport, _ in opened:
        transport.abort()
    ranked = sorted(tally.latencies) or [0.0]
    return {
        "requests": len(tally.latencies),
        "seconds": elapsed,
        "refused": tally.refused,
        "failed": tally.failed,
        "p50_ms": ranked[len(ranked) // 2] * 1e3,
        "p99_ms": ranked[int(len(ranked) * 0.99)] * 1e3,
    }


if __name__ == "__main__":
    _port, _file, _connections, _seconds = sys.argv[1:]
    _result = uvloop.run(_run(int(_port), Path(_file).read_bytes(), int(_connections), float(_seconds)))
    print(json.dumps(_result, separators=(",", ":")))
