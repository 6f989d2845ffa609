"""One row per request: who, what, tokens, exact cost, outcome."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal["success", "failure", "aborted", "blocked"]


@dataclass(slots=True)
class UsageRow:
    """What one request used. Money in nano-dollars, latency in milliseconds.

    `at`, in epoch seconds, is when it was admitted: budgets count it in the periods of that instant.

    `estimated` marks a cost that is not the provider's own figure: an owner that died (charged at
    its held amount) or a stream cut before the provider said its usage. `reaped` tells the former: such
    a row stands in for the owner's own, which replaces it should it still come. `version` is the model as
    the provider names what answered (`gpt-4o-2024-08-06`), None where it did not say.
    """

    request_id: str
    at: float
    tenant: str
    workspace: str
    user: str
    key: str
    agent: str | None
    mission: str | None
    task: str | None
    model: str
    provider: str
    requested_model: str
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_nano: int
    held_nano: int
    estimated: bool
    latency_ms: float
    first_byte_ms: float | None
    cache: str
    outcome: Outcome
    error: str | None = None
    tools: tuple[str, ...] = ()
    attempts: int = 1
    streamed: bool = False
    reaped: bool = False
    version: str | None = None

    def data(self) -> dict[str, Any]:
        """The row as the `data` of a `usage.recorded` event."""
        return asdict(self)
