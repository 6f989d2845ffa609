"""Errors as OpenAI's clients expect them."""

from sluicegate.completions.sse import data_event
from sluicegate.completions.types import Json
from sluicegate.kernel.errors import SluicegateError


def error_body(error: SluicegateError) -> Json:
    """`error` as OpenAI's error object; its details, where it has any, as one more field."""
    content: Json = {
        "message": error.message,
        "type": error.kind,
        "param": error.param,
        "code": error.code,
    }
    if error.details:
        content["details"] = dict(error.details)
    return {"error": content}


def stream_error(error: SluicegateError) -> bytes:
    """`error` as the last event of a stream."""
    return data_event(error_body(error))
