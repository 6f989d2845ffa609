"""`./scripts/bench`: compare, print tables, write JSON. Everything runs on 127.0.0.1 and ends with this."""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import cases, peers, report
from benchmarks.load import generator
from benchmarks.machine import Cores, allow_open_files, description, pin
from benchmarks.targets import REPOSITORY, Site

CASES = ("throughput", "latency", "memory", "start", "streams", "profile")


def main() -> int:
    arguments = _arguments()
    # A bench that is told to stop still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if arguments.install:
        peers.install_programs(_say)
    missing = peers.missing_programs()
    if missing:
        _say(f"not installed, and left out or replaced: {', '.join(missing)} (--install gets them)")
    cores = Cores.choose()
    open_files = allow_open_files()
    pin(os.getpid(), cores.rest)
    results: dict[str, Any] = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": description() | {"cores": cores.describe(), "load": generator(), "open_files": open_files},
    }
    for name, value in results["machine"].items():
        print(f"{name:<12}{value}")
    print()
    with tempfile.TemporaryDirectory(prefix="sluicegate-bench-") as folder:
        site = Site(Path(folder), cores)
        cases.run(site, _plan(arguments), results, show=_show, say=_say)
    goals = report.goals(results)
    if goals:
        _show(goals)
    path: Path = arguments.json
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    _say(f"written to {path}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./scripts/bench", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="about three minutes; rough figures")
    size.add_argument("--full", action="store_true", help="a million requests for the memory figure")
    parser.add_argument(
        "--only", action="append", choices=CASES, metavar="NAME", help=f"{', '.join(CASES)}; may be repeated"
    )
    parser.add_argument("--streams", type=int, metavar="N", help="open so many streams (default: 10000)")
    parser.add_argument(
        "--json", type=Path, default=REPOSITORY / "bench-results" / "latest.json", metavar="FILE"
    )
    parser.add_argument(
        "--install", action="store_true", help="get missing programs (apt-get) and peers first"
    )
    return parser.parse_args()


def _plan(arguments: argparse.Namespace) -> cases.Plan:
    chosen = tuple(arguments.only or CASES)
    install = arguments.install or not arguments.quick
    plan = cases.Plan(chosen, install, rounds=5, seconds=6, calls=5_000, requests=200_000, streams=10_000)
    if arguments.quick:
        plan = cases.Plan(chosen, install, rounds=3, seconds=2, calls=1_000, requests=50_000, streams=1_000)
    if arguments.full:
        plan = replace(plan, requests=1_000_000)
    return replace(plan, streams=arguments.streams or plan.streams)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _show(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
