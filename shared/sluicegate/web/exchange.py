"""One HTTP exchange, as the gateway's handlers see it.

Two things drive handlers through this seam: the gateway's own protocol server (`web.server`) and any
ASGI server (`web.asgi`). Handlers know neither.
"""

from typing import Protocol

Headers = list[tuple[bytes, bytes]]


class Exchange(Protocol):
    """A request to read and the means to answer it once.

    `path` is percent-decoded text without the query; header names are lower-case bytes. A handler
    that is cancelled learns so by `asyncio.CancelledError`: the client has gone away.
    """

    method: str
    path: str
    query: bytes
    headers: Headers
    client: str

    def header(self, name: bytes) -> bytes | None:
        """The first value of header `name` (lower-case), or None."""
        ...

    async def body(self, limit: int) -> bytes:
        """The whole body.

        Raises:
            PayloadTooLargeError: more than `limit` bytes, declared or sent.
            RequestTimeoutError: it did not arrive in time.
        """
        ...

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer at once with a whole body; content-length is set here."""
        ...

    async def start(self, status: int, headers: Headers) -> None:
        """Begin an answer whose body follows by `write` (chunked on HTTP/1.1)."""
        ...

    async def write(self, chunk: bytes) -> None:
        """Send one piece of the body. Waits while the client is slower than we are."""
        ...

    async def finish(self) -> None:
        """End a body begun with `start`."""
        ...
