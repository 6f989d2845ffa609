"""What one client may take of the server's memory and time."""

from dataclasses import dataclass

SLICE_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bounds on connections and on requests before a handler sees them; the body's is the handler's own.

    Sizes are bytes, times seconds. Times are checked on a tick of at most half a second, so they may
    be exceeded by that much.

    Args:
        target_bytes: the request target (path and query); beyond it 414.
        header_bytes: request line and header lines together; beyond it 431.
        headers: number of header lines; beyond it 431.
        header_s: from a request's first byte to the end of its headers; beyond it 408.
        body_s: each such span must bring `body_progress_bytes` of body, or its end; if not, 408. Time
            in which the server itself does not read, because its handler does not, does not count.
        body_progress_bytes: see `body_s`; one byte now and then does not keep a connection.
        idle_s: an open connection with no request; closed without a word.
        send_s: a client that reads too little for the send buffer to shrink for so long is cut off.
        linger_s: after a refused request, how long what the client still sends is read and discarded,
            so that the answer is not lost in a reset (RFC 9112, section 9.6).
        pipelined: requests waiting behind the one being answered; beyond it the server stops reading.
        unread_bytes: body kept for a handler that has not asked for it; beyond it likewise.
        connections: open at once; beyond it 503. Keep it below the process's limit on open files.
    """

    target_bytes: int = 8_192
    header_bytes: int = 32_768
    headers: int = 100
    header_s: float = 10.0
    body_s: float = 60.0
    body_progress_bytes: int = 16_384
    idle_s: float = 75.0
    send_s: float = 120.0
    linger_s: float = 2.0
    pipelined: int = 16
    unread_bytes: int = 65_536
    connections: int = 20_000

    @property
    def tick_s(self) -> float:
        """Seconds between looks at the deadlines: half a second, less where a limit is short."""
        return min(0.5, min(self.header_s, self.body_s, self.idle_s, self.send_s, self.linger_s) / 4)
