"""What the cache stores, and how a request may use it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class CacheMode(StrEnum):
    """What `x-sluicegate-cache` asks for: use (default), bypass, refresh (skip reading, store)."""

    USE = "use"
    BYPASS = "bypass"
    REFRESH = "refresh"


class CacheKey(NamedTuple):
    """What identifies an answer for ever: its tenant and a digest over all that decides it."""

    tenant: str
    digest: str


class CacheSlot(NamedTuple):
    """Where an answer lies now: its key within the present generation of its tags.

    Taken when a request begins and used to store its answer, so that an answer which was under way
    during an invalidation is stored where nobody looks any more. `name` is hexadecimal and dots.
    """

    tenant: str
    name: str


@dataclass(frozen=True, slots=True)
class CacheUse:
    """What a request may do with the cache: `read` a stored answer, `write` its own."""

    read: bool
    write: bool


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
