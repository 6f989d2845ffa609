"""The Pulumi policy pack: `pulumi preview --policy-pack infra/policies`. The rules are infra/compliance."""

import sys
from pathlib import Path

from pulumi_policy import (  # type: ignore[import-not-found] # the pack has an environment of its own
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    StackValidationArgs,
    StackValidationPolicy,
)

_INFRA = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_INFRA), str(_INFRA.parent / "shared")]

from policies.pack import environment_of, named_rules, stack_of  # noqa: E402 - found by the line above


def _policy(name: str, description: str) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        declared = [(each.resource_type, each.name, each.props) for each in args.resources]
        stack = stack_of(declared, environment_of(declared), _INFRA.parent / "functions")
        for problem in named_rules()[name](stack):
            report(problem)

    return StackValidationPolicy(
        name=name, description=description, enforcement_level=EnforcementLevel.MANDATORY, validate=validate
    )


PolicyPack(
    name="sluicegate",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[
        _policy(name, (rule.__doc__ or name).partition("\n")[0]) for name, rule in named_rules().items()
    ],
)
