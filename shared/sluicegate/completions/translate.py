"""From one dialect to another, through the canonical form.

What is carried, what is refused and what is left out: docs/translation.md.
"""

from dataclasses import replace
from functools import cache
from typing import Protocol

from sluicegate.completions.anthropic.form import MessagesForm
from sluicegate.completions.canonical import Request, Response
from sluicegate.completions.canonical_stream import (
    Finished,
    StreamEvent,
    UsageSaid,
)
from sluicegate.completions.openai_chat.form import ChatForm
from sluicegate.completions.provider_errors import provider_error
from sluicegate.completions.types import Json, RequestFacts, StreamMeter, StreamTranslator
from sluicegate.kernel.clock import Clock, SystemClock
from sluicegate.kernel.errors import ConfigurationError, SluicegateError
from sluicegate.kernel.models import Dialect, Usage


class StreamDecoder(Protocol):
    """Reads one stream: a provider's server-sent event in, canonical events out. Never raises."""

    def decode(self, event: bytes) -> list[StreamEvent]: ...


class StreamEncoder(Protocol):
    """Writes one stream: a canonical event in, the client's bytes out (whole events, maybe none)."""

    def encode(self, event: StreamEvent) -> bytes: ...


class Form(Protocol):
    """A dialect seen from the canonical form.

    Decoding and encoding a request raise InvalidRequestError for what has no place in the canonical
    form or in the dialect. An answer is read leniently: a provider's oddity is no fault of the caller.
    """

    dialect: Dialect

    def decode_request(self, body: Json) -> Request: ...

    def encode_request(self, request: Request) -> Json: ...

    def decode_response(self, answer: Json) -> Response: ...

    def encode_response(self, response: Response, requested_model: str, created: int) -> Json: ...

    def meter(self, facts: RequestFacts) -> StreamMeter: ...

    def decoder(self) -> StreamDecoder: ...

    def encoder(self, facts: RequestFacts, created: int) -> StreamEncoder: ...

    def stream_error(self, error: SluicegateError) -> bytes: ...


class CanonicalTranslator:
    """The `Translator` from `client` to `provider`, by way of the canonical form."""

    def __init__(self, client: Form, provider: Form, clock: Clock) -> None:
        self._client = client
        self._provider = provider
        self._clock = clock

    def request(self, body: Json) -> Json:
        """The client's request, which has passed `inspect`, as the provider's.

        Raises:
            InvalidRequestError: something in it cannot be carried; `param` names it.
        """
        return self._provider.encode_request(self._client.decode_request(body))

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

    def __init__(self, client: Form, provider: Form, facts: RequestFacts, created: int) -> None:
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


@cache
def _form(dialect: Dialect) -> Form:
    if dialect is Dialect.OPENAI_CHAT:
        return ChatForm()
    if dialect is Dialect.ANTHROPIC_MESSAGES:
        return MessagesForm()
    raise ConfigurationError(f"there is no translation from or to {dialect}")


def translator(client: Dialect, provider: Dialect, clock: Clock | None = None) -> CanonicalTranslator:
    """The translator between a client that speaks `client` and a provider that speaks `provider`.

    `clock` says when an answer was created, where the client's dialect wants to know.

    Raises:
        ConfigurationError: one of the dialects has no canonical form.
    """
    return CanonicalTranslator(_form(client), _form(provider), clock or SystemClock())
