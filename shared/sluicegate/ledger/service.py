"""Where the money went: reports over the ledger. The tenant comes first, always, and sees its own only."""

from collections.abc import Sequence

from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.ledger.ports import UsageStore
from sluicegate.ledger.spending import (
    MOST_LINES,
    PERIODS,
    GroupBy,
    ModelShare,
    SpendQuery,
    SpendReport,
    SpendSums,
    TaskCost,
)


class SpendReports:
    """Spending by any dimension over any time.

    Everything raises DependencyUnavailableError while the ledger is away.
    """

    def __init__(self, usage: UsageStore) -> None:
        self._usage = usage

    async def report(self, tenant: str, query: SpendQuery) -> SpendReport:
        """The sums that `query` asks for, and their total."""
        return await self._usage.report(tenant, query)

    async def cost_per_task(self, tenant: str, since: float, until: float) -> Sequence[TaskCost]:
        """What each task cost within [since, until), the dearest first.

        `sums.mean_cost_nano` is what one request of the task cost.
        """
        report = await self.report(tenant, SpendQuery(since, until, (GroupBy.TASK,), limit=MOST_LINES))
        total = report.total.cost_nano
        return [
            TaskCost(line.groups[0], line.sums, _share(line.sums.cost_nano, total)) for line in report.lines
        ]

    async def model_distribution(
        self, tenant: str, since: float, until: float, per: GroupBy = GroupBy.HOUR
    ) -> Sequence[ModelShare]:
        """Which models answered, period by period: their parts of requests, tokens and cost.

        Raises:
            InvalidRequestError: `per` is no period, or there is more than one answer can hold.
        """
        if per not in PERIODS:
            raise InvalidRequestError("'per' must be hour, day or month", param="per")
        report = await self.report(tenant, SpendQuery(since, until, (per, GroupBy.MODEL), limit=MOST_LINES))
        if report.truncated:
            raise InvalidRequestError(
                f"more than {MOST_LINES} periods and models: ask for less time, or for days or months",
                param="since",
            )
        totals: dict[str, list[int]] = {}
        for line in report.lines:
            total = totals.setdefault(str(line.groups[0]), [0, 0, 0])
            for index, amount in enumerate(_amounts(line.sums)):
                total[index] += amount
        return [
            ModelShare(
                period, str(line.groups[1]), line.sums, *map(_share, _amounts(line.sums), totals[period])
            )
            for line in report.lines
            for period in (str(line.groups[0]),)
        ]


def _amounts(sums: SpendSums) -> tuple[int, int, int]:
    return sums.requests, sums.tokens, sums.cost_nano


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
