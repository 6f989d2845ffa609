"""What routing needs of the outside: a place where instances tell each other about the health of models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class HealthChange:
    """One instance's breaker for a model opened or closed.

    `open_until` is in epoch seconds (clocks of instances agree well enough for that), 0 when it closed;
    `openings` counts openings in a row.
    """

    provider: str
    model: str
    open: bool
    open_until: float
    openings: int


class BoardUnavailable(Exception):  # noqa: N818 - named for the state it reports
    """The board cannot be reached now; health stays local until it can."""


class HealthBoard(Protocol):
    """Shares health changes among instances. Every verb but `close` may raise BoardUnavailable.

    `publish` tells the others and keeps an open state for instances that start later, until it ends;
    `snapshot` reads what is kept; `watch` calls back for each change of another instance, and calls
    `on_gap` when changes may have been missed.
    """

    async def publish(self, change: HealthChange) -> None: ...

    async def snapshot(self) -> Sequence[HealthChange]: ...

    async def watch(self, on_change: Callable[[HealthChange], None], on_gap: Callable[[], None]) -> None: ...

    async def close(self) -> None: ...
