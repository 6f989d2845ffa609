"""From bytes to requests: llhttp's callbacks, and what llhttp leaves to its users to refuse."""

from typing import TYPE_CHECKING, Final

import httptools

from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.web.exchange import Headers
from sluicegate.web.server.exchange import ServerExchange
from sluicegate.web.server.limits import SLICE_BYTES, ServerLimits
from sluicegate.web.server.problems import RefusedError
from sluicegate.web.server.targets import path_and_query

if TYPE_CHECKING:
    from sluicegate.web.server.connection import Connection

IDLE: Final = 0
HEAD: Final = 1
BODY: Final = 2

_METHODS = {name.encode(): name for name in ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")}
_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"expect", b"upgrade"))
_HOST_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%:[]!$&'()*+;="

# Chunks of one byte take five bytes around it; more than this is made of extensions and trailers.
_CHUNK_OVERHEAD = 8
_CHUNK_ALLOWANCE = 16_384


class RequestReader:
    """Reads one connection's requests and gives each to it once its headers are there.

    llhttp in its strict default already refuses bare CR or LF, obs-fold, bad names, values and chunks,
    repeated or malformed content-length, and content-length beside transfer-encoding.
    """

    __slots__ = (
        "_connection",
        "_framing",
        "_head_bytes",
        "_headers",
        "_hosts",
        "_limits",
        "_parser",
        "_raw_left",
        "_slice",
        "_url",
        "_wire",
        "backlog",
        "deaf",
        "phase",
        "receiving",
    )

    def __init__(self, connection: "Connection", limits: ServerLimits) -> None:
        self.phase = IDLE
        self.deaf = False
        self.receiving: ServerExchange | None = None
        self.backlog = b""
        self._connection = connection
        self._limits = limits
        self._slice = min(SLICE_BYTES, limits.header_bytes)
        self._headers: Headers = []
        self._framing: Headers = []
        self._url = b""
        self._hosts = 0
        self._head_bytes = 0
        self._wire = 0
        self._raw_left = 0
        self._parser = httptools.HttpRequestParser(self)

    def close(self) -> None:
        """Let go of the parser and the connection, which hold on to this reader; nothing may follow."""
        self.deaf = True
        self.backlog = b""
        del self._parser, self._connection

    def feed(self, data: bytes) -> None:
        """Read on with `data`. What comes after the connection is full is kept until `feed_backlog`."""
        if self.deaf:
            return
        if self.backlog:
            self.backlog += data
        elif len(data) <= self._slice:
            self._feed(data)
        else:
            self._feed_slices(data)

    def feed_backlog(self) -> None:
        """Read on with what was kept."""
        data, self.backlog = self.backlog, b""
        if data and not self.deaf:
            self._feed_slices(data)

    def _feed_slices(self, data: bytes) -> None:
        # Slices bound how many requests one read can bring, and how long a head grows unseen.
        view = memoryview(data)
        for at in range(0, len(data), self._slice):
            if self.deaf:
                return
            if self._connection.full:
                self.backlog = bytes(view[at:])
                return
            self._feed(view[at : at + self._slice])

    def _feed(self, data: bytes | memoryview) -> None:
        while True:
            if self._raw_left:
                data = self._take_raw(data)
                if not data:
                    return
            try:
                self._parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                if not data or self.deaf:
                    return
            except httptools.HttpParserCallbackError as error:
                cause = error.__context__
                if not isinstance(cause, RefusedError):
                    raise
                self._refuse(cause)
                return
            except httptools.HttpParserError as error:
                self._refuse(_refusal(error))
                return
        if self.phase == HEAD:
            self._head_bytes += len(data)
            self._check_head()
        elif self.phase == BODY and self.receiving is not None and self.receiving.length is None:
            self._wire += len(data)
            if self._wire > _CHUNK_OVERHEAD * self.receiving.received + _CHUNK_ALLOWANCE + len(data):
                self._refuse(RefusedError(400, "invalid_request", "The body is mostly chunk extensions."))

    def _take_raw(self, data: bytes | memoryview) -> bytes | memoryview:
        """The body of a request whose upgrade was not taken up: llhttp took it for another protocol."""
        assert self.receiving is not None  # noqa: S101 - states the invariant for the type checker
        piece = data[: self._raw_left]
        self._raw_left -= len(piece)
        self.on_body(bytes(piece))
        if not self._raw_left:
            self.on_message_complete()
        return data[len(piece) :]

    def _check_head(self) -> None:
        limits = self._limits
        if len(self._url) > limits.target_bytes:
            self._refuse(RefusedError(414, "target_too_long", "The request target is too long."))
        elif self._head_bytes > limits.header_bytes + self._slice:
            self._refuse(_headers_too_large())

    def _refuse(self, refusal: RefusedError) -> None:
        if self.deaf:
            return
        self.deaf = True
        receiving, self.receiving = self.receiving, None
        if receiving is None:
            self._connection.refuse(refusal)
        else:
            receiving.fail(InvalidRequestError(refusal.detail))

    # llhttp's callbacks. What they raise stops the parser and comes out of `feed_data`.

    def on_message_begin(self) -> None:
        self.phase = HEAD
        self._headers = []
        self._url = b""
        self._hosts = 0
        self._head_bytes = 0
        self._connection.expect_by(self._limits.header_s)

    def on_url(self, part: bytes) -> None:
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.phase != HEAD:
            return  # A trailer; nothing here has a use for one.
        name = name.lower()
        value = value.rstrip(b" \t")
        self._headers.append((name, value))
        if name == b"host":
            self._hosts += 1
            if value.translate(None, _HOST_BYTES):
                raise RefusedError(400, "invalid_request", "The host header is malformed.")
        elif name in _FRAMING:
            self._framing.append((name, value))

    def on_headers_complete(self) -> None:
        limits, headers, parser = self._limits, self._headers, self._parser
        if len(headers) > limits.headers:
            raise RefusedError(431, "headers_too_large", "The request has too many headers.")
        if len(self._url) > limits.target_bytes:
            raise RefusedError(414, "target_too_long", "The request target is too long.")
        if self._head_bytes and _size(self._url, headers) > limits.header_bytes:
            raise _headers_too_large()
        version = parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise RefusedError(505, "http_version_not_supported", "The server speaks HTTP/1.1 and HTTP/1.0.")
        method = _METHODS.get(parser.get_method())
        if method is None:
            raise _method_unknown()
        minor = 1 if version == "1.1" else 0
        if self._hosts != 1 and (minor or self._hosts):
            raise RefusedError(400, "invalid_request", "The request needs exactly one host header.")
        try:
            path, query = path_and_query(self._url)
        except ValueError as error:
            raise RefusedError(400, "invalid_request", f"The request cannot be read: {error}.") from None
        if path == "*" and method != "OPTIONS":
            raise RefusedError(400, "invalid_request", "Only OPTIONS has the target *.")
        exchange = ServerExchange(self._connection, method, path, query, headers, minor=minor)
        exchange.keep_alive = parser.should_keep_alive()
        if self._framing:
            self._frame(exchange)
        self.phase = BODY
        self.receiving = exchange
        self._wire = 0
        self._connection.expect_by(limits.body_s)
        self._connection.accept(exchange)

    def on_body(self, piece: bytes) -> None:
        if self.receiving is not None:
            self.receiving.take(piece)

    def on_message_complete(self) -> None:
        if self._raw_left or self.deaf:
            return
        exchange, self.receiving = self.receiving, None
        self.phase = IDLE
        if exchange is not None:
            if not exchange.keep_alive:
                self.deaf = True
            exchange.end()
            self._connection.received()

    def _frame(self, exchange: ServerExchange) -> None:
        framing, self._framing = dict(self._framing), []
        coding = framing.get(b"transfer-encoding")
        if coding is not None:
            if not exchange.minor:
                raise RefusedError(400, "invalid_request", "HTTP/1.0 has no transfer-encoding.")
            if coding.lower() != b"chunked":
                raise RefusedError(501, "not_implemented", "The only transfer-encoding here is chunked.")
            exchange.length = None
        else:
            exchange.length = int(framing.get(b"content-length", b"0"))
        expect = framing.get(b"expect")
        if expect is not None and exchange.minor:
            if expect.lower() != b"100-continue":
                raise RefusedError(417, "expectation_failed", "The only expectation here is 100-continue.")
            exchange.expect_continue()
        if b"upgrade" in framing and self._parser.should_upgrade():
            if framing[b"upgrade"].lower() == b"websocket" or exchange.length is None:
                raise RefusedError(501, "not_implemented", "The server does not upgrade connections.")
            self._raw_left = exchange.length


def _headers_too_large() -> RefusedError:
    return RefusedError(431, "headers_too_large", "The request's headers are too large.")


def _method_unknown() -> RefusedError:
    return RefusedError(501, "not_implemented", "The method is not known here.")


def _size(url: bytes, headers: Headers) -> int:
    return len(url) + 16 + sum(len(name) + len(value) + 4 for name, value in headers)


def _refusal(error: httptools.HttpParserError) -> RefusedError:
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return _method_unknown()
    reason = str(error)
    if "HTTP version" in reason or "PRI" in reason:
        return RefusedError(505, "http_version_not_supported", "The server speaks HTTP/1.1 and HTTP/1.0.")
    return RefusedError(400, "invalid_request", f"The request is malformed: {reason}.")
