"""The codec of OpenAI chat completions."""

import orjson

from sluicegate.completions.limits import DEFAULT_LIMITS, RequestLimits
from sluicegate.completions.openai_chat import errors, inspection
from sluicegate.completions.openai_chat.meter import ChatMeter
from sluicegate.completions.openai_chat.replay import ChatAssembler, replay
from sluicegate.completions.openai_chat.usage import decode_usage
from sluicegate.completions.types import Json, RequestFacts
from sluicegate.kernel.errors import SluicegateError
from sluicegate.kernel.models import Dialect, Usage


class ChatCodec:
    """The `Codec` of OpenAI chat completions.

    Args:
        limits: what a request may have at most.
        older_max_tokens: the provider knows `max_tokens` only, so a limit on output always goes there.
    """

    dialect = Dialect.OPENAI_CHAT

    def __init__(self, limits: RequestLimits = DEFAULT_LIMITS, *, older_max_tokens: bool = False) -> None:
        self._limits = limits
        self._older_max_tokens = older_max_tokens

    def inspect(self, body: Json, size: int) -> RequestFacts:
        return inspection.inspect(body, size, self._limits)

    def prepare(
        self,
        body: Json,
        model: str,
        max_output_tokens: int | None,
        *,
        older_max_tokens: bool | None = None,
    ) -> bytes:
        """The body for the provider; streams always ask for usage, which settlement needs.

        The clamp goes into the field that the client used, `max_completion_tokens` if it used none.
        `older_max_tokens` overrides the codec's own setting for this call.
        """
        upstream = {**body, "model": model}
        if body.get("max_completion_tokens") is not None and "max_tokens" in body:
            del upstream["max_tokens"]  # the same figure; providers refuse both together
        older = self._older_max_tokens if older_max_tokens is None else older_max_tokens
        limit = max_output_tokens
        if older and body.get("max_completion_tokens") is not None:
            asked = upstream.pop("max_completion_tokens")
            limit = asked if limit is None else limit
        if limit is not None:
            older = older or upstream.get("max_tokens") is not None
            upstream["max_tokens" if older else "max_completion_tokens"] = limit
        if body.get("stream"):
            upstream["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        return orjson.dumps(upstream)

    def usage(self, answer: Json) -> Usage | None:
        return decode_usage(answer.get("usage"))

    def meter(self, facts: RequestFacts) -> ChatMeter:
        return ChatMeter(facts)

    def assembler(self, limit: int) -> ChatAssembler:
        return ChatAssembler(limit)

    def replay(self, answer: Json, *, include_usage: bool = False) -> bytes:
        return replay(answer, include_usage=include_usage)

    def error(self, error: SluicegateError, request_id: str) -> bytes:  # noqa: ARG002 - OpenAI's has no id
        return orjson.dumps(errors.error_body(error))

    def stream_error(self, error: SluicegateError, request_id: str) -> bytes:  # noqa: ARG002 - likewise
        return errors.stream_error(error)
