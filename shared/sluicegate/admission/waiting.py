"""A short, fair line for what others hold just now."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Settlements of other instances are not heard, so the head of the line also looks by itself.
_FIRST_LOOK_S = 0.01
_LONGEST_LOOK_S = 0.1


class WaitingLine:
    """First come, first served: only the head of the line tries again; the others sleep.

    `freed` is set when a hold of this instance was settled.
    """

    def __init__(self) -> None:
        self.freed = asyncio.Event()
        self.length = 0
        self._head = asyncio.Lock()

    @asynccontextmanager
    async def place(self, deadline: float) -> AsyncIterator[None]:
        """Stand in line until at its head.

        Raises:
            TimeoutError: `deadline` (the loop's time) came first.
        """
        self.length += 1
        try:
            async with asyncio.timeout_at(deadline):
                await self._head.acquire()
            try:
                yield
            finally:
                self._head.release()
        finally:
            self.length -= 1

    async def look_again(self, attempt: int, deadline: float) -> bool:
        """Sleep until something was freed or it is time to look; False once `deadline` has passed."""
        loop = asyncio.get_running_loop()
        left = deadline - loop.time()
        if left <= 0:
            return False
        pause = min(left, _LONGEST_LOOK_S, _FIRST_LOOK_S * 2**attempt)
        try:
            async with asyncio.timeout(pause):
                await self.freed.wait()
        except TimeoutError:
            pass
        self.freed.clear()
        return True
