"""`python -m benchmarks.upstream PORT`: an upstream that costs next to nothing.

Answers any POST with the fixed answer, or, where the request asks for a stream, with a fixed stream: the
first event at once, the others a millisecond apart.
"""

import asyncio
import json
import sys
from typing import cast

import uvloop

from benchmarks.traffic import ANSWER, MODEL

WORDS = ("Hello", " there!", " How", " can", " I", " help", " you", " today?")
GAP_S = 0.001
_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(ANSWER),
    ANSWER,
)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _event(delta: dict[str, str], finish: str | None = None, **extra: object) -> bytes:
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": MODEL}
    return _chunk(b"data: " + json.dumps(event | {"choices": choices} | extra).encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_USAGE = {"prompt_tokens": 12, "completion_tokens": len(WORDS), "total_tokens": 12 + len(WORDS)}
STREAM = (
    _event({"role": "assistant", "content": ""}),
    *(_event({"content": word}) for word in WORDS),
    _event({}, "stop"),
    _event({}, usage=_USAGE, choices=[]) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n",
)


class Upstream(asyncio.Protocol):
    """One connection. Trusts its peer: requests are well-formed and come one at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        _, found, rest = head.partition(b"content-length:")
        length = int(rest.split(b"\r\n", 1)[0]) if found else 0
        if len(self._buffer) < end + 4 + length or self._transport is None:
            return
        body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
        if b'"stream":true' in body or b'"stream": true' in body:
            self._transport.write(_HEAD + STREAM[0])
            asyncio.get_running_loop().call_later(GAP_S, self._next, 1)
        else:
            self._transport.write(_WHOLE)

    def _next(self, index: int) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(STREAM[index])
        if index + 1 < len(STREAM):
            asyncio.get_running_loop().call_later(GAP_S, self._next, index + 1)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
