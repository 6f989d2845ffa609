"""How commands run: on an open data folder."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from sluicegate.wiring.local import Local, open_local

__all__ = ["Local", "run"]

T = TypeVar("T")


def run(data: Path | None, work: Callable[[Local], Awaitable[T]]) -> T:
    """What `work` makes of the data folder `data`, open meanwhile; None: as `open_local`."""

    async def opened() -> T:
        async with open_local(data) as local:
            return await work(local)

    return asyncio.run(opened())
