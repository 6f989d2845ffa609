"""Errors as Anthropic's clients expect them."""

from sluicegate.completions.sse import named_event
from sluicegate.completions.types import Json
from sluicegate.kernel.errors import OverloadedError, SluicegateError

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}


def error_type(error: SluicegateError) -> str:
    """Anthropic's word for `error`."""
    if isinstance(error, OverloadedError):
        return "overloaded_error"
    return _TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")


def error_body(error: SluicegateError, request_id: str | None) -> Json:
    """`error` as Anthropic's error object; our code and what else is known go into its details."""
    details = {**error.details, "error_code": error.code}
    if error.param is not None:
        details["param"] = error.param
    content = {"type": error_type(error), "message": error.message, "details": details}
    return {"type": "error", "error": content, "request_id": request_id}


def stream_error(error: SluicegateError, request_id: str | None) -> bytes:
    """`error` as the last event of a stream."""
    return named_event("error", error_body(error, request_id))
