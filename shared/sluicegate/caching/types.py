"""What the cache stores, and how a request may use it."""

from dataclasses import dataclass
from enum import StrEnum


class CacheMode(StrEnum):
    """What `x-sluicegate-cache` asks for: use (default), bypass, refresh (skip reading, store)."""

    USE = "use"
    BYPASS = "bypass"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A whole answer in the client's dialect: JSON bytes, never a stream (streams are replayed).

    `cost_nano` is what the answer cost when it was produced (a hit saves it); `created_at` epoch
    seconds; `model` and `provider` say who produced it.
    """

    body: bytes
    model: str
    provider: str
    created_at: float
    cost_nano: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class CacheHit:
    """A found answer and the level it was found at: `l1`, `l2`, `l3` or `coalesced`."""

    answer: CachedAnswer
    level: str
