"""`policies/caching.yaml`, typed."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from sluicegate.kernel.policy_files import PolicyModel
from sluicegate.kernel.tenancy import checked_name

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_BYTES = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}  # fmt: skip
_AMOUNT = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([A-Za-z]{1,3})")


def _read(value: Any, units: dict[str, float] | dict[str, int], example: str) -> float:
    match = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or match[2] not in units:
        raise ValueError(f"write a number and a unit ({', '.join(units)}), like {example}")
    return float(match[1]) * units[match[2]]


def _duration(value: Any) -> float:
    return _read(value, _SECONDS, "5m")


def _size(value: Any) -> int:
    return int(_read(value, _BYTES, "64MiB"))


Duration = Annotated[float, BeforeValidator(_duration), Field(gt=0)]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]


# Defaults are written as in the file and parsed like it, which a type checker cannot know.


class MemoryLevel(PolicyModel):
    """L1. The memory used is the least of `size`, the instance's setting, and its memory's share."""

    enabled: bool = True
    ttl: Duration = "5m"  # type: ignore[assignment]
    size: Size = "1GB"  # type: ignore[assignment]
    memory_share: float = Field(default=0.25, gt=0, le=0.75)


class SharedLevel(PolicyModel):
    """L2: shared by all instances."""

    enabled: bool = True
    ttl: Duration = "1h"  # type: ignore[assignment]
    compress_above: Size = "1KiB"  # type: ignore[assignment]


class ArchiveLevel(PolicyModel):
    """L3: large and slow. `size` bounds a store that cannot bound itself (files)."""

    enabled: bool = True
    ttl: Duration = "7d"  # type: ignore[assignment]
    size: Size = "10GiB"  # type: ignore[assignment]


class Coalescing(PolicyModel):
    """Identical requests under way at once share one upstream call.

    A follower waits at most `wait`, then runs by itself; at most `followers` wait for one leader.
    """

    enabled: bool = True
    wait: Duration = "60s"  # type: ignore[assignment]
    followers: int = Field(default=1_000, ge=0, le=100_000)


class CachingPolicy(PolicyModel):
    """When answers are kept, where, how long, and which events make them void.

    `store` says which requests use the cache without asking: `deterministic` (temperature 0, a seed,
    embeddings), `always`, or `asked` (none). `poll` bounds how long an invalidation by another
    instance may stay unseen when its notice got lost; otherwise it is seen within milliseconds.
    `away` is how long the cache stays off after its generations could not be read.
    """

    enabled: bool = True
    store: Literal["deterministic", "always", "asked"] = "deterministic"
    answer_limit: Size = "1MiB"  # type: ignore[assignment]
    poll: Duration = "2s"  # type: ignore[assignment]
    away: Duration = "1s"  # type: ignore[assignment]
    l1: MemoryLevel = MemoryLevel()
    l2: SharedLevel = SharedLevel()
    l3: ArchiveLevel = ArchiveLevel()
    coalescing: Coalescing = Coalescing()
    invalidated_by: tuple[str, ...] = Field(default=("feedback_received", "code_changed"), max_length=16)

    @field_validator("invalidated_by")
    @classmethod
    def _are_names(cls, events: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checked_name(event, "event") for event in events)


def memory_bound(level: MemoryLevel, setting: int, available: int | None) -> int:
    """Bytes L1 may use: the least of policy, `setting` and the share of `available` memory.

    `available` is what the container (or machine) has; None where it is unknown.
    """
    bounds = [level.size, setting]
    if available is not None:
        bounds.append(int(available * level.memory_share))
    return max(0, min(bounds))
