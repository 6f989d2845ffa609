"""Errors as problem details (RFC 9457), in one place."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sluicegate.kernel.errors import (
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    SluicegateError,
)
from sluicegate.kernel.ids import request_id as new_request_id

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class UnexpectedError(SluicegateError):
    """A fault of ours. The log has the cause, the caller gets the request id to quote."""

    def __init__(self) -> None:
        super().__init__("something went wrong; quote the request id to the operator")


def request_id(request: Request) -> str:
    """The id of this request, in its answer and in logs."""
    found: str | None = getattr(request.state, "request_id", None)
    if found is None:
        found = request.state.request_id = new_request_id()
    return found


async def refused(request: Request, error: Exception) -> Response:
    """The answer to a request that raised one of our own errors, or one of Starlette's."""
    if isinstance(error, HTTPException):
        error = _ours(error)
    if not isinstance(error, SluicegateError):
        log.error("a request failed unexpectedly", exc_info=error, extra={"request_id": request_id(request)})
        error = UnexpectedError()
    return _problem(error, request_id(request))


def _problem(error: SluicegateError, request: str) -> Response:
    members: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "code": error.code,
        "detail": error.message,
        "param": error.param,
        "details": dict(error.details),
        "request_id": request,
    }
    headers: dict[str, str] = {"x-sluicegate-request-id": request, "cache-control": "no-store"}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, -int(-error.retry_after // 1)))
    headers.update(_allow(error.details))
    return JSONResponse(members, error.status, headers, MEDIA_TYPE)


def _ours(error: HTTPException) -> SluicegateError:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return NotFoundError("there is nothing here")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "GET").split(", ")))
        return MethodNotAllowedError(f"this path takes {allowed}", details={"allow": allowed})
    return InvalidRequestError("the request cannot be understood")


def _allow(details: Mapping[str, Any]) -> dict[str, str]:
    return {"allow": details["allow"]} if "allow" in details else {}
