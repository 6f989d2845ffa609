"""Where the money went: `/api/v1/spend`. The figures are the ledger's, of the caller's own tenant."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sluicegate.identity.policy import Permission
from sluicegate.identity.principal import Principal
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.money import usd
from sluicegate.ledger.spending import MOST_LINES, PERIODS, GroupBy, SpendQuery, SpendSums
from sluicegate.web.control.callers import Callers
from sluicegate.web.control.parameters import parameters, seconds, whole
from sluicegate.web.control.services import ControlServices

VIEWED = "spend.read"
LINES = 1_000

WHERE = tuple(each.value for each in GroupBy if each not in PERIODS)
_HEADERS = {"cache-control": "private, no-store"}


class SpendPages:
    """Pages that finance reads."""

    def __init__(self, services: ControlServices, callers: Callers) -> None:
        self._spend = services.spend
        self._clock = services.clock
        self._callers = callers

    def routes(self) -> list[Route]:
        """Below `/api/v1`."""
        return [
            Route("/spend", self.report, methods=["GET"]),
            Route("/spend/tasks", self.tasks, methods=["GET"]),
            Route("/spend/models", self.models, methods=["GET"]),
        ]

    async def report(self, request: Request) -> Response:
        """Sums by up to four dimensions, over any time."""
        principal = await self._permitted(request)
        values = parameters(request, ("from", "to", "by", "limit", *WHERE))
        since, until = self._period(values)
        query = SpendQuery(
            since,
            until,
            by=_dimensions(values.get("by", "model")),
            where={GroupBy(name): values[name] for name in WHERE if name in values},
            limit=whole(values, "limit", LINES, most=MOST_LINES) or 0,
        )
        report = await self._spend.report(principal.tenant, query)
        by = [each.value for each in query.by]
        lines = [
            {"groups": dict(zip(by, line.groups, strict=True)), **_sums(line.sums)} for line in report.lines
        ]
        return JSONResponse(
            {
                **_head(principal, since, until),
                "by": by,
                "total": _sums(report.total),
                "lines": lines,
                "truncated": report.truncated,
                "overlaps": query.overlaps,
            },
            headers=_HEADERS,
        )

    async def tasks(self, request: Request) -> Response:
        """What each task cost, in all and by request."""
        principal = await self._permitted(request)
        values = parameters(request, ("from", "to"))
        since, until = self._period(values)
        costs = await self._spend.cost_per_task(principal.tenant, since, until)
        tasks = [
            {"task": each.task, "share_of_cost": each.share_of_cost, **_sums(each.sums)} for each in costs
        ]
        return JSONResponse({**_head(principal, since, until), "tasks": tasks}, headers=_HEADERS)

    async def models(self, request: Request) -> Response:
        """Which models answered, hour by hour, day by day or month by month."""
        principal = await self._permitted(request)
        values = parameters(request, ("from", "to", "per"))
        since, until = self._period(values)
        [per] = _dimensions(values.get("per", "hour"), most=1)
        shares = await self._spend.model_distribution(principal.tenant, since, until, per)
        models = [
            {
                "period": each.period,
                "model": each.model,
                "share_of_requests": each.share_of_requests,
                "share_of_tokens": each.share_of_tokens,
                "share_of_cost": each.share_of_cost,
                **_sums(each.sums),
            }
            for each in shares
        ]
        return JSONResponse(
            {**_head(principal, since, until), "per": per.value, "models": models}, headers=_HEADERS
        )

    async def _permitted(self, request: Request) -> Principal:
        return await self._callers.permitted(request, Permission.VIEW_SPEND, VIEWED)

    def _period(self, values: dict[str, str]) -> tuple[float, float]:
        """From and to; this month so far, where they are not given."""
        now = self._clock.now()
        since, until = seconds(values, "from"), seconds(values, "to")
        if since is None:
            month = datetime.fromtimestamp(now, UTC)
            since = month.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
        # The end is not included; a row written this instant should be.
        until = now + 1 if until is None else until
        if since >= until:
            raise InvalidRequestError("to must be after from", param="to")
        return since, until


def _dimensions(text: str, most: int | None = None) -> tuple[GroupBy, ...]:
    names = text.split(",")
    known = {each.value for each in GroupBy}
    unknown = [name for name in names if name not in known]
    if unknown or (most is not None and len(names) > most):
        raise InvalidRequestError(
            f"by is one or some of {', '.join(known_in_order())}, with commas", param="by"
        )
    return tuple(map(GroupBy, names))


def known_in_order() -> list[str]:
    """All dimensions, as they are declared."""
    return [each.value for each in GroupBy]


def _head(principal: Principal, since: float, until: float) -> dict[str, Any]:
    return {"tenant": principal.tenant, "from": _time(since), "to": _time(until)}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _sums(sums: SpendSums) -> dict[str, Any]:
    return {
        **asdict(sums),
        "tokens": sums.tokens,
        "mean_cost_nano": sums.mean_cost_nano,
        "cost_usd": usd(sums.cost_nano),
    }
