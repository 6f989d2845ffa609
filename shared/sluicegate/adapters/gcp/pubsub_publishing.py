"""Publishing: in batches, in order per key, and never more at once than there is room for."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sluicegate.adapters.gcp.clients import PUBLISHER, GoogleClients
from sluicegate.adapters.gcp.errors import GoogleError
from sluicegate.adapters.gcp.pubsub_messages import Outgoing

# Pub/Sub takes a thousand messages and ten million bytes a request; gRPC servers by default 4 MiB.
MOST_MESSAGES = 1_000
MOST_BYTES = 3_500_000
ROOM_BYTES = 64_000_000


@dataclass(slots=True)
class _Load:
    """Messages of one key and one call that fit into one request."""

    messages: Sequence[Outgoing]
    size: int
    done: asyncio.Future[None]


@dataclass(slots=True)
class _Lane:
    """What waits to be sent for one topic and key."""

    loads: deque[_Load] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class BatchingPublisher:
    """Publishes messages of any topic.

    One request at a time is under way per topic and key, which keeps the order; what comes meanwhile goes
    with the next one. So a busy key has large batches, and a quiet one does not wait.

    Args:
        room_bytes: of messages under way; callers wait while there is no more.
    """

    def __init__(self, clients: GoogleClients, *, room_bytes: int = ROOM_BYTES) -> None:
        self._clients = clients
        self._room = _Room(room_bytes)
        self._lanes: dict[tuple[str, str], _Lane] = {}

    async def publish(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Publish `messages`; they are lasting when this returns.

        Raises:
            GoogleError: some may not be.
        """
        by_key: dict[str, list[Outgoing]] = {}
        for message in messages:
            by_key.setdefault(message.key, []).append(message)
        loads: list[_Load] = []
        for key, own in by_key.items():
            for part, size in _parts(own):
                await self._room.take(size)
                load = _Load(part, size, asyncio.get_running_loop().create_future())
                load.done.add_done_callback(lambda _, size=size: self._room.give(size))  # type: ignore[misc]
                loads.append(load)
                self._send_soon(topic, key, load)
        if loads:
            await asyncio.wait([load.done for load in loads])
        failures = [error for load in loads if (error := load.done.exception())]
        if failures:
            raise failures[0]

    async def close(self) -> None:
        """Wait for what is under way."""
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    def _send_soon(self, topic: str, key: str, load: _Load) -> None:
        lane = self._lanes.setdefault((topic, key), _Lane())
        lane.loads.append(load)
        if lane.task is None:
            lane.task = asyncio.get_running_loop().create_task(self._run(topic, key, lane))

    async def _run(self, topic: str, key: str, lane: _Lane) -> None:
        try:
            while lane.loads:
                batch = _next(lane.loads)
                try:
                    await self._send(topic, batch)
                except BaseException as error:
                    # What stands behind them must not overtake them.
                    left = [*batch, *lane.loads]
                    lane.loads.clear()
                    _fail(left, error)
                    if not isinstance(error, Exception):
                        raise
                else:
                    for load in batch:
                        if not load.done.done():
                            load.done.set_result(None)
        finally:
            del self._lanes[topic, key]

    async def _send(self, topic: str, batch: Sequence[_Load]) -> None:
        from google.pubsub_v1.types import PublishRequest, PubsubMessage  # noqa: PLC0415 - loaded by the client

        messages = [
            PubsubMessage(data=each.data, attributes=dict(each.attributes), ordering_key=each.key)
            for load in batch
            for each in load.messages
        ]
        await self._clients.call(PUBLISHER, "publish", PublishRequest(topic=topic, messages=messages))


class _Room:
    """Bounds bytes; what is larger than all the room gets it alone."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        if not self._waiting and self._fits(size):
            self._used += size
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.give(size)
            raise

    def give(self, size: int) -> None:
        self._used -= size
        while self._waiting and self._fits(self._waiting[0][0]):
            waiting, turn = self._waiting.popleft()
            if not turn.done():
                self._used += waiting
                turn.set_result(None)

    def _fits(self, size: int) -> bool:
        return self._used == 0 or self._used + size <= self._size


def _parts(messages: Sequence[Outgoing]) -> Iterator[tuple[Sequence[Outgoing], int]]:
    """`messages` in order, in parts that each fit into a request."""
    part: list[Outgoing] = []
    size = 0
    for message in messages:
        if part and (len(part) == MOST_MESSAGES or size + message.size > MOST_BYTES):
            yield part, size
            part, size = [], 0
        part.append(message)
        size += message.size
    if part:
        yield part, size


def _next(loads: deque[_Load]) -> list[_Load]:
    """The first of `loads`, as many as fit into one request."""
    batch = [loads.popleft()]
    count, size = len(batch[0].messages), batch[0].size
    while loads and count + len(loads[0].messages) <= MOST_MESSAGES and size + loads[0].size <= MOST_BYTES:
        batch.append(loads.popleft())
        count += len(batch[-1].messages)
        size += batch[-1].size
    return batch


def _fail(loads: Sequence[_Load], error: BaseException) -> None:
    kept = error if isinstance(error, Exception) else GoogleError("Pub/Sub: publishing was broken off")
    for load in loads:
        if not load.done.done():
            load.done.set_exception(kept)
            load.done.exception()  # its caller may have gone; nobody need be told that it was not fetched
