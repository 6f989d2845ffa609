"""`scripts/deploy STACK`: release the checked-out commit; `--back FUNCTION=REVISION …` returns to others."""

import argparse
import sys

from preview.recorder import STACKS, stack_plan
from rollout.commands import CommandFailedError, Machine
from rollout.release import CANARY_SECONDS, Release, ReleaseFailedError
from sluicegate.kernel.errors import ConfigurationError
from stack.config import StackConfigurationError


def main(arguments: list[str]) -> int:
    """0 when the release serves everybody, 1 when it was taken back, 2 when nothing was done."""
    parser = argparse.ArgumentParser(prog="scripts/deploy", description=__doc__)
    parser.add_argument("stack", choices=STACKS)
    parser.add_argument("--canary-seconds", type=int, default=CANARY_SECONDS)
    parser.add_argument("--back", nargs="+", metavar="FUNCTION=REVISION")
    given = parser.parse_args(arguments)
    machine = Machine()
    try:
        release = Release(stack_plan(given.stack), given.stack, machine, given.canary_seconds)
        if given.back:
            release.go_back(dict(each.split("=", 1) for each in given.back))
        else:
            release.deploy(machine.run("git", "rev-parse", "HEAD"))
    except ReleaseFailedError as error:
        machine.say(f"taken back: {error}")
        return 1
    except (CommandFailedError, StackConfigurationError, ConfigurationError) as error:
        machine.say(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
