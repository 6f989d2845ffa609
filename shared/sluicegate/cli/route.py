"""`sluicegate route explain`: which models would answer, and at which test the others fell."""

import random
from argparse import Namespace

from sluicegate import settings
from sluicegate.cli.context import Local, run
from sluicegate.cli.output import say, say_json, say_table
from sluicegate.kernel.clock import SystemClock
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Capability
from sluicegate.kernel.money import nano_from_usd, usd
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.routing.catalogue import Catalogue, load_catalogue
from sluicegate.routing.complexity import load_classifier
from sluicegate.routing.policy import RoutingPolicy
from sluicegate.routing.service import Router
from sluicegate.routing.types import RoutePlan, RouteQuery

FIGURES = ("ABOUT USD", "QUALITY")


def explain(args: Namespace) -> None:
    """Explain a choice, as the gateway would make it now with every provider in good health.

    Raises:
        SluicegateError: what a caller would be told: no such model, none fits, none affordable.
    """

    async def work(local: Local) -> RoutePlan:
        router = _router(local.policies)
        return router.plan(_query(args), unready=_unready(router.catalogue), explain=True)

    plan = run(args.data, work)
    candidates = [
        {
            "model": candidate.model.id,
            "provider": candidate.model.provider,
            "estimated_usd": usd(candidate.estimated_nano),
            "quality": candidate.model.quality_for(args.task),
        }
        for candidate in plan.candidates
    ]
    rejected = [
        {"model": rejection.model, "test": rejection.test, "reason": rejection.reason}
        for rejection in plan.rejections
    ]
    if args.json:
        say_json(
            {
                "strategy": plan.strategy,
                "complexity": plan.complexity,
                "candidates": candidates,
                "rejected": rejected,
            }
        )
        return
    complexity = f", complexity {plan.complexity}" if plan.complexity is not None else ""
    say(f"strategy {plan.strategy}{complexity}; tried in this order:")
    say_table(
        ["MODEL", "PROVIDER", "ABOUT USD", "QUALITY"], [list(each.values()) for each in candidates], FIGURES
    )
    if rejected:
        say("not these:")
        say_table(["MODEL", "FELL AT", "BECAUSE"], [list(each.values()) for each in rejected])


def _router(policies: PolicySet) -> Router:
    policy = policies.load("routing", RoutingPolicy)
    chance = random.Random()  # noqa: S311 - only the latency strategy draws from it
    return Router(
        load_catalogue(policies),
        policy,
        load_classifier(policy.complexity.low_confidence),
        SystemClock(),
        chance,
    )


def _unready(catalogue: Catalogue) -> dict[str, str]:
    needed = {
        name: "GCP_PROJECT_ID" if entry.kind == "vertex" else entry.credential
        for name, entry in catalogue.providers.items()
    }
    return {
        name: f"{setting} is not set"
        for name, setting in needed.items()
        if setting is not None and settings.secret(setting) is None
    }


def _query(args: Namespace) -> RouteQuery:
    try:
        needs = frozenset(Capability(name) for name in (args.needs or ["chat"]))
    except ValueError:
        known = ", ".join(Capability)
        raise InvalidRequestError(f"--needs takes one of {known}") from None
    try:
        limit = None if args.max_cost_usd is None else nano_from_usd(args.max_cost_usd)
    except ValueError as error:
        raise InvalidRequestError(f"--max-cost-usd: {error}") from None
    return RouteQuery(
        model=args.model,
        capabilities=needs,
        input_tokens=args.input_tokens,
        output_tokens=args.output_tokens,
        task=args.task,
        quality=args.quality,
        max_cost_nano=limit,
        prompt=args.prompt,
        strategy=args.strategy,
    )
