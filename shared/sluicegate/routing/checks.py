"""Asks every provider now and then whether it is there (document A14)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from sluicegate.routing.model_health import ModelHealth
from sluicegate.routing.policy import HealthPolicy

_log = logging.getLogger(__name__)

Check = Callable[[], Awaitable[None]]


class HealthChecks:
    """Runs one check per provider each interval, all at the same time, each within its timeout.

    Args:
        health: takes the results.
        checks: provider name to a coroutine function that raises when the provider is not well. Leave out
            providers that are not set up: a check without a credential says nothing about health.
        policy: interval, timeout and threshold.
    """

    def __init__(self, health: ModelHealth, checks: Mapping[str, Check], policy: HealthPolicy) -> None:
        self._health = health
        self._checks = checks
        self._policy = policy
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin in the background, with a first round after one interval."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop; checks under way are cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def round(self) -> None:
        """Check every provider once."""
        await asyncio.gather(*(self._check(provider, check) for provider, check in self._checks.items()))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._policy.check_interval_s)
            await self.round()

    async def _check(self, provider: str, check: Check) -> None:
        failure: str | None = None
        try:
            async with asyncio.timeout(self._policy.check_timeout_s):
                await check()
        except TimeoutError:
            failure = f"no answer within {self._policy.check_timeout_s:g} s"
        except Exception as error:  # noqa: BLE001 - whatever a check raises means that it failed
            failure = f"{type(error).__name__}: {error}"[:200]
        if failure is not None:
            _log.warning("health check of %s failed: %s", provider, failure)
        self._health.checked(provider, failure)
