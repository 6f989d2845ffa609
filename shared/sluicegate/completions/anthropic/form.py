"""Anthropic messages and the canonical form, both ways, under one roof for the translator."""

from sluicegate.completions.anthropic import decode, encode, errors
from sluicegate.completions.anthropic.meter import MessageMeter
from sluicegate.completions.anthropic.stream_decode import MessageStreamDecoder
from sluicegate.completions.anthropic.stream_encode import MessageStreamEncoder
from sluicegate.completions.canonical import Request, Response
from sluicegate.completions.types import Json, RequestFacts
from sluicegate.kernel.errors import SluicegateError
from sluicegate.kernel.models import Dialect


class MessagesForm:
    """The `Form` of Anthropic messages.

    Args:
        keep_system_turns: leave system messages in mid-conversation where they stand, for models that
            take them there; otherwise they are moved behind the system prompt.
    """

    dialect = Dialect.ANTHROPIC_MESSAGES

    def __init__(self, *, keep_system_turns: bool = False) -> None:
        self._keep_system_turns = keep_system_turns

    def decode_request(self, body: Json) -> Request:
        return decode.decode_request(body)

    def encode_request(self, request: Request) -> Json:
        return encode.encode_request(request, keep_system_turns=self._keep_system_turns)

    def decode_response(self, answer: Json) -> Response:
        return decode.decode_response(answer)

    def encode_response(self, response: Response, requested_model: str, created: int) -> Json:  # noqa: ARG002
        """As `encode_response`; this dialect's messages carry no time."""
        return encode.encode_response(response, requested_model)

    def meter(self, facts: RequestFacts) -> MessageMeter:
        return MessageMeter(facts)

    def decoder(self) -> MessageStreamDecoder:
        return MessageStreamDecoder()

    def encoder(self, facts: RequestFacts, created: int) -> MessageStreamEncoder:  # noqa: ARG002 - as above
        return MessageStreamEncoder(facts.model)

    def stream_error(self, error: SluicegateError) -> bytes:
        return errors.stream_error(error, None)
