"""`sluicegate doctor`: what is reachable, permitted, fresh and expired, and the command that mends it."""

import asyncio
from argparse import Namespace
from dataclasses import asdict

from sluicegate.cli.output import say, say_json, say_table
from sluicegate.cli.policy import wrong_policies
from sluicegate.wiring.diagnosis import diagnose
from sluicegate.wiring.findings import Finding


def examine(args: Namespace) -> int:
    """Say how everything is; 1 if something is wrong."""
    found = [*asyncio.run(diagnose(args.data, offline=args.offline)), *_policies()]
    wrong = sum(each.state == "wrong" for each in found)
    warnings = sum(each.state == "warning" for each in found)
    if args.json:
        say_json({"ok": not wrong, "findings": [asdict(each) for each in found]})
    else:
        say_table(("STATE", "ABOUT", "FOUND"), [(each.state, each.about, each.says) for each in found])
        mends = [each for each in found if each.mend is not None and each.state != "ok"]
        if mends:
            say("")
        for each in mends:
            say(f"to mend {each.about}: {each.mend}")
        say(f"{wrong} wrong, {warnings} to be looked at")
    return 1 if wrong else 0


def _policies() -> list[Finding]:
    return [
        Finding("policies", "wrong", line, "edit the file, then sluicegate policy check")
        for problem in wrong_policies()
        for line in problem.splitlines()
    ] or [Finding("policies", "ok", "all can be read")]
