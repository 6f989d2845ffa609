"""From one dialect to another, through the canonical form.

What is carried, what is refused and what is left out: docs/translation.md.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from sluicegate.completions.anthropic.form import MessagesForm
from sluicegate.completions.canonical import Request, Response
from sluicegate.completions.canonical_stream import (
    Finished,
    StreamEvent,
    UsageSaid,
)
from sluicegate.completions.openai_chat.form import ChatForm
from sluicegate.completions.openai_responses.form import ResponsesForm
from sluicegate.completions.provider_errors import provider_error
from sluicegate.completions.types import Json, RequestFacts, StreamMeter, StreamTranslator
from sluicegate.kernel.clock import Clock, SystemClock
from sluicegate.kernel.errors import InvalidRequestError, SluicegateError
from sluicegate.kernel.models import Dialect, Usage


class StreamDecoder(Protocol):
    """Reads one stream: a provider's server-sent event in, canonical events out. Never raises."""

    def decode(self, event: bytes) -> list[StreamEvent]: ...


class StreamEncoder(Protocol):
    """Writes one stream: a canonical event in, the client's bytes out (whole events, maybe none)."""

    def encode(self, event: StreamEvent) -> bytes: ...


class ClientForm(Protocol):
    """A client's dialect seen from the canonical form.

    Decoding a request raises InvalidRequestError for what has no place in the canonical form. A form
    may keep of the request what its answer repeats.
    """

    dialect: Dialect

    def decode_request(self, body: Json) -> Request: ...

    def encode_response(self, response: Response, requested_model: str, created: int) -> Json: ...

    def encoder(self, facts: RequestFacts, created: int) -> StreamEncoder: ...

    def stream_error(self, error: SluicegateError) -> bytes: ...


class ProviderForm(Protocol):
    """A provider's dialect seen from the canonical form.

    Encoding a request raises InvalidRequestError for what has no place in the dialect. An answer is
    read leniently: a provider's oddity is no fault of the caller.
    """

    def encode_request(self, request: Request) -> Json: ...

    def decode_response(self, answer: Json) -> Response: ...

    def meter(self, facts: RequestFacts) -> StreamMeter: ...

    def decoder(self) -> StreamDecoder: ...


class CanonicalTranslator:
    """The `Translator` from `client` to `provider`, by way of the canonical form."""

    def __init__(self, client: ClientForm, provider: ProviderForm, clock: Clock) -> None:
        self._client = client
        self._provider = provider
        self._clock = clock

    def request(self, body: Json) -> Json:
        """The client's request, which has passed `inspect`, as the provider's.

        Raises:
            InvalidRequestError: something in it cannot be carried; `param` names it.
        """
        request = self._client.decode_request(body)
        try:
            return self._provider.encode_request(request)
        except InvalidRequestError as error:
            raise _in_words_of(self._client.dialect, error) from None

    def response(self, answer: Json, requested_model: str) -> Json:
        """The provider's answer as the client's, under the name that the client asked for."""
        response = self._provider.decode_response(answer)
        return self._client.encode_response(response, requested_model, int(self._clock.now()))

    def stream(self, facts: RequestFacts) -> StreamTranslator:
        """A translator of one stream that answers the request of `facts`."""
        return CanonicalStreamTranslator(self._client, self._provider, facts, int(self._clock.now()))

    def error(self, status: int, body: bytes) -> SluicegateError:
        """The error of ours that the provider's error answer amounts to."""
        return provider_error(status, body)


class CanonicalStreamTranslator:
    """The `StreamTranslator` from `client` to `provider`. A provider's error becomes the client's."""

    def __init__(self, client: ClientForm, provider: ProviderForm, facts: RequestFacts, created: int) -> None:
        self.produced_tokens = 0
        self.usage: Usage | None = None
        self.finished = False
        self.failed: SluicegateError | None = None
        self._client = client
        self._meter = provider.meter(replace(facts, include_usage=True))
        self._decoder = provider.decoder()
        self._encoder = client.encoder(facts, created)

    def feed(self, data: bytes) -> bytes:
        return self._carried(self._meter.feed(data))

    def close(self) -> bytes:
        return self._carried(self._meter.close())

    def _carried(self, events: bytes) -> bytes:
        meter = self._meter
        out: list[bytes] = []
        for event in events.split(b"\n\n"):
            if not event:
                continue
            for step in self._decoder.decode(event):
                if isinstance(step, Finished) and meter.usage is None:
                    # The client's dialect may owe its client figures that this provider never said.
                    out.append(self._encoder.encode(UsageSaid(Usage(output_tokens=meter.produced_tokens))))
                out.append(self._encoder.encode(step))
        self.produced_tokens = meter.produced_tokens
        self.usage = meter.usage
        self.finished = meter.finished
        if meter.failed is not None and self.failed is None:
            self.failed = meter.failed
            out.append(self._client.stream_error(meter.failed))
        return b"".join(out)


# Fields that providers' forms complain about, where a client's dialect calls them otherwise.
_NAMES = {
    Dialect.OPENAI_RESPONSES: {
        "messages": "input",
        "response_format": "text.format",
        "verbosity": "text.verbosity",
    }
}


def _in_words_of(client: Dialect, error: InvalidRequestError) -> InvalidRequestError:
    """`error` with the client's own name of the field at fault."""
    name = error.param or ""
    known = _NAMES.get(client, {}).get(name)
    if known is None:
        return error
    message = error.message.replace(f"'{name}'", f"'{known}'", 1)
    return InvalidRequestError(message, param=known, details=error.details)


_CLIENTS: dict[Dialect, Callable[[], ClientForm]] = {
    Dialect.OPENAI_CHAT: ChatForm,
    Dialect.OPENAI_RESPONSES: ResponsesForm,
    Dialect.ANTHROPIC_MESSAGES: MessagesForm,
}
_PROVIDERS: dict[Dialect, Callable[[], ProviderForm]] = {
    Dialect.OPENAI_CHAT: ChatForm,
    Dialect.ANTHROPIC_MESSAGES: MessagesForm,
}


def translator(client: Dialect, provider: Dialect, clock: Clock | None = None) -> CanonicalTranslator:
    """A translator, for one request, from a client that speaks `client` to a provider of `provider`.

    `clock` says when an answer was created, where the client's dialect wants to know.

    Raises:
        InvalidRequestError: such a provider cannot answer such a client at all.
    """
    client_form = _CLIENTS.get(client)
    provider_form = _PROVIDERS.get(provider)
    if client_form is None or provider_form is None:
        raise InvalidRequestError(
            f"This model's provider speaks {provider}, which cannot answer a request in {client}; "
            "choose another model.",
            param="model",
        )
    return CanonicalTranslator(client_form(), provider_form(), clock or SystemClock())
