"""The gateway's handler: finds the route, authenticates, runs the pipeline, answers."""

import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from sluicegate.completions.pipeline.completion import Inbound
from sluicegate.completions.pipeline.controls import read_controls
from sluicegate.completions.pipeline.pipeline import CompletionPipeline
from sluicegate.completions.types import Answer, Codec
from sluicegate.identity.authenticator import Authenticator
from sluicegate.identity.permissions import require
from sluicegate.identity.policy import Permission
from sluicegate.identity.principal import Principal
from sluicegate.kernel.errors import (
    MethodNotAllowedError,
    NotFoundError,
    OverloadedError,
    SluicegateError,
)
from sluicegate.kernel.ids import request_id as new_request_id
from sluicegate.kernel.models import Dialect
from sluicegate.kernel.telemetry.metrics import IN_FLIGHT
from sluicegate.web.exchange import ClientGoneError, Exchange, Headers
from sluicegate.web.gateway.cors import Cors
from sluicegate.web.gateway.errors import UnexpectedError, dialect_of, respond_error

log = logging.getLogger(__name__)

Page = Callable[[Exchange], Awaitable[Answer]]
Mounted = Callable[[Exchange], Awaitable[None]]

# Version 00 ends there; later ones may go on (W3C Trace Context, section 3.2.2).
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{0,64})?")

COUNTING_PATH = "/v1/messages/count_tokens"
COMPLETION_PATHS: Mapping[str, Dialect] = {
    "/v1/chat/completions": Dialect.OPENAI_CHAT,
    "/v1/messages": Dialect.ANTHROPIC_MESSAGES,
    COUNTING_PATH: Dialect.ANTHROPIC_MESSAGES,
    "/v1/responses": Dialect.OPENAI_RESPONSES,
    "/v1/embeddings": Dialect.OPENAI_EMBEDDINGS,
}


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """`body_bytes` of one request, `concurrent` requests on this instance (further ones get 503).

    `bodies_bytes` bounds the bodies of all requests under way together; a body of undeclared length counts
    as the largest.
    """

    body_bytes: int
    concurrent: int
    bodies_bytes: int


class GatewayApplication:
    """`await application(exchange)` answers one exchange. Nothing it does escapes as an exception.

    Args:
        pages: further routes (health, metrics, models, OpenAPI) by path; each takes GET and HEAD.
        forwarded: lower-case names of the caller's headers that are passed on to providers.
        mounts: other services on this one's port, by the start of their paths; each answers whatever comes.
        trusted_proxies: as for `client_address`.
    """

    def __init__(
        self,
        *,
        pipeline: CompletionPipeline,
        authenticator: Authenticator,
        codecs: Mapping[Dialect, Codec],
        pages: Mapping[str, Page],
        limits: GatewayLimits,
        cors: Cors,
        forwarded: frozenset[bytes],
        mounts: Mapping[str, Mounted] | None = None,
        trusted_proxies: int = 0,
    ) -> None:
        self._pipeline = pipeline
        self._authenticator = authenticator
        self._codecs = codecs
        self._pages = pages
        self._limits = limits
        self._cors = cors
        self._forwarded = forwarded
        self._mounts = tuple((mounts or {}).items())
        self._trusted_proxies = trusted_proxies
        self._running = 0
        self._bodies = 0
        IN_FLIGHT.set_function(lambda: self._running)

    async def __call__(self, exchange: Exchange) -> None:
        started = time.perf_counter()
        dialect = COMPLETION_PATHS.get(exchange.path)
        if dialect is not None and exchange.method == "POST":
            await self._completion(exchange, dialect, started)
            return
        for start, mounted in self._mounts:
            if exchange.path.startswith(start):
                await mounted(exchange)
                return
        await self._page(exchange)

    async def authenticate(self, exchange: Exchange) -> Principal:
        """The caller of `exchange`, who may use models.

        Raises:
            AuthenticationError: unknown. PermissionDeniedError: known, but may not use models.
        """
        authorization = exchange.header(b"authorization")
        x_api_key = exchange.header(b"x-api-key")
        credential = x_api_key or authorization
        principal = self._authenticator.peek(credential) if credential is not None else None
        if principal is None:
            address = client_address(exchange.client, exchange.headers, self._trusted_proxies)
            agent = exchange.header(b"user-agent")
            principal = await self._authenticator.authenticate(authorization, x_api_key, address, agent)
        require(principal, Permission.ACCESS_MODELS)
        return principal

    async def _completion(self, exchange: Exchange, dialect: Dialect, started: float) -> None:
        request_id = new_request_id()
        codec = self._codecs[dialect]
        origin = exchange.header(b"origin")
        extra = self._cors.headers(origin) if origin is not None else []
        if self._running >= self._limits.concurrent:
            error = OverloadedError("this instance is at its limit of requests under way", retry_after=1)
            await respond_error(exchange, error, codec, request_id, extra)
            return
        self._running += 1
        try:
            principal = await self.authenticate(exchange)
            reserved = self._reserve(exchange)
            try:
                answer = await self._answer(exchange, dialect, principal, request_id, started)
                await self._deliver(exchange, answer, extra)
            finally:
                self._bodies -= reserved
        except SluicegateError as error:
            await respond_error(exchange, error, codec, request_id, extra)
        except ClientGoneError:
            pass  # the pipeline has settled what there was, or is doing so
        except Exception:
            log.exception("a request failed unexpectedly", extra={"request_id": request_id})
            await respond_error(exchange, UnexpectedError(), codec, request_id, extra)
        finally:
            self._running -= 1

    def _reserve(self, exchange: Exchange) -> int:
        """Make room for the request's body; its bytes, to be given back once the request is over.

        Raises:
            OverloadedError: the bodies under way leave no room for it.
        """
        declared = exchange.header(b"content-length")
        most = self._limits.body_bytes
        size = min(int(declared), most) if declared is not None and declared.isdigit() else most
        if self._bodies + size > self._limits.bodies_bytes:
            raise OverloadedError("the requests under way leave no room for this one's body", retry_after=1)
        self._bodies += size
        return size

    async def _answer(
        self, exchange: Exchange, dialect: Dialect, principal: Principal, request_id: str, started: float
    ) -> Answer:
        headers = exchange.headers
        inbound = Inbound(
            request_id=request_id,
            dialect=dialect,
            principal=principal,
            raw=await exchange.body(self._limits.body_bytes),
            started=started,
            controls=read_controls(headers),
            forward=[header for header in headers if header[0] in self._forwarded],
            traceparent=_traceparent(exchange.header(b"traceparent")),
        )
        if exchange.path == COUNTING_PATH:
            return await self._pipeline.count_tokens(inbound)
        # From here on money may be held: the request is finished and settled even if the client leaves.
        exchange.when_gone(inbound.departure.leave)
        return await self._pipeline.run(inbound)

    async def _deliver(self, exchange: Exchange, answer: Answer, extra: Headers) -> None:
        headers = answer.headers + extra if extra else answer.headers
        stream = answer.stream
        if stream is None:
            await exchange.respond(answer.status, headers, answer.body)
            return
        try:
            await exchange.start(answer.status, headers)
            async for chunk in stream:
                await exchange.write(chunk)
            await exchange.finish()
        finally:
            await stream.aclose()

    async def _page(self, exchange: Exchange) -> None:
        request_id = new_request_id()
        codec = dialect_of(exchange.path, self._codecs, exchange)
        origin = exchange.header(b"origin")
        extra = self._cors.headers(origin) if origin is not None else []
        try:
            if exchange.method == "OPTIONS" and origin is not None:
                await exchange.respond(204, self._cors.preflight(origin), b"")
                return
            page = self._pages.get(exchange.path) or self._pages.get(_parent(exchange.path))
            if page is None:
                if exchange.path in COMPLETION_PATHS:
                    raise MethodNotAllowedError(f"{exchange.path} takes POST")  # noqa: TRY301 - answered below
                raise NotFoundError(f"there is nothing at {exchange.path[:200]}")  # noqa: TRY301 - as above
            if exchange.method not in {"GET", "HEAD"}:
                raise MethodNotAllowedError(f"{exchange.path[:200]} takes GET")  # noqa: TRY301 - as above
            answer = await page(exchange)
            await exchange.respond(answer.status, answer.headers + extra, answer.body)
        except MethodNotAllowedError as error:
            allowed = b"POST" if exchange.path in COMPLETION_PATHS else b"GET, HEAD"
            await respond_error(exchange, error, codec, request_id, [*extra, (b"allow", allowed)])
        except SluicegateError as error:
            await respond_error(exchange, error, codec, request_id, extra)
        except Exception:
            log.exception("a page failed unexpectedly", extra={"request_id": request_id})
            await respond_error(exchange, UnexpectedError(), codec, request_id, extra)


def client_address(peer: str, headers: Headers, trusted_proxies: int) -> str:
    """The caller's address: the peer's, or what the outermost of `trusted_proxies` proxies saw.

    Each proxy appends the address that it was called from to `x-forwarded-for`, so what the caller wrote
    there itself stands before those. A request that did not come through all of them has its peer's.
    """
    if not trusted_proxies:
        return peer
    line = b",".join(value for name, value in headers if name == b"x-forwarded-for")
    seen = line.decode("latin-1").split(",")
    return (seen[-trusted_proxies].strip() if len(seen) >= trusted_proxies else "") or peer


def _traceparent(value: bytes | None) -> bytes | None:
    """`value` if it may be a trace context; it is logged, and what a caller makes up must not be."""
    return value if value is not None and _TRACEPARENT.fullmatch(value) is not None else None


def _parent(path: str) -> str:
    """`/v1/models/*` for `/v1/models/some-id`."""
    return path.rpartition("/")[0] + "/*" if path.count("/") == 3 else ""
