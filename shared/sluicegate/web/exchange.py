"""One HTTP exchange, as the gateway's handlers see it.

Two things drive handlers through this seam: the gateway's own protocol server (`web.server`) and any
ASGI server (`web.asgi`). Handlers know neither.
"""

from collections.abc import Callable
from typing import Protocol

Headers = list[tuple[bytes, bytes]]


class ClientGoneError(ConnectionError):
    """The client has closed its connection: nothing more can be written."""


class Exchange(Protocol):
    """A request to read and the means to answer it once.

    `path` is percent-decoded text without the query; header names are lower-case bytes. When the client
    goes away, a handler is cancelled if `cancel_when_gone` is True (the default); a handler that has
    something to finish whatever happens (money held) sets it to False, or calls `when_gone` to be told.
    Then `write` raises ClientGoneError and `respond` and `finish` do nothing.
    """

    method: str
    path: str
    query: bytes
    headers: Headers
    client: str
    cancel_when_gone: bool

    def header(self, name: bytes) -> bytes | None:
        """The first value of header `name` (lower-case), or None."""
        ...

    def when_gone(self, tell: Callable[[], None]) -> None:
        """Go on when the client goes away before its answer is out, and call `tell` then, once.

        It is called at once where the client has gone already.
        """
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
        """Send one piece of the body. Waits while the client is slower than we are.

        Raises:
            ClientGoneError: the client has gone and `cancel_when_gone` is False.
        """
        ...

    async def finish(self) -> None:
        """End a body begun with `start`."""
        ...
