"""Errors in the streams of OpenAI responses, both ways. Whole errors look as in OpenAI chat."""

from typing import Any

from sluicegate.completions.openai_chat.errors import error_body
from sluicegate.completions.provider_errors import stream_failure
from sluicegate.completions.sse import named_event
from sluicegate.completions.types import Json
from sluicegate.kernel.errors import SluicegateError

LAST_SEQUENCE_NUMBER = (1 << 31) - 1
"""The number of an error event of ours. Whoever writes it does not know how far the stream's numbers
have gone, and a client that resumes or sorts by them skips an event whose number is not a later one."""

# Codes of a failed response as the types that errors have elsewhere; what is not here is the
# provider's own failure, unless it complains about an image.
_TYPES = {
    "rate_limit_exceeded": "rate_limit_error",
    "invalid_prompt": "invalid_request_error",
    "bio_policy": "invalid_request_error",
    "misalignment_policy_violation": "invalid_request_error",
    "vector_store_timeout": "timeout_error",
}


def stream_error(error: SluicegateError) -> bytes:
    """`error` as the last event of a stream.

    The API reference has an error's fields at the top level, the service itself sends them as an `error`
    object too, and the SDK raises only if it finds that: so the event has both.
    """
    content = error_body(error)["error"]
    event = {
        "type": "error",
        "sequence_number": LAST_SEQUENCE_NUMBER,
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "error": content,
    }
    return named_event("error", event)


def event_failure(event: Json) -> SluicegateError:
    """The error of ours that an `error` event amounts to."""
    error = event.get("error")
    return _failure(error if isinstance(error, dict) else event)


def response_failure(response: Any) -> SluicegateError:
    """The error of ours that a failed response amounts to."""
    error = response.get("error") if isinstance(response, dict) else None
    return _failure(error if isinstance(error, dict) else {})


def _failure(error: Json) -> SluicegateError:
    code = error.get("code")
    kind = error.get("type")
    if isinstance(code, str) and (kind in (None, "error") or code in _TYPES):
        kind = _TYPES.get(code, "invalid_request_error" if "image" in code else "server_error")
    return stream_failure({"error": {"message": error.get("message"), "type": kind, "code": code}})
