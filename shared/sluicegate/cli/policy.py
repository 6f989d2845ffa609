"""`sluicegate policy check`: read every policy file as the gateway would, and say all that is wrong."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from pydantic import BaseModel

from sluicegate import settings
from sluicegate.cli.output import say, say_json
from sluicegate.identity.policy import IdentityPolicy, RolesPolicy
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.routing.catalogue import load_catalogue

Check = Callable[[PolicySet, str], object]


def _typed(place: str) -> Check:
    """Reads a policy as the type at `place` (`module:Class`), loaded only when asked."""
    module, _, name = place.partition(":")

    def read(policies: PolicySet, policy: str) -> object:
        model: type[BaseModel] = getattr(import_module(f"sluicegate.{module}"), name)
        return policies.load(policy, model)

    return read


def _identity(policies: PolicySet, name: str) -> object:
    policy = policies.load(name, IdentityPolicy)
    policy.check(policies.load("roles", RolesPolicy))
    return policy


def _models(policies: PolicySet, _name: str) -> object:
    return load_catalogue(policies)


CHECKS: Mapping[str, Check] = {
    "roles": _typed("identity.policy:RolesPolicy"),
    "identity": _identity,
    "budgets": _typed("admission.policy:BudgetPolicy"),
    "limits": _typed("admission.policy:LimitPolicy"),
    "models": _models,
    "routing": _typed("routing.policy:RoutingPolicy"),
    "caching": _typed("caching.policy:CachingPolicy"),
    "completions": _typed("completions.pipeline.policy:CompletionsPolicy"),
    "events": _typed("events.policy:DeliveryPolicy"),
    "audit": _typed("audit.policy:AuditPolicy"),
    "alerts": _typed("reliability.policy:AlertPolicy"),
}
"""How each policy file is read. A file without an entry is an error: nothing would heed it."""


def check(args: Namespace) -> int:
    """Check every policy file in force; 2 if any is wrong."""
    config = settings.load(settings.Settings)
    policies = PolicySet(config.sluicegate_policy_dir)
    results = [_result(policies, path) for path in policies.files()]
    wrong = [problem for _, problem in results if problem is not None]
    if args.json:
        files = [{"file": str(path), "ok": problem is None, "problem": problem} for path, problem in results]
        say_json({"ok": not wrong, "version": policies.version(), "files": files})
    else:
        for path, problem in results:
            say(
                f"ok     {path}"
                if problem is None
                else "\n".join(f"wrong  {p}" for p in problem.splitlines())
            )
        say(f"policy version {policies.version()}" if not wrong else f"{len(wrong)} wrong")
    return 2 if wrong else 0


def wrong_policies() -> list[str]:
    """What is wrong with the policy files in force, by file."""
    policies = PolicySet(settings.load(settings.Settings).sluicegate_policy_dir)
    problems = [_result(policies, path)[1] for path in policies.files()]
    return [problem for problem in problems if problem is not None]


def _result(policies: PolicySet, path: Path) -> tuple[Path, str | None]:
    try:
        if path.stem not in CHECKS:
            known = ", ".join(sorted(CHECKS))
            raise ConfigurationError(f"{path}: nothing reads this file; the names are {known}")  # noqa: TRY301
        CHECKS[path.stem](policies, path.stem)
    except ConfigurationError as error:
        return path, error.message
    return path, None
