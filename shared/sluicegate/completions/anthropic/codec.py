"""The codec of Anthropic messages."""

import orjson

from sluicegate.completions.anthropic import errors, inspection
from sluicegate.completions.anthropic.meter import MessageMeter
from sluicegate.completions.anthropic.replay import MessageAssembler, replay
from sluicegate.completions.anthropic.usage import decode_usage
from sluicegate.completions.fields import whole
from sluicegate.completions.limits import DEFAULT_LIMITS, RequestLimits
from sluicegate.completions.types import Json, RequestFacts
from sluicegate.kernel.errors import SluicegateError
from sluicegate.kernel.models import Dialect, Usage

LEAST_THINKING = 1_024
"""The smallest thinking budget that Anthropic takes."""


class MessagesCodec:
    """The `Codec` of Anthropic messages.

    Args:
        limits: what a request may have at most.
    """

    dialect = Dialect.ANTHROPIC_MESSAGES

    def __init__(self, limits: RequestLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits

    def inspect(self, body: Json, size: int) -> RequestFacts:
        return inspection.inspect(body, size, self._limits)

    def prepare(self, body: Json, model: str, max_output_tokens: int | None) -> bytes:
        """The body for the provider.

        Thinking counts as output and its budget must stay below `max_tokens`, so a clamp lowers it;
        a clamp that leaves no room for the smallest budget turns thinking off. The provider's own
        fallbacks would answer with a model of other prices, that the caller may not be allowed to use:
        without them a declined request stays declined, as with models that have none.
        """
        upstream = {**body, "model": model}
        upstream.pop("fallbacks", None)
        if max_output_tokens is not None:
            upstream["max_tokens"] = max_output_tokens
            thinking = body.get("thinking")
            if thinking is not None and 0 < max_output_tokens <= whole(thinking.get("budget_tokens")):
                if max_output_tokens > LEAST_THINKING:
                    upstream["thinking"] = {**thinking, "budget_tokens": max_output_tokens - 1}
                else:
                    upstream["thinking"] = {"type": "disabled"}
        return orjson.dumps(upstream)

    def usage(self, answer: Json) -> Usage | None:
        return decode_usage(answer.get("usage"))

    def meter(self, facts: RequestFacts) -> MessageMeter:
        return MessageMeter(facts)

    def assembler(self, limit: int) -> MessageAssembler:
        return MessageAssembler(limit)

    def replay(self, answer: Json, *, include_usage: bool = False) -> bytes:  # noqa: ARG002 - always in it
        return replay(answer)

    def error(self, error: SluicegateError, request_id: str) -> bytes:
        return orjson.dumps(errors.error_body(error, request_id))

    def stream_error(self, error: SluicegateError, request_id: str) -> bytes:
        return errors.stream_error(error, request_id)
