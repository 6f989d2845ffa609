"""Bounds of the HTTP client: what it will hold open, read and keep in memory."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Bounds per connection pool (one per origin) and per answer.

    Sizes are bytes, times seconds. `connections` are open at most, `idle_connections` of them kept
    unused, each for `idle_expiry_s`. `head` bounds an answer's head, interim answers and trailers
    included; `body` what `read` collects; `stream_buffer` what waits for a slow reader of `chunks`
    before reading from the socket stops (one read of the event loop may come on top).

    A reused connection that the server closes within `stale_s` of a request, without a byte of an
    answer, is taken to have been closed before the request reached anyone, and the request is sent once
    more on a fresh connection. A later close counts as a failure: by then work may have been done.
    """

    connections: int = 1_000
    idle_connections: int = 100
    idle_expiry_s: float = 30.0
    head: int = 64 * 1024
    body: int = 64 * 1024 * 1024
    stream_buffer: int = 64 * 1024
    stale_s: float = 1.0
