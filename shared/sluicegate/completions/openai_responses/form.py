"""OpenAI responses and the canonical form, for clients that speak this dialect."""

from sluicegate.completions.canonical import Request, Response
from sluicegate.completions.openai_responses import decode, encode, errors
from sluicegate.completions.openai_responses.stream_encode import ResponseStreamEncoder
from sluicegate.completions.types import Json, RequestFacts
from sluicegate.kernel.errors import SluicegateError
from sluicegate.kernel.models import Dialect


class ResponsesForm:
    """The `ClientForm` of OpenAI responses.

    A response repeats what was asked for, so a form remembers the request that it decoded, and serves
    that one alone.
    """

    dialect = Dialect.OPENAI_RESPONSES

    def __init__(self) -> None:
        self._request: Json = {}

    def decode_request(self, body: Json) -> Request:
        self._request = body
        return decode.decode_request(body)

    def encode_response(self, response: Response, requested_model: str, created: int) -> Json:
        return encode.encode_response(response, requested_model, created, self._request)

    def encoder(self, facts: RequestFacts, created: int) -> ResponseStreamEncoder:
        return ResponseStreamEncoder(facts.model, created, self._request)

    def stream_error(self, error: SluicegateError) -> bytes:
        return errors.stream_error(error)
