"""One governed completion: its state from the first look at the request to its settlement."""

import time
from dataclasses import dataclass, field

from sluicegate.admission.types import Grant, Subject
from sluicegate.caching.flights import Lead
from sluicegate.caching.types import CacheSlot
from sluicegate.completions.pipeline.controls import NONE, Controls
from sluicegate.completions.pipeline.departure import Departure
from sluicegate.completions.pipeline.idempotency import Claim
from sluicegate.completions.pipeline.sizing import Size
from sluicegate.completions.types import Codec, Headers, Json, RequestFacts, StreamAssembler, Translator
from sluicegate.identity.principal import Principal
from sluicegate.kernel.models import Dialect, Model, Usage
from sluicegate.kernel.telemetry.tracing import Span
from sluicegate.ledger.usage import Outcome
from sluicegate.routing.types import RoutePlan


@dataclass(slots=True)
class Inbound:
    """A request as the edge hands it over: authenticated, its body read, its headers read.

    `started` is a `time.perf_counter()` reading; `forward` holds the caller's headers that policy
    passes on to providers.
    """

    request_id: str
    dialect: Dialect
    principal: Principal
    raw: bytes
    started: float
    controls: Controls = NONE
    forward: Headers = field(default_factory=list)
    traceparent: bytes | None = None
    departure: Departure = field(default_factory=Departure)


@dataclass(slots=True)
class Completion:
    """What is known of a request so far. One task owns it; it is never shared.

    `usage` is the answer's. `spent` and `spent_nano` are what tries used that gave no answer in the end:
    their providers had begun to answer, and bill for it. `version` is the model as its provider names it.
    """

    inbound: Inbound
    codec: Codec
    body: Json
    facts: RequestFacts
    plan: RoutePlan
    model: Model
    subject: Subject
    size: Size
    grant: Grant | None = None
    cap: int = 0
    attempts: int = 0
    usage: Usage = field(default_factory=Usage)
    spent: Usage = field(default_factory=Usage)
    spent_nano: int = 0
    estimated: bool = False
    first_byte_at: float | None = None
    provider: str = ""
    version: str | None = None
    settled: bool = False
    cost_nano: int = 0
    span: Span | None = None
    outcome: Outcome = "success"
    error: str | None = None
    translated: tuple[Dialect, Translator, Json] | None = None
    slot: CacheSlot | None = None
    lead: Lead | None = None
    claim: Claim | None = None
    assembler: StreamAssembler | None = None

    @property
    def operation(self) -> str:
        """What is asked of the model, in the words of OpenTelemetry's GenAI conventions."""
        return "embeddings" if self.inbound.dialect is Dialect.OPENAI_EMBEDDINGS else "chat"

    @property
    def elapsed_s(self) -> float:
        """Seconds since the request's head was read."""
        return time.perf_counter() - self.inbound.started
