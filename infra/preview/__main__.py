"""`scripts/preview STACK`: what the stack comes to, without a cloud account. 1 if a rule is broken."""

import shutil
import sys
from pathlib import Path

from pulumi import automation

from compliance.declared import Stack
from compliance.rules import RULES, violations
from conformance.stack_conformance import all_problems
from preview.alert_table import alerts_page
from preview.cost import cost_page
from preview.diagram import diagram
from preview.doors import doors_page
from preview.iam_matrix import iam_page
from preview.recorder import ROOT, STACKS, record, stack_plan
from preview.resources import resources_page
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.reliability.policy import load_alerts
from stack.config import StackConfigurationError


def main(arguments: list[str]) -> int:
    """Write preview/<stack>/ and say what is wrong."""
    if len(arguments) not in {1, 2} or not (ROOT / f"Pulumi.{arguments[0]}.yaml").is_file():
        sys.stderr.write(f"usage: scripts/preview {'|'.join(STACKS)} [FOLDER]\n")
        return 2
    stack = arguments[0]
    folder = Path(arguments[1]) if len(arguments) == 2 else ROOT / "preview" / stack
    try:
        return preview(stack, folder) or (engine(stack, folder) if shutil.which("pulumi") else 0)
    except (StackConfigurationError, ConfigurationError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def engine(stack: str, folder: Path) -> int:
    """The real engine's own preview, where the `pulumi` command is installed; 1 if it refuses something."""
    from preview.engine import engine_run  # noqa: PLC0415 - brings gRPC's server with it

    try:
        printed, checked = engine_run(stack)
    except automation.CommandError as error:
        sys.stdout.write(f"wrong  the engine refuses: {error}\n")
        return 1
    (folder / "engine.txt").write_text(printed, "utf-8")
    sys.stdout.write(f"  {folder / 'engine.txt'} ({checked} resources checked by the real engine)\n")
    return 0


def preview(stack: str, folder: Path) -> int:
    """The pages of `stack` in `folder`; 1 if a rule is broken or Google would refuse something."""
    plan = stack_plan(stack)
    resources = record(plan).resources
    folder.mkdir(parents=True, exist_ok=True)
    pages = {
        "resources.md": resources_page(plan, resources),
        "iam.md": iam_page(plan, resources),
        "doors.md": doors_page(plan, resources),
        "alerts.md": alerts_page(plan, load_alerts(PolicySet())),
        "cost.md": cost_page(plan, resources),
        "diagram.svg": diagram(plan),
    }
    for name, text in pages.items():
        (folder / name).write_text(text, "utf-8")
    broken = [
        f"{rule}: {found}" for rule, found in violations(Stack(stack, tuple(resources), plan.manifests))
    ]
    refused = all_problems((each.type, each.name, each.inputs) for each in resources)
    sys.stdout.write(
        f"{stack}: {len(resources)} resources, {len(RULES)} rules, {len(broken)} broken, "
        f"{len(refused)} that Google would refuse\n{''.join(f'  {folder / name}{chr(10)}' for name in pages)}"
    )
    for each in (*broken, *refused):
        sys.stdout.write(f"wrong  {each}\n")
    return 1 if broken or refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
