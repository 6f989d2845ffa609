"""The codec of OpenAI embeddings. They come whole, so everything about streams is refused."""

from typing import NoReturn

import orjson

from sluicegate.completions.fields import counted
from sluicegate.completions.limits import DEFAULT_LIMITS, RequestLimits
from sluicegate.completions.openai_chat import errors
from sluicegate.completions.openai_embeddings import inspection
from sluicegate.completions.types import Json, RequestFacts
from sluicegate.kernel.errors import InvalidRequestError, SluicegateError
from sluicegate.kernel.models import Dialect, Usage


class EmbeddingsCodec:
    """The `Codec` of OpenAI embeddings. Errors look as in OpenAI's other dialects.

    Args:
        limits: what a request may have at most.
    """

    dialect = Dialect.OPENAI_EMBEDDINGS

    def __init__(self, limits: RequestLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits

    def inspect(self, body: Json, size: int) -> RequestFacts:
        return inspection.inspect(body, size, self._limits)

    def prepare(self, body: Json, model: str, max_output_tokens: int | None) -> bytes:  # noqa: ARG002 - no output
        return orjson.dumps({**body, "model": model})

    def usage(self, answer: Json) -> Usage | None:
        figures = answer.get("usage")
        if type(figures) is not dict or not counted(figures.get("prompt_tokens")):
            return None
        return Usage(input_tokens=figures["prompt_tokens"])

    def meter(self, facts: RequestFacts) -> NoReturn:  # noqa: ARG002 - as the protocol has it
        raise _no_stream()

    def assembler(self, limit: int) -> NoReturn:  # noqa: ARG002 - likewise
        raise _no_stream()

    def replay(self, answer: Json, *, include_usage: bool = False) -> NoReturn:  # noqa: ARG002 - likewise
        raise _no_stream()

    def error(self, error: SluicegateError, request_id: str) -> bytes:  # noqa: ARG002 - OpenAI's has no id
        return orjson.dumps(errors.error_body(error))

    def stream_error(self, error: SluicegateError, request_id: str) -> bytes:  # noqa: ARG002 - likewise
        return errors.stream_error(error)


def _no_stream() -> InvalidRequestError:
    return InvalidRequestError("Embeddings come whole, never as a stream.", param="stream")
