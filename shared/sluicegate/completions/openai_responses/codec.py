"""The codec of OpenAI responses."""

import orjson

from sluicegate.completions.limits import DEFAULT_LIMITS, RequestLimits
from sluicegate.completions.openai_chat.errors import error_body
from sluicegate.completions.openai_responses import errors, inspection
from sluicegate.completions.openai_responses.meter import ResponseMeter
from sluicegate.completions.openai_responses.reasoning import sealed_here
from sluicegate.completions.openai_responses.replay import ResponseAssembler, replay
from sluicegate.completions.openai_responses.usage import decode_usage
from sluicegate.completions.types import Json, RequestFacts
from sluicegate.kernel.errors import SluicegateError
from sluicegate.kernel.models import Dialect, Usage


class ResponsesCodec:
    """The `Codec` of OpenAI responses.

    Args:
        limits: what a request may have at most.
    """

    dialect = Dialect.OPENAI_RESPONSES

    def __init__(self, limits: RequestLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits

    def inspect(self, body: Json, size: int) -> RequestFacts:
        return inspection.inspect(body, size, self._limits)

    def prepare(self, body: Json, model: str, max_output_tokens: int | None) -> bytes:
        """The body for the provider.

        Reasoning that another provider wrote, earlier in the conversation, is left out: it was sealed
        here, and OpenAI refuses what it cannot open.
        """
        upstream = {**body, "model": model}
        if max_output_tokens is not None:
            upstream["max_output_tokens"] = max_output_tokens
        given = body.get("input")
        if type(given) is list and any(map(_is_foreign, given)):
            upstream["input"] = [item for item in given if not _is_foreign(item)]
        return orjson.dumps(upstream)

    def usage(self, answer: Json) -> Usage | None:
        return decode_usage(answer.get("usage"))

    def meter(self, facts: RequestFacts) -> ResponseMeter:
        return ResponseMeter(facts)

    def assembler(self, limit: int) -> ResponseAssembler:
        return ResponseAssembler(limit)

    def replay(self, answer: Json, *, include_usage: bool = False) -> bytes:  # noqa: ARG002 - always in it
        return replay(answer)

    def error(self, error: SluicegateError, request_id: str) -> bytes:  # noqa: ARG002 - OpenAI's has no id
        return orjson.dumps(error_body(error))

    def stream_error(self, error: SluicegateError, request_id: str) -> bytes:  # noqa: ARG002 - likewise
        return errors.stream_error(error)


def _is_foreign(item: Json) -> bool:
    return item.get("type") == "reasoning" and sealed_here(item)
