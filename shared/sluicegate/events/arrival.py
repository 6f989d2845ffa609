"""Waits until what was told before is applied everywhere: whoever erases must come after the last record."""

import asyncio
from collections.abc import Sequence

from sluicegate.events.ports import Progress
from sluicegate.kernel.errors import DependencyUnavailableError

_LOOK_EVERY_S = 0.05


class Arrival:
    """Awaiting a call returns when all events told before it have an outcome in every group.

    Dead letters are an outcome. Not to be awaited by a handler of events, which would wait for itself.

    Args:
        stations: where events pass, in this order (outboxes, then the bus).
        within_s: how long to wait at each.
    """

    def __init__(self, stations: Sequence[Progress], within_s: float = 30.0) -> None:
        self._stations = tuple(stations)
        self._within_s = within_s

    async def __call__(self) -> None:
        """Wait.

        Raises:
            DependencyUnavailableError: some still wait (nobody takes them, or one fails again and again).
        """
        for station in self._stations:
            mark = await station.mark()
            try:
                async with asyncio.timeout(self._within_s):
                    while not await station.passed(mark):  # noqa: ASYNC110 - other processes have no event for it
                        await asyncio.sleep(_LOOK_EVERY_S)
            except TimeoutError:
                raise DependencyUnavailableError(
                    "events told before are not applied yet; see 'sluicegate events groups' and try again",
                    retry_after=self._within_s,
                ) from None
