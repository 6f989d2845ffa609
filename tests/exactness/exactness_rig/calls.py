"""A small HTTP client for load: keeps connections, and can leave at any moment."""

import asyncio
import contextlib
from dataclasses import dataclass, field

# No request of this rig can rightly take so long.
LONGEST_S = 20.0


@dataclass(slots=True)
class Reply:
    """What came back. `status` 0: nothing did. `whole` says that the body's framing ended as it should.

    `left` says that we went as planned, `hung` that we gave up waiting.
    """

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False
    left: bool = False
    hung: bool = False


@dataclass(frozen=True, slots=True)
class Leaving:
    """When a client goes away: after so many seconds, or so many bytes of the body."""

    seconds: float | None = None
    body_bytes: int | None = None


class Line:
    """One client's connection to one gateway, opened when needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(
        self, path: str, headers: dict[str, str], body: bytes, leaving: Leaving | None = None
    ) -> Reply:
        """The reply; never raises for what the other side does."""
        reply = Reply()
        seconds = None if leaving is None else leaving.seconds
        try:
            async with asyncio.timeout(LONGEST_S if seconds is None else seconds):
                await self._exchange(path, headers, body, reply, leaving)
        except TimeoutError:
            reply.left = seconds is not None
            reply.hung = seconds is None
        except (OSError, EOFError, ValueError):
            pass  # what came so far is in the reply
        if not reply.whole:
            self.hang_up()
        return reply

    def hang_up(self) -> None:
        """Drop the connection at once."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()

    async def _exchange(
        self, path: str, headers: dict[str, str], body: bytes, reply: Reply, leaving: Leaving | None
    ) -> None:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {path} HTTP/1.1\r\nhost: gateway\r\n{lines}content-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        first, *rest = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        for line in rest:
            name, found, value = line.partition(b":")
            if found:
                reply.headers[name.lower()] = value.strip()
        reply.status = int(first.split(b" ", 2)[1])
        limit = None if leaving is None else leaving.body_bytes
        length = reply.headers.get(b"content-length")
        if length is not None:
            reply.body = await reader.readexactly(int(length))
        else:
            pieces: list[bytes] = []
            size = 0
            with contextlib.closing(_Kept(reply, pieces)):
                while True:
                    count = int(await reader.readuntil(b"\r\n"), 16)
                    piece = (await reader.readexactly(count + 2))[:-2]
                    if not count:
                        break
                    pieces.append(piece)
                    size += count
                    if limit is not None and size >= limit:
                        reply.left = True
                        return
        reply.whole = True
        if reply.headers.get(b"connection", b"").lower() == b"close":
            self.hang_up()


class _Kept:
    """Joins what was read into the reply, however reading ended."""

    def __init__(self, reply: Reply, pieces: list[bytes]) -> None:
        self._reply = reply
        self._pieces = pieces

    def close(self) -> None:
        self._reply.body = b"".join(self._pieces)
