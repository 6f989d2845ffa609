"""Errors on the wire: one place that turns them into the caller's own protocol."""

import time
from collections.abc import Mapping
from http import HTTPStatus

from sluicegate.completions.pipeline.headers import request_id_header
from sluicegate.completions.types import Codec
from sluicegate.kernel.errors import IdempotencyConflictError, SluicegateError
from sluicegate.kernel.models import Dialect
from sluicegate.kernel.telemetry.access import ACCESS, timestamp
from sluicegate.kernel.telemetry.metrics import REFUSALS
from sluicegate.web.exchange import Exchange, Headers


class UnexpectedError(SluicegateError):
    """A fault of ours. The log has the cause, the caller gets the request id to quote."""

    def __init__(self) -> None:
        super().__init__("something went wrong in the gateway; quote the request id to its operator")


async def respond_error(
    exchange: Exchange, error: SluicegateError, codec: Codec, request_id: str, extra: Headers
) -> None:
    """Answer with `error` in `codec`'s dialect; adds `retry-after` (whole seconds, rounded up)."""
    REFUSALS.labels(error.code).inc()
    if ACCESS.enabled:
        ACCESS.write(
            {
                "time": timestamp(time.time()),
                "severity": "INFO",
                "logger": "sluicegate.access",
                "message": "request refused",
                "request_id": request_id,
                "status": error.status,
                "code": error.code,
                "param": error.param,
            }
        )
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"x-sluicegate-request-id", request_id.encode()),
        (request_id_header(codec.dialect), request_id.encode()),
        *extra,
    ]
    if isinstance(error, IdempotencyConflictError):
        # The SDKs repeat any 409 of their own accord; this one stays one.
        headers.append((b"x-should-retry", b"false"))
    retry_after = error.retry_after
    if retry_after is None and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        retry_after = 1.0  # a provider that is overloaded need not say for how long
    if retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, -int(-retry_after // 1))))
    await exchange.respond(error.status, headers, codec.error(error, request_id))


def dialect_of(path: str, codecs: Mapping[Dialect, Codec], exchange: Exchange) -> Codec:
    """The codec whose error format a caller of `path` expects; OpenAI's where nothing tells."""
    if path.startswith("/v1/messages") or exchange.header(b"anthropic-version") is not None:
        return codecs[Dialect.ANTHROPIC_MESSAGES]
    return codecs[Dialect.OPENAI_CHAT]
