"""What may happen to a Redis while requests are under way."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from exactness_rig.estate import Estate

Fault = Callable[[Estate], Awaitable[None]]


def silence(after_s: float, seconds: float) -> Fault:
    """It stops answering for a while, and then goes on where it was."""

    async def fault(estate: Estate) -> None:
        await asyncio.sleep(after_s)
        process = _redis(estate)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    return fault


def flush(after_s: float) -> Fault:
    """It forgets everything between two commands."""

    async def fault(estate: Estate) -> None:
        await asyncio.sleep(after_s)
        client = estate.client()
        try:
            await client.execute("FLUSHALL")
        finally:
            await client.close()

    return fault


def restart_empty(after_s: float, away_s: float) -> Fault:
    """It is killed, is away for a while, and comes back with nothing."""

    async def fault(estate: Estate) -> None:
        await asyncio.sleep(after_s)
        process = _redis(estate)
        process.kill()
        await process.wait()
        await asyncio.sleep(away_s)
        await estate.start_redis()

    return fault


def one_after_the_other(*faults: Fault) -> Fault:
    """Each when the one before it is over."""

    async def fault(estate: Estate) -> None:
        for each in faults:
            await each(estate)

    return fault


def _redis(estate: Estate) -> asyncio.subprocess.Process:
    if estate.redis is None:
        raise RuntimeError("there is no Redis to harm")
    return estate.redis
