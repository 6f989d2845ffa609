"""`sluicegate budget show|set`."""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sluicegate.admission.counters import Counter, compile_counters
from sluicegate.admission.errors import StoreUnavailable
from sluicegate.admission.override_administration import OverrideAdministration
from sluicegate.admission.overrides import BudgetOverride
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy, Scope
from sluicegate.admission.types import Subject
from sluicegate.cli.context import Local, run
from sluicegate.cli.operator import operator
from sluicegate.cli.output import say, say_json, say_table, timestamp, warn
from sluicegate.kernel.errors import DependencyUnavailableError, InvalidRequestError
from sluicegate.kernel.money import nano_from_usd, usd
from sluicegate.kernel.tenancy import checked_name

_NAME_LENGTH = 256


@dataclass(frozen=True, slots=True)
class _Line:
    """One budget. `live` tells Redis's figures, which know holds, from the ledger's, which do not."""

    counter: Counter
    settled_nano: int
    held_nano: int
    live: bool
    overridden: bool


def show(args: Namespace) -> None:
    """Show every budget in force for the tenant."""

    async def work(local: Local) -> None:
        lines = await _lines(local, args.tenant)
        if args.json:
            say_json([_as_json(line) for line in lines])
            return
        headings = ("SCOPE", "NAME", "PERIOD", "LIMIT USD", "SPENT", "HELD", "LEFT", "ENDS", "SET BY")
        rows = [
            (
                line.counter.scope,
                line.counter.name,
                line.counter.period.value,
                usd(line.counter.limit),
                usd(line.settled_nano),
                usd(line.held_nano) if line.live else None,
                usd(line.counter.limit - line.settled_nano - line.held_nano),
                timestamp(line.counter.instance.end or None),
                "operator" if line.overridden else "policy",
            )
            for line in lines
        ]
        say_table(headings, rows, right=("LIMIT USD", "SPENT", "HELD", "LEFT"))
        if not all(line.live for line in lines):
            warn("no running server's Redis was found: the figures are the ledger's, without what is held")

    run(args.data, work)


def set_limit(args: Namespace) -> None:
    """Set a limit over the policy's, or take it back."""
    override = _override(args.budget, args.period, args.limit)

    async def work(local: Local) -> None:
        setting = OverrideAdministration(local.overrides, local.clock, local.bus.publisher)
        await setting.set(args.tenant, override, by=operator())
        announced = await _announce(local, args.tenant)
        limit = None if override.limit_nano is None else usd(override.limit_nano)
        if args.json:
            place = {"tenant": args.tenant, "scope": override.scope, "name": override.name}
            say_json({**place, "period": override.period, "limit_usd": limit, "announced": announced})
        else:
            what = "the policy's limit" if limit is None else f"{limit} USD"
            say(
                f"{override.scope}/{override.name} may spend {what} per {override.period}".replace(
                    "per total", "in all"
                )
            )
        if not announced:
            warn("running instances could not be told; they notice by themselves within seconds")

    run(args.data, work)


def _override(budget: str, period: str, limit: str) -> BudgetOverride:
    scope, slash, name = budget.partition("/")
    if not slash or scope not in set(Scope):
        raise InvalidRequestError(
            f"{budget[:80]!r} is not SCOPE/NAME such as workspace/growth; scopes are {', '.join(Scope)}"
        )
    try:
        # A model's id may have any characters; all other names are ours.
        if name != "*" and scope != Scope.MODEL:
            checked_name(name, scope)
        _check_printable(scope, name)
        return BudgetOverride(scope, name, period, None if limit == "policy" else nano_from_usd(limit))
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None


def _check_printable(scope: str, name: str) -> None:
    if len(name) > _NAME_LENGTH or not name.isprintable() or "|" in name:
        raise ValueError(
            f"{scope} {name[:80]!r} must be at most {_NAME_LENGTH} printable characters, without '|'"
        )


async def _announce(local: Local, tenant: str) -> bool:
    if local.server is None:
        return False
    try:
        await local.server.announcements.overrides_changed(tenant)
    except DependencyUnavailableError:
        return False
    return True


async def _lines(local: Local, tenant: str) -> list[_Line]:
    budgets = local.policies.load("budgets", BudgetPolicy)
    overrides = await local.overrides.overrides(tenant)
    now = local.clock.now()
    counters: dict[str, Counter] = {}
    for subject in await _subjects(local, tenant, budgets, overrides):
        for counter in compile_counters(subject, budgets, LimitPolicy(), overrides, now).money:
            if counter.name:  # a subject made up for one name has none for the other scopes
                counters.setdefault(counter.id, counter)
    found = sorted(
        counters.values(), key=lambda c: (list(Scope).index(Scope(c.scope)), c.name, c.instance.end)
    )
    live = await _live(local, tenant, found)
    set_by = {(each.scope, each.name, each.period) for each in overrides}
    lines = []
    for counter, amounts in zip(found, live or [None] * len(found), strict=True):
        since, until = counter.instance.start, counter.instance.end or now + 1
        settled = (await local.usage.spent(tenant, counter.scope, counter.name, since, until))[0]
        held = 0
        if amounts is not None:
            settled, held = amounts[1], amounts[0] - amounts[1]
        overridden = any(
            (counter.scope, name, counter.period.value) in set_by for name in (counter.name, "*")
        )
        lines.append(_Line(counter, settled, held, live is not None, overridden))
    return lines


async def _subjects(
    local: Local, tenant: str, budgets: BudgetPolicy, overrides: Sequence[BudgetOverride]
) -> list[Subject]:
    """Subjects that together fall under every budget that can be named: each key's, and each rule's."""
    # Keys in use first: of two that disagree on a workspace's plan, theirs counts.
    keys = sorted(await local.key_store.keys(tenant), key=lambda key: key.revoked_at is not None)
    subjects = [
        Subject(tenant, key.workspace, key.user, key.id, "", plan=key.plan, timezone=key.timezone)
        for key in keys
    ]
    named = [(rule.scope.value, rule.name) for rule in budgets.budgets]
    named += [(each.scope, each.name) for each in overrides]
    return subjects + list(_named_subjects(tenant, [pair for pair in named if pair[1] != "*"], subjects))


def _named_subjects(
    tenant: str, named: Sequence[tuple[str, str]], known: Sequence[Subject]
) -> Iterator[Subject]:
    for scope, name in dict.fromkeys(named):
        if any(getattr(subject, scope, None) == name for subject in known):
            continue
        empty = Subject(tenant, workspace="", user="", key="", model="")
        if scope == Scope.TOOL:
            yield replace(empty, tools=(name,))
        elif scope != Scope.TENANT:
            # The scopes but for tools are the names of text fields.
            yield replace(empty, **{scope: name})  # type: ignore[arg-type]


async def _live(
    local: Local, tenant: str, counters: Sequence[Counter]
) -> Sequence[tuple[int, int] | None] | None:
    """(Committed, settled) per counter, None for one not used yet; None where Redis cannot be asked."""
    if local.server is None:
        return None
    try:
        return await local.server.budgets.read(tenant, counters)
    except (StoreUnavailable, DependencyUnavailableError):
        return None


def _as_json(line: _Line) -> dict[str, object]:
    counter = line.counter
    return {
        "scope": counter.scope,
        "name": counter.name,
        "period": counter.period.value,
        "period_start": timestamp(counter.instance.start),
        "period_end": timestamp(counter.instance.end or None),
        "limit_usd": usd(counter.limit),
        "settled_usd": usd(line.settled_nano),
        "held_usd": usd(line.held_nano) if line.live else None,
        "live": line.live,
        "overridden": line.overridden,
    }
