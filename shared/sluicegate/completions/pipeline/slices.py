"""Holding money slice by slice: a long stream's hold grows before what it produces uses it up."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sluicegate.admission.service import AdmissionService
from sluicegate.completions.pipeline.completion import Completion
from sluicegate.completions.types import StreamMeter
from sluicegate.kernel.errors import BudgetExceededError
from sluicegate.kernel.models import Model

_CUT_SHORT = "the budget ran out while this answer was being written; it was cut short"

BURSTS_REMEMBERED_S = 300.0
"""A burst enlarges the slices of its model for this long at least, and at most twice as long."""


@dataclass(slots=True)
class _Bursts:
    """The most tokens that one read of a model brought, in this period and the one before it."""

    until: float
    now: int = 0
    before: int = 0


class Slices:
    """How much each model's streams hold at a time, and the growing of their holds.

    A slice is what policy says or, where a model has lately sent more than a quarter of that between two
    reads, four times as much as it sent. What a provider has sent is billed before anybody can look at it, so
    only a model whose bursts are small against its slices can be stopped in time.

    Args:
        slice_tokens: the least slice, output tokens.
        clock: seconds of a monotonic clock.
    """

    def __init__(
        self, admission: AdmissionService, slice_tokens: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._admission = admission
        self._least = slice_tokens
        self._clock = clock
        self._bursts: dict[str, _Bursts] = {}

    def tokens(self, model: Model) -> int:
        """The slice of `model`, output tokens of all choices together."""
        bursts = self._bursts.get(model.id)
        if bursts is None:
            return self._least
        self._turn(bursts)
        return max(self._least, 4 * max(bursts.now, bursts.before))

    def follow(self, completion: Completion, seen: int = 0) -> "Followed | None":
        """To be asked after each read of a stream of which `seen` tokens are known; None: no need to ask.

        A stream that may be longer than the least slice is followed even if all of it is held, as after
        bursts: it shows whether they go on.
        """
        if completion.cap * completion.facts.choices <= self._least and not completion.size.sliced:
            return None
        return Followed(self, completion, seen)

    def note(self, model: Model, tokens: int) -> None:
        """One read brought `tokens` output tokens."""
        if 4 * tokens <= self._least:
            return
        bursts = self._bursts.get(model.id)
        if bursts is None:
            bursts = self._bursts[model.id] = _Bursts(self._clock() + BURSTS_REMEMBERED_S)
        self._turn(bursts)
        bursts.now = max(bursts.now, tokens)

    def _turn(self, bursts: _Bursts) -> None:
        now = self._clock()
        if now >= bursts.until:
            late = now >= bursts.until + BURSTS_REMEMBERED_S
            bursts.before, bursts.now = 0 if late else bursts.now, 0
            bursts.until = now + BURSTS_REMEMBERED_S

    async def reach(self, completion: Completion, produced: int) -> bool:
        """Keep the hold ahead of `produced` output tokens; False: it cannot be, and the stream must end.

        More is asked for once three quarters of a slice are left, and the stream goes on without it until
        half of one is: a quarter for the read that shows it, one for what comes while the provider stops.

        Raises:
            DependencyUnavailableError: the store is away.
        """
        grant, size, facts = completion.grant, completion.size, completion.facts
        if grant is None:
            return True
        prices, most = completion.model.prices, completion.cap * facts.choices
        before = completion.spent.total_tokens + size.input_bound
        paid = prices.affordable_output(
            grant.held_nano - completion.spent_nano, size.input_bound, facts.images
        )
        reserved = grant.held_tokens - before
        paid = reserved if paid is None else min(paid, reserved)
        a_slice = self.tokens(completion.model)
        if paid >= most or produced + 3 * a_slice // 4 <= paid:
            return True
        target = min(most, max(paid, produced) + a_slice)
        # Not so many times the price of a token: a long prompt may make the output dearer.
        nano = completion.spent_nano + prices.hold(size.input_bound, target, facts.images) - grant.held_nano
        if await self._admission.grow(grant, max(0, nano), max(0, before + target - grant.held_tokens)):
            return True
        return produced + a_slice // 2 <= paid


class Followed:
    """One stream, as its reads come."""

    __slots__ = ("_completion", "_seen", "_slices")

    def __init__(self, slices: Slices, completion: Completion, seen: int) -> None:
        self._slices = slices
        self._completion = completion
        self._seen = seen

    async def read(self, meter: StreamMeter) -> None:
        """Something was read.

        Raises:
            BudgetExceededError: what may come next is not held for, and the stream must end.
            DependencyUnavailableError: the store is away.
        """
        completion, produced = self._completion, meter.produced_tokens
        self._slices.note(completion.model, produced - self._seen)
        self._seen = produced
        if not completion.size.sliced or meter.finished or meter.failed is not None:
            return
        if not await self._slices.reach(completion, produced):
            raise BudgetExceededError(_CUT_SHORT)
