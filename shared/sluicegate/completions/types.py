"""What the pipeline, the codecs and the providers exchange.

The pipeline works on a client's request in the client's own dialect. Only when the chosen provider
does not speak that dialect is the request translated, through the canonical form
(`completions.canonical`). So the common case, an OpenAI client and an OpenAI-compatible provider,
costs one parse and one serialisation.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from sluicegate.kernel.errors import SluicegateError
from sluicegate.kernel.models import Capability, Dialect, Usage

Json = dict[str, Any]
Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class RequestFacts:
    """What routing and admission need to know of a request, found without a full decode.

    `input_bound` is a sound upper bound of the prompt's tokens (a byte-level tokenizer never makes
    more tokens than bytes; an image counts at the dialect's documented maximum): holds are sized by
    it. `input_estimate` is the likely number, for choosing among prices. `max_output_tokens` is
    what the client asked for, per choice; None where it did not say. `choices` is `n`.
    `hide_running_usage` says that every chunk comes with figures which only the gateway asked for.
    """

    model: str
    stream: bool
    choices: int
    max_output_tokens: int | None
    input_bound: int
    input_estimate: int
    capabilities: frozenset[Capability]
    images: int = 0
    include_usage: bool = False
    hide_running_usage: bool = False
    tool_names: tuple[str, ...] = ()
    end_user: str | None = None


class StreamMeter(Protocol):
    """Watches a provider's stream go by to a client of the same dialect.

    `feed` takes bytes as they came (any split) and returns the bytes to forward, which are whole
    events only. `produced_tokens` is a running count of output tokens seen; `usage` the provider's
    own figures once it has said them; `finished` is True once the dialect's last event was seen;
    `failed` the error event, if the provider sent one.
    """

    produced_tokens: int
    usage: Usage | None
    finished: bool
    failed: SluicegateError | None

    def feed(self, data: bytes) -> bytes: ...

    def close(self) -> bytes: ...


class StreamTranslator(StreamMeter, Protocol):
    """A meter that also turns the provider's dialect into the client's."""


class StreamAssembler(Protocol):
    """Puts a whole answer together from the events that a client was sent, so that it can be cached.

    `feed` takes what a meter's `feed` and `close` returned. `answer` gives the answer's JSON, with
    `usage` (the meter's) in it, or None: the stream did not end well, or was longer than the bound.
    """

    def feed(self, events: bytes) -> None: ...

    def answer(self, usage: Usage | None) -> Json | None: ...


class Translator(Protocol):
    """Carries requests from a client's dialect to a provider's, and answers back. Pure.

    `request` raises InvalidRequestError, with the client's `param`, for what cannot be carried.
    """

    def request(self, body: Json) -> Json: ...

    def response(self, answer: Json, requested_model: str) -> Json: ...

    def stream(self, facts: "RequestFacts") -> StreamTranslator: ...


class Codec(Protocol):
    """One dialect: reads requests, writes answers and errors. Pure; never does I/O.

    `inspect` validates the request (raising InvalidRequestError with `param`) and finds its facts;
    `prepare` returns the upstream body for a provider of the same dialect, with the upstream's model
    name and the clamped number of output tokens per choice put in and everything unknown kept.
    `usage` is None where the answer has no figures. `replay` is a stored answer as a stream, with a
    usage event only if asked for; `assembler` is its reverse, for streams of at most `limit` bytes.
    """

    dialect: Dialect

    def inspect(self, body: Json, size: int) -> RequestFacts: ...

    def prepare(self, body: Json, model: str, max_output_tokens: int | None) -> bytes: ...

    def usage(self, answer: Json) -> Usage | None: ...

    def meter(self, facts: RequestFacts) -> StreamMeter: ...

    def assembler(self, limit: int) -> StreamAssembler: ...

    def replay(self, answer: Json, *, include_usage: bool = False) -> bytes: ...

    def error(self, error: SluicegateError, request_id: str) -> bytes: ...

    def stream_error(self, error: SluicegateError, request_id: str) -> bytes: ...


@dataclass(slots=True)
class UpstreamCall:
    """One try at a provider, in the provider's dialect.

    Timeouts are seconds: `first_byte_s` until the answer's head (for streams the first event too),
    `idle_s` between two reads, `total_s` over all.
    """

    request_id: str
    dialect: Dialect
    model: str
    body: bytes
    stream: bool
    first_byte_s: float
    idle_s: float
    total_s: float
    headers: Headers = field(default_factory=list)


class UpstreamReply(Protocol):
    """A provider's answer, its head read, its body still to come.

    Exactly one of `read` and `chunks` is used, then `close`. `cancel` stops a body under way: it
    tells the provider to stop, then reads on for at most `linger_s` for what it had produced
    already, so that what is charged is what was produced. It returns those last bytes.
    """

    status: int
    headers: Mapping[bytes, bytes]

    async def read(self) -> bytes: ...

    def chunks(self) -> AsyncIterator[bytes]: ...

    async def cancel(self, linger_s: float) -> bytes: ...

    def close(self) -> None: ...


class Provider(Protocol):
    """A place that runs models. `spoken` tells the dialects of one of them, the preferred one first.

    `send` raises UpstreamFailure when there is no answer at all; an answer with an error status is
    an answer. `ready` says why it cannot be used (no credential), or None.
    """

    name: str
    kind: str

    def spoken(self, model: str) -> tuple[Dialect, ...]: ...

    def ready(self) -> str | None: ...

    async def send(self, call: UpstreamCall) -> UpstreamReply: ...

    async def check(self) -> None: ...

    async def close(self) -> None: ...


@runtime_checkable
class TokenCounter(Protocol):
    """A provider that can count the tokens of a request to an Anthropic model without running it.

    `count_tokens` takes a call as `Provider.send` does, with the body of `POST /v1/messages/count_tokens`.
    """

    async def count_tokens(self, call: UpstreamCall) -> UpstreamReply: ...


class UpstreamFailure(Exception):  # noqa: N818 - a failure of the other side, translated before a caller sees it
    """No answer, or the answer broke off. `phase` says where, `sent` whether the request left us.

    `timeout` marks a deadline of ours; everything else is the network's or the provider's doing.
    """

    def __init__(self, phase: str, reason: str, *, sent: bool, timeout: bool = False) -> None:
        super().__init__(f"{phase}: {reason}")
        self.phase = phase
        self.reason = reason
        self.sent = sent
        self.timeout = timeout


@dataclass(slots=True)
class Answer:
    """What the pipeline hands to the edge: a whole body, or a stream of bytes to pass on.

    The edge must drive `stream` to its end or `aclose()` it; settlement happens inside it.
    """

    status: int
    headers: Headers
    body: bytes = b""
    stream: AsyncGenerator[bytes, None] | None = None
