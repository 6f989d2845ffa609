"""Latency at one connection: blocking sockets, one request after the other, targets taking turns."""

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from benchmarks.traffic import Request

BLOCK = 50


@dataclass(frozen=True)
class Latency:
    """Milliseconds."""

    p50: float
    p99: float


class Caller:
    """One connection to one target."""

    def __init__(self, request: Request) -> None:
        self._raw = request.raw()
        self._socket = socket.create_connection(("127.0.0.1", request.port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def whole(self) -> float:
        """Seconds from sending the request to the last byte of its answer."""
        receive = self._socket.recv
        started = time.perf_counter()
        self._socket.sendall(self._raw)
        data = receive(65_536)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += _more(receive(65_536))
        head = data[:end].lower()
        at = head.find(b"content-length:") + 15
        size = int(head[at : at + 12].split(b"\r", 1)[0])
        while len(data) < end + 4 + size:
            data += _more(receive(65_536))
        elapsed = time.perf_counter() - started
        _check(data)
        return elapsed

    def first_event(self) -> float:
        """Seconds from sending the request to the first event of its stream; the rest is read, too."""
        receive = self._socket.recv
        started = time.perf_counter()
        self._socket.sendall(self._raw)
        data = receive(65_536)
        while b"data:" not in data:
            data += _more(receive(65_536))
        elapsed = time.perf_counter() - started
        while not data.endswith(b"0\r\n\r\n"):
            data += _more(receive(65_536))
        _check(data)
        return elapsed


def _more(data: bytes) -> bytes:
    if not data:
        raise ConnectionError("the connection closed in the middle of an answer")
    return data


def _check(data: bytes) -> None:
    if data[9:10] != b"2":
        raise ConnectionError(f"not a 2xx answer: {data[:200]!r}")


def compare(requests: Mapping[str, Request], *, count: int, streamed: bool = False) -> dict[str, Latency]:
    """Latencies of `count` requests to each target, in blocks by turns so that noise hits all alike."""
    callers = {name: Caller(request) for name, request in requests.items()}
    samples: dict[str, list[float]] = {name: [] for name in callers}
    try:
        for turn in range(-1, -(-count // BLOCK)):
            for name, caller in callers.items():
                ask = caller.first_event if streamed else caller.whole
                times = [ask() for _ in range(BLOCK)]
                if turn >= 0:  # the first block warms up
                    samples[name] += times
    finally:
        for caller in callers.values():
            caller.__exit__(None, None, None)
    return {name: _ranked(times) for name, times in samples.items()}


def _ranked(times: list[float]) -> Latency:
    ranked = sorted(times)
    return Latency(ranked[len(ranked) // 2] * 1e3, ranked[int(len(ranked) * 0.99)] * 1e3)
