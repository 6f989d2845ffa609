"""OpenAI chat and the canonical form, both ways, under one roof for the translator."""

from sluicegate.completions.canonical import Request, Response
from sluicegate.completions.openai_chat import decode, encode, errors
from sluicegate.completions.openai_chat.meter import ChatMeter
from sluicegate.completions.openai_chat.stream_decode import ChatStreamDecoder
from sluicegate.completions.openai_chat.stream_encode import ChatStreamEncoder
from sluicegate.completions.types import Json, RequestFacts
from sluicegate.kernel.errors import SluicegateError
from sluicegate.kernel.models import Dialect


class ChatForm:
    """The `Form` of OpenAI chat completions."""

    dialect = Dialect.OPENAI_CHAT

    def decode_request(self, body: Json) -> Request:
        return decode.decode_request(body)

    def encode_request(self, request: Request) -> Json:
        return encode.encode_request(request)

    def decode_response(self, answer: Json) -> Response:
        return decode.decode_response(answer)

    def encode_response(self, response: Response, requested_model: str, created: int) -> Json:
        return encode.encode_response(response, requested_model, created)

    def meter(self, facts: RequestFacts) -> ChatMeter:
        return ChatMeter(facts)

    def decoder(self) -> ChatStreamDecoder:
        return ChatStreamDecoder()

    def encoder(self, facts: RequestFacts, created: int) -> ChatStreamEncoder:
        return ChatStreamEncoder(facts.model, created, include_usage=facts.include_usage)

    def stream_error(self, error: SluicegateError) -> bytes:
        return errors.stream_error(error)
