"""How commands of `sluicegate audit` run: on the log of a data folder."""

from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sluicegate.audit.ports import EntryFilter
from sluicegate.cli.context import Local, run
from sluicegate.cli.operator import SOURCE, operator
from sluicegate.cli.output import moment
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.governed import governed_action
from sluicegate.wiring.audit import LocalLog, open_log
from sluicegate.wiring.events import Bus, open_bus


class OpenLog:
    """The data folder, its bus and its log, open."""

    def __init__(self, local: Local, bus: Bus, opened: LocalLog) -> None:
        self.local = local
        self.opened = opened
        self.queries = opened.log.queries
        self._bus = bus

    async def tell(self, tenant: str, action: str, payload: Mapping[str, Any]) -> None:
        """Tell the log what is done here, by whoever is logged in on this machine."""
        at = self.local.clock.now()
        event = governed_action(tenant, action, source=SOURCE, at=at, user=operator().user, payload=payload)
        await self._bus.publisher.publish([event])


def run_on_log(args: Namespace, work: Callable[[OpenLog], Awaitable[None]]) -> None:
    """Run `work` on the log of the data folder that `args` names."""

    async def opened(local: Local) -> None:
        async with (
            open_bus(local.data, local.clock) as bus,
            open_log(local.data, local.policies, local.clock, local.database, bus, local.redis) as log,
        ):
            await work(OpenLog(local, bus, log))

    run(args.data, opened)


def entry_filter(args: Namespace) -> EntryFilter:
    """The filter that was typed.

    Raises:
        InvalidRequestError: a time is none, or they are in the wrong order.
    """
    since = None if args.since is None else round(moment(args.since, "--from") * 1000)
    until = None if args.until is None else round(moment(args.until, "--to") * 1000)
    if since is not None and until is not None and since >= until:
        raise InvalidRequestError("--to must be after --from")
    return EntryFilter(
        since_ms=since,
        until_ms=until,
        user=args.user,
        workspace=args.workspace,
        action=args.action,
        domain=args.domain,
        result=args.result,
    )


def filter_told(wanted: EntryFilter) -> dict[str, object]:
    """What the log keeps of a filter: whom it names stays out, for it would outlive that person's erasure."""
    told = {
        name: getattr(wanted, name)
        for name in ("since_ms", "until_ms", "workspace", "action", "domain", "result")
    }
    told["one_user"] = True if wanted.user is not None else None
    return {name: value for name, value in told.items() if value is not None}
