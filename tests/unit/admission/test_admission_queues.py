"""The waiting line and the queue of settlements, without a store."""

import asyncio
from typing import Any

import pytest

from sluicegate.admission.errors import StoreUnavailable
from sluicegate.admission.settlements import Settlement, SettlementQueue
from sluicegate.admission.types import Grant, Subject
from sluicegate.admission.waiting import WaitingLine

SUBJECT = Subject("acme", "growth", "ann", "k1", "m1")


def settlement(name: str, **more: Any) -> Settlement:
    return Settlement(Grant(name, SUBJECT, 1, 0, None, "g1", hold_id=name), 1, 0, b"", **more)


async def test_line_is_first_come_first_served() -> None:
    line = WaitingLine()
    served: list[int] = []
    deadline = asyncio.get_running_loop().time() + 60

    async def stand(number: int) -> None:
        async with line.place(deadline):
            served.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(stand(number) for number in range(5)))
    assert served == list(range(5))
    assert line.length == 0


async def test_line_is_left_at_the_deadline() -> None:
    line = WaitingLine()
    now = asyncio.get_running_loop().time()
    async with line.place(now + 60):
        with pytest.raises(TimeoutError):
            async with line.place(now - 1):
                raise AssertionError("never reached")
        assert line.length == 1
    assert not await line.look_again(0, now - 1)


async def test_head_is_woken_by_what_is_freed() -> None:
    line = WaitingLine()
    line.freed.set()
    assert await line.look_again(0, asyncio.get_running_loop().time() + 60)
    assert not line.freed.is_set()


async def run(queue: SettlementQueue) -> int:
    worker = asyncio.create_task(queue.run())
    left = await queue.drain(10)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    return left


async def test_queue_retries_until_the_store_is_back() -> None:
    tries: dict[str, int] = {}

    async def apply(each: Settlement) -> None:
        name = each.grant.request_id
        tries[name] = tries.get(name, 0) + 1
        if tries[name] < 3:
            raise StoreUnavailable("away", maybe_applied=True)

    queue = SettlementQueue(apply)
    for name in "abc":
        queue.put(settlement(name))
    assert len(queue) == 3
    assert await run(queue) == 0
    assert tries == {"a": 3, "b": 3, "c": 3}


async def test_queue_gives_up_on_what_always_fails() -> None:
    tries = 0

    async def apply(each: Settlement) -> None:
        nonlocal tries
        tries += 1
        raise ValueError("a bug")

    queue = SettlementQueue(apply, first_backoff_s=0)
    queue.put(settlement("a"))
    assert await run(queue) == 0
    assert tries == 8


async def test_queue_is_bounded_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    async def apply(each: Settlement) -> None:
        done.append(each.grant.request_id)

    queue = SettlementQueue(apply, limit=1)
    queue.put(settlement("kept"))
    queue.put(settlement("refused"))
    assert "refused" in caplog.text
    assert await run(queue) == 0
    assert done == ["kept"]


async def test_postponed_settlements_come_at_once_when_draining() -> None:
    done: list[str] = []

    async def apply(each: Settlement) -> None:
        done.append(each.grant.request_id)

    queue = SettlementQueue(apply)
    queue.put(settlement("later", not_before=asyncio.get_running_loop().time() + 3600))
    assert await run(queue) == 0
    assert done == ["later"]


async def test_drain_tells_how_many_are_left() -> None:
    async def apply(each: Settlement) -> None:
        raise StoreUnavailable("away", maybe_applied=False)

    queue = SettlementQueue(apply)
    queue.put(settlement("a"))
    worker = asyncio.create_task(queue.run())
    assert await queue.drain(0.05) == 1
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert len(queue) == 1
