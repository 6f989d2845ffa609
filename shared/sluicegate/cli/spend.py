"""`sluicegate spend`."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sluicegate.cli.context import Local, run
from sluicegate.cli.output import moment, say, say_json, say_table, timestamp, warn
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.money import usd
from sluicegate.ledger.service import SpendReports
from sluicegate.ledger.spending import PERIODS, GroupBy, ModelShare, SpendQuery, SpendReport, SpendSums


def show(args: Namespace) -> None:
    """Show where the money went, or which models answered."""

    async def work(local: Local) -> None:
        query = _query(args, local.clock.now())
        reports = SpendReports(local.usage)
        if args.distribution:
            per = next((each for each in query.by if each in PERIODS), GroupBy.HOUR)
            _show_distribution(
                args, query, await reports.model_distribution(args.tenant, query.since, query.until, per)
            )
        else:
            _show_report(args, await reports.report(args.tenant, query))

    run(args.data, work)


def _query(args: Namespace, now: float) -> SpendQuery:
    month = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    since = month.timestamp() if args.since is None else moment(args.since, "--since")
    # The end is not included; a row written this instant should be.
    until = now + 1 if args.until is None else moment(args.until, "--until")
    if until <= since:
        raise InvalidRequestError("--until must be after --since")
    by = [GroupBy(name) for name in args.by]
    if args.per is not None:
        by.insert(0, GroupBy(args.per))
    return SpendQuery(since, until, tuple(by), dict(_condition(text) for text in args.where), args.limit)


def _condition(text: str) -> tuple[GroupBy, str | None]:
    name, equals, value = text.partition("=")
    if not equals or name not in set(GroupBy) or name in PERIODS:
        known = ", ".join(each for each in GroupBy if each not in PERIODS)
        raise InvalidRequestError(f"--where: {text[:80]!r} is not NAME=VALUE with a NAME of {known}")
    return GroupBy(name), value or None


def _show_report(args: Namespace, report: SpendReport) -> None:
    query, total = report.query, report.total
    names = [each.value for each in query.by]
    if args.json:
        groups = [
            {
                "group": line.groups[0] if len(names) == 1 else list(line.groups),
                **dict(zip(names, line.groups, strict=True)),
                **_as_json(line.sums),
            }
            for line in report.lines
        ]
        period = {"since": timestamp(query.since), "until": timestamp(query.until)}
        totals = {"cost_nano": total.cost_nano, "cost_usd": usd(total.cost_nano), "total": _as_json(total)}
        say_json(
            {
                "tenant": report.tenant,
                "by": ",".join(names),
                **period,
                **totals,
                "truncated": report.truncated,
            }
            | {"groups": groups}
        )
        return
    headings = [name.upper() for name in names]
    figures = ["REQUESTS", "FAILED", "INPUT", "CACHED", "OUTPUT", "USD", "USD/REQUEST"]
    rows = [(*line.groups, *_figures(line.sums)) for line in report.lines]
    say_table([*headings, *figures], rows, right=figures)
    note = f", of it {usd(total.estimated_nano)} USD estimated" if total.estimated_nano else ""
    say(f"total {usd(total.cost_nano)} USD in {total.requests} requests since {timestamp(query.since)}{note}")
    if report.truncated:
        warn(f"only the first {query.limit} lines are shown; the total is of all (--limit shows more)")
    if query.overlaps:
        warn("a request that used several tools stands in several lines")


def _show_distribution(args: Namespace, query: SpendQuery, shares: Sequence[ModelShare]) -> None:
    if args.json:
        found = [
            {
                "period": each.period, "model": each.model, "share_of_requests": each.share_of_requests,
                "share_of_tokens": each.share_of_tokens, "share_of_cost": each.share_of_cost,
                **_as_json(each.sums),
            }
            for each in shares
        ]  # fmt: skip
        period = {"since": timestamp(query.since), "until": timestamp(query.until)}
        say_json({"tenant": args.tenant, **period, "models": found})
        return
    figures = ["REQUESTS", "OF REQUESTS", "OF TOKENS", "OF COST", "USD"]
    rows = [
        (
            each.period,
            each.model,
            each.sums.requests,
            f"{each.share_of_requests:.1%}",
            f"{each.share_of_tokens:.1%}",
            f"{each.share_of_cost:.1%}",
            usd(each.sums.cost_nano),
        )
        for each in shares
    ]
    say_table(["PERIOD", "MODEL", *figures], rows, right=figures)


def _figures(sums: SpendSums) -> tuple[object, ...]:
    return (
        sums.requests,
        sums.failures,
        sums.input_tokens + sums.cache_write_tokens,
        sums.cached_input_tokens,
        sums.output_tokens,
        usd(sums.cost_nano),
        usd(sums.mean_cost_nano),
    )


def _as_json(sums: SpendSums) -> dict[str, Any]:
    return {
        **asdict(sums),
        "cost_usd": usd(sums.cost_nano),
        "cost_per_request_usd": usd(sums.mean_cost_nano),
    }
