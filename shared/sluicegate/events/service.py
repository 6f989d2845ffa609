"""The process that moves events: outboxes to the bus, the bus to all who apply them."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from sluicegate.events.dispatcher import Dispatcher
from sluicegate.events.drainer import OutboxDrainer
from sluicegate.events.ports import EventBus
from sluicegate.kernel.errors import DependencyUnavailableError

_log = logging.getLogger(__name__)

# How long `stop` may have to wait for a dispatcher that has nothing to do.
_WAIT_S = 0.25
_LONGEST_WAIT_S = 10.0
_FIRST_WAIT_S = 0.25


class EventService:
    """Runs a drainer and the dispatchers of some groups, until stopped.

    Whatever fails is logged and tried again; what is not done waits where it is, on disk or in Redis.

    Args:
        drainer: None where no outbox is known.
        first: awaited before anything else, again until it succeeds.
        idle_s: seconds between looks at empty outboxes.
    """

    def __init__(
        self,
        bus: EventBus,
        dispatchers: Sequence[Dispatcher],
        drainer: OutboxDrainer | None = None,
        *,
        first: Callable[[], Awaitable[object]] | None = None,
        idle_s: float = 0.1,
    ) -> None:
        self._bus = bus
        self._dispatchers = dispatchers
        self._drainer = drainer
        self._first = first
        self._idle_s = idle_s
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.failures = 0

    def start(self) -> None:
        """Begin, in the background."""
        if self._tasks:
            return
        self._stopping.clear()
        works: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            (each.group, self._delivery(each)) for each in self._dispatchers
        ]
        if self._drainer is not None:
            works.append(("outbox", self._draining(self._drainer)))
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run(*work), name=f"events: {work[0]}") for work in works]

    async def stop(self, within_s: float = 3.0) -> None:
        """End what is under way, or break it off after `within_s`; it comes again then."""
        self._stopping.set()
        tasks, self._tasks = self._tasks, []
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def drain(self) -> int:
        """Bring all that waits, here and in the outboxes, to those who apply it; how many deliveries it took.

        Raises:
            DependencyUnavailableError: something is away; what was not done waits.
        """
        await self._subscribe()
        moved = 0
        while True:
            told = 0 if self._drainer is None else await self._drainer.drain_once()
            counts = await asyncio.gather(*(each.deliver() for each in self._dispatchers))
            if not told and not any(counts):
                return moved
            moved += sum(counts)

    async def _subscribe(self) -> None:
        if self._first is not None:
            await self._first()
            self._first = None
        for each in self._dispatchers:
            await self._bus.subscribe(each.group)

    def _delivery(self, dispatcher: Dispatcher) -> Callable[[], Awaitable[object]]:
        async def work() -> None:
            await dispatcher.deliver(wait_s=_WAIT_S)

        return work

    def _draining(self, drainer: OutboxDrainer) -> Callable[[], Awaitable[object]]:
        async def work() -> None:
            if not await drainer.drain_once():
                await self._pause(self._idle_s)

        return work

    async def _run(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        wait_s = _FIRST_WAIT_S
        subscribed = False
        while not self._stopping.is_set():
            try:
                if not subscribed:
                    # Before the first event is told: whoever subscribes later would miss it.
                    await self._subscribe()
                    subscribed = True
                await work()
            except DependencyUnavailableError as error:
                _log.warning("%s: events wait: %s", name, error.message)
            except Exception:  # noqa: BLE001 - a bug must not end the task that keeps the books
                # Whatever it was, the events still wait: say so and try again.
                _log.exception("%s: events wait", name)
            else:
                wait_s = _FIRST_WAIT_S
                continue
            self.failures += 1
            await self._pause(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
