"""HTTP/1.1 client for upstream calls: pooled, bounded, strict about framing, cheap per call.

Why not a library: on the hot path this costs a fraction of what the general clients do (see
`docs/performance.md`), and a gateway needs three things they do not offer together: knowing whether a
request may have been processed, stopping a stream while still learning what was produced, and bounds
on every size and wait.
"""

import ssl
from collections.abc import Sequence
from functools import cache

from sluicegate.adapters.web.http_limits import ClientLimits
from sluicegate.adapters.web.http_pool import OriginPool
from sluicegate.adapters.web.http_reply import HttpReply
from sluicegate.adapters.web.http_url import Url

Headers = Sequence[tuple[bytes, bytes]]

_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"})


class Endpoint:
    """One method on one target, with the headers that never change, rendered once.

    Its text may hold a credential; it is never shown.
    """

    __slots__ = ("_head", "_head_only", "_pool")

    def __init__(self, pool: OriginPool, head: bytes, *, head_only: bool) -> None:
        self._pool = pool
        self._head = head
        self._head_only = head_only

    async def send(
        self,
        headers: Headers,
        body: bytes,
        *,
        connect_s: float,
        first_byte_s: float,
        idle_s: float,
        total_s: float,
    ) -> HttpReply:
        """As `HttpClient.send`, with `headers` added to the endpoint's own."""
        lines = render_headers(headers) if headers else b""
        return await self._pool.exchange(
            b"%b%bcontent-length: %d\r\n\r\n" % (self._head, lines, len(body))
            if body
            else b"%b%b\r\n" % (self._head, lines),
            body,
            head_only=self._head_only,
            connect_s=connect_s,
            first_byte_s=first_byte_s,
            idle_s=idle_s,
            total_s=total_s,
        )


class HttpClient:
    """Connections to any number of origins, for one event loop.

    Args:
        limits: bounds on connections, sizes and reuse.
        ssl_context: for `https`; by default one that verifies against the system's authorities, made
            when first needed. ALPN is left to the caller where one is given.
    """

    def __init__(
        self, limits: ClientLimits | None = None, *, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._limits = limits or ClientLimits()
        self._tls = _default_context if ssl_context is None else lambda: ssl_context
        self._pools: dict[tuple[str, str, int], OriginPool] = {}
        self._closed = False

    async def send(
        self,
        method: bytes | str,
        url: Url,
        target: bytes,
        headers: Headers,
        body: bytes,
        *,
        connect_s: float,
        first_byte_s: float,
        idle_s: float,
        total_s: float,
    ) -> HttpReply:
        """Send one request; return when the head of its answer is here, whatever its status.

        `target` is the complete path and query. `connect_s` bounds getting a connection (waiting for
        one included), `first_byte_s` the time from there to the first byte of the body, `idle_s` each
        silence after that while we are reading, `total_s` everything. Redirects are not followed, and
        nothing is tried again except as `ClientLimits.stale_s` says.

        Raises:
            UpstreamFailure: there is no answer. `phase` is `connect`, `send` (the request was not yet
                gone), `head`, or from the body's readers `body`.
            ValueError: a header or target would break the request's framing.
        """
        endpoint = self._endpoint(method, url, target, headers)
        return await endpoint.send(
            (), body, connect_s=connect_s, first_byte_s=first_byte_s, idle_s=idle_s, total_s=total_s
        )

    def endpoint(self, method: str, url: str, headers: Headers = ()) -> Endpoint:
        """`method` on the absolute `url`, with headers rendered and checked now.

        Raises:
            ValueError: the address or a header is not valid.
        """
        parsed = Url.parse(url)
        return self._endpoint(method, parsed, parsed.base or b"/", headers)

    async def aclose(self) -> None:
        """Close all connections. Calls under way fail with UpstreamFailure."""
        self._closed = True
        for pool in self._pools.values():
            pool.close()

    def _endpoint(self, method: bytes | str, url: Url, target: bytes, headers: Headers) -> Endpoint:
        verb = method.encode() if isinstance(method, str) else method
        if not verb.isalpha() or not target.startswith(b"/") or not _visible(target):
            raise ValueError("a request needs a method of letters and a target without spaces or controls")
        head = b"%b %b HTTP/1.1\r\nhost: %b\r\n%b" % (verb, target, url.authority, render_headers(headers))
        return Endpoint(self._pool(url), head, head_only=verb == b"HEAD")

    def _pool(self, url: Url) -> OriginPool:
        pool = self._pools.get(url.origin)
        if pool is None:
            pool = self._pools[url.origin] = OriginPool(url, self._limits, self._tls)
            if self._closed:
                pool.close()
        return pool


def render_headers(headers: Headers) -> bytes:
    """Headers as they go over the wire.

    Raises:
        ValueError: a name or value holds a line break or NUL, or the name is one that frames the
            message (`content-length`, `host`, …), which the client sets itself. Values are not repeated.
    """
    text = b"".join([b"%b: %b\r\n" % header for header in headers])
    count = len(headers)
    # A line break inside a name or value would make more of them than there are headers.
    if text.count(b"\n") != count or text.count(b"\r") != count or b"\0" in text:
        raise ValueError("a header holds a line break or NUL")
    for name, _ in headers:
        if name.lower() in _FRAMING or not name or b":" in name or b" " in name:
            raise ValueError(f"header {name[:40]!r} may not be set")
    return text


def _visible(target: bytes) -> bool:
    return target.isascii() and b" " not in target and target.decode().isprintable()


@cache
def _default_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
