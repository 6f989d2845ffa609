"""`sluicegate spend`."""

from argparse import Namespace
from dataclasses import asdict
from datetime import UTC, datetime

from sluicegate.cli.context import Local, run
from sluicegate.cli.output import moment, say, say_json, say_table, timestamp
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.money import usd
from sluicegate.ledger.ports import GroupBy


def show(args: Namespace) -> None:
    """Show where the money went."""
    by = GroupBy(args.by)

    async def work(local: Local) -> None:
        now = local.clock.now()
        month = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        since = month.timestamp() if args.since is None else moment(args.since, "--since")
        # The end is not included; a row written this instant should be.
        until = now + 1 if args.until is None else moment(args.until, "--until")
        if until <= since:
            raise InvalidRequestError("--until must be after --since")
        lines = await local.usage.report(args.tenant, by, since, until)
        total = sum(line.cost_nano for line in lines)
        estimated = sum(line.estimated_nano for line in lines)
        if args.json:
            groups = [{**asdict(line), "cost_usd": usd(line.cost_nano)} for line in lines]
            totals = {} if by is GroupBy.TOOL else {"cost_nano": total, "cost_usd": usd(total)}
            period = {"since": timestamp(since), "until": timestamp(until)}
            say_json({"tenant": args.tenant, "by": by.value, **period, **totals, "groups": groups})
            return
        headings = (by.value.upper(), "REQUESTS", "FAILED", "INPUT", "CACHED", "OUTPUT", "USD")
        rows = [
            (
                line.group,
                line.requests,
                line.failures,
                line.input_tokens + line.cache_write_tokens,
                line.cached_input_tokens,
                line.output_tokens,
                usd(line.cost_nano),
            )
            for line in lines
        ]
        say_table(headings, rows, right=headings[1:])
        if by is not GroupBy.TOOL:
            note = f", of it {usd(estimated)} USD estimated" if estimated else ""
            say(f"total {usd(total)} USD since {timestamp(since)}{note}")

    run(args.data, work)
