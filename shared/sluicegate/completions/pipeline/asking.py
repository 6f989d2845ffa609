"""Asking: one candidate after another until one answers, with retries before the first byte."""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace

from sluicegate.completions.pipeline.attempt import Attempt, AttemptFailedError, Opened, Whole
from sluicegate.completions.pipeline.completion import Completion
from sluicegate.completions.pipeline.settlement import charge_try
from sluicegate.kernel.errors import OverloadedError, SluicegateError
from sluicegate.kernel.models import Usage
from sluicegate.routing.model_health import Trial
from sluicegate.routing.retry import (
    AttemptState,
    Fallback,
    GiveUp,
    Outcome,
    Retry,
    RetryBudget,
    hedge_after,
    next_step,
)
from sluicegate.routing.service import Router

log = logging.getLogger(__name__)

_RESTING = "the model has failed repeatedly and is left alone for a moment"
_REMEMBERED_HEDGES = 1_000


class FallBackError(Exception):
    """The present candidate is given up for the next. `error` is what to say if there is none."""

    def __init__(self, error: SluicegateError) -> None:
        super().__init__(error.message)
        self.error = error


class Asker:
    """Asks the candidates of a completion's plan.

    Args:
        change_model: moves a completion's hold to the price and counters of its plan's nth candidate,
            before that is asked; False: the budgets do not pay it.
        hold_twin: the same for a hedge, which holds money beside the first model's hold.
        forfeit: charges the hold of the one that a hedge was faster than.
        hold_again: after a try that was charged, makes room in the hold for another at the same model;
            False: the budgets do not pay it.
    """

    def __init__(
        self,
        attempt: Attempt,
        router: Router,
        *,
        change_model: Callable[[Completion, int], Awaitable[bool]],
        hold_twin: Callable[[Completion, int], Awaitable[bool]],
        forfeit: Callable[[Completion], Awaitable[None]],
        hold_again: Callable[[Completion, Usage], Awaitable[bool]],
    ) -> None:
        self._attempt = attempt
        self._router = router
        self._change_model = change_model
        self._hold_twin = hold_twin
        self._forfeit = forfeit
        self._hold_again = hold_again
        self._deadlines = router.policy.deadlines
        retry = router.policy.retry
        self._budget = RetryBudget(retry.budget_ratio, retry.budget_minimum, retry.budget_window_s)
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret
        self._hedged: deque[bool] = deque(maxlen=_REMEMBERED_HEDGES)

    async def ask(self, completion: Completion) -> Whole | Opened:
        """The first answer that is one.

        Raises:
            SluicegateError: nobody answered; the last provider's failure as the client may see it.
        """
        deadline = completion.inbound.started + self._deadlines.total_s
        index = 0
        self._budget.request(time.monotonic())
        while True:
            trial = self._router.begin(completion.model.id)
            try:
                if trial is not None and self._router.policy.hedge.enabled and index == 0:
                    return await self._ask_hedged(completion, trial, deadline)
                if trial is not None:
                    return await self._ask_model(completion, trial, index, deadline)
                error: SluicegateError = OverloadedError(_RESTING, retry_after=1)
            except FallBackError as fallback:
                error = fallback.error
            finally:
                if trial is not None:
                    self._router.end(trial)
            index = await self._next_model(completion, index, error)

    async def _ask_model(
        self, completion: Completion, trial: Trial, index: int, deadline: float
    ) -> Whole | Opened:
        """Ask the present candidate, again where policy says so.

        Raises:
            FallBackError: another candidate is to be asked.
            SluicegateError: none is.
        """
        tries = 0
        while True:
            tries += 1
            try:
                return await self._attempt.make(completion, trial, deadline)
            except AttemptFailedError as failure:
                completion.error = failure.error.code
                used = failure.used
                if used is not None:
                    charge_try(completion, used)
                completion.inbound.departure.check()
                step = self._next_step(completion, failure.outcome, tries, index, deadline)
                error = failure.error
            if isinstance(step, GiveUp):
                raise error
            if not isinstance(step, Retry):
                raise FallBackError(error)
            if used is not None and not await self._hold_again(completion, used):
                raise error
            self._budget.withdraw(time.monotonic())
            await asyncio.sleep(step.delay_s)

    def _next_step(
        self, completion: Completion, outcome: Outcome, tries: int, index: int, deadline: float
    ) -> Retry | Fallback | GiveUp:
        state = AttemptState(
            attempts=completion.attempts,
            on_model=tries,
            candidates_left=len(completion.plan.candidates) - index - 1,
            remaining_s=deadline - time.perf_counter(),
        )
        step = next_step(
            state,
            outcome,
            self._router.policy.retry,
            rng=self._rng,
            budget_available=self._budget.available(time.monotonic()),
        )
        if not isinstance(step, Retry) and step.alert:
            log.error(
                "a provider refuses this gateway; check its credential and model name",
                extra={"model": completion.model.id, "status": outcome.status},
            )
        return step

    async def _next_model(self, completion: Completion, index: int, error: SluicegateError) -> int:
        """Move on to the next candidate that the budgets pay; raise `error` when there is none."""
        for following in range(index + 1, len(completion.plan.candidates)):
            if await self._change_model(completion, following):
                return following
        raise error from None

    async def _ask_hedged(self, completion: Completion, trial: Trial, deadline: float) -> Whole | Opened:
        """Ask the first candidate and, when it stays silent for long, the second beside it.

        The faster one answers. What the slower one may have produced cannot be known: it is charged at
        its held amount, flagged estimated.
        """
        ratio = sum(self._hedged) / len(self._hedged) if self._hedged else 0.0
        others, left = len(completion.plan.candidates) - 1, deadline - time.perf_counter()
        after_s = hedge_after(self._router.policy.hedge, ratio, others, left)
        self._hedged.append(False)
        if after_s is None:
            return await self._ask_model(completion, trial, 0, deadline)
        first = asyncio.ensure_future(self._ask_model(completion, trial, 0, deadline))
        second: asyncio.Future[Whole | Opened] | None = None
        twin_trial: Trial | None = None
        try:
            await asyncio.wait({first}, timeout=after_s)
            twin = replace(
                completion, grant=None, usage=Usage(), spent=Usage(), spent_nano=0, attempts=0, span=None
            )
            if first.done() or not await self._hold_twin(twin, 1):
                return await first
            twin_trial = self._router.begin(twin.model.id)
            if twin_trial is None:
                await self._forfeit(twin)
                return await first
            self._hedged[-1] = True
            second = asyncio.ensure_future(self._ask_model(twin, twin_trial, 1, deadline))
            await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
            if first.done() and first.exception() is None:
                await self._leave(twin, second)
                return first.result()
            if not second.done() or second.exception() is not None:
                return await self._either(completion, twin, first, second)
            return await self._take_over(completion, twin, first, second)
        finally:
            for task in (first, second):
                if task is not None and not task.done():
                    task.cancel()
            if twin_trial is not None:
                self._router.end(twin_trial)

    async def _either(
        self,
        completion: Completion,
        twin: Completion,
        first: "asyncio.Future[Whole | Opened]",
        second: "asyncio.Future[Whole | Opened]",
    ) -> Whole | Opened:
        """One of the two has failed: the other decides. Both failed: the first one's failure counts."""
        try:
            answer = await first
        except (FallBackError, SluicegateError) as error:
            try:
                await second
            except (FallBackError, SluicegateError):
                await self._forfeit(twin)
                raise (error.error if isinstance(error, FallBackError) else error) from None
            return await self._take_over(completion, twin, first, second)
        await self._leave(twin, second)
        return answer

    async def _take_over(
        self,
        completion: Completion,
        twin: Completion,
        first: "asyncio.Future[Whole | Opened]",
        second: "asyncio.Future[Whole | Opened]",
    ) -> Whole | Opened:
        """The second was faster: `completion` goes on as its twin."""
        slower = replace(completion)
        for each in fields(completion):
            setattr(completion, each.name, getattr(twin, each.name))
        completion.attempts += slower.attempts
        completion.span = slower.span
        await self._leave(slower, first)
        return second.result()

    async def _leave(self, loser: Completion, asked: "asyncio.Future[Whole | Opened]") -> None:
        """Stop asking for `loser` and settle what that may have cost."""
        asked.cancel()
        await asyncio.wait({asked})
        if not asked.cancelled() and asked.exception() is None:
            answer = asked.result()
            if isinstance(answer, Opened):
                answer.reply.close()
        await self._forfeit(loser)
