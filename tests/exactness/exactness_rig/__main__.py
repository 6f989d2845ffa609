"""The full sizes: `python -m exactness_rig [NAME ...] [--json FILE]`; prints tables, status 1 on a fault."""

import argparse
import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

from exactness_rig.asks import STREAMS, Mix
from exactness_rig.faults import Fault, flush, restart_empty, silence
from exactness_rig.policies import Money
from exactness_rig.trial import Outcome, Plan, as_json, run_trial

_FULL = Plan(gateways=4, alpha=160, beta=96, money=Money("0.9", "1.6", "0.15"), seconds=150, lifetime_s=5)
# Token by token: never as much at once as a quarter of a slice. And as they come, all at once too.
_BURSTS = replace(STREAMS, paced=False)

# Short answers from few instances: so many of a kind at once that most are admitted from leases.
_QUICK = Mix(
    plain=80, stream=8, leave=4, leave_whole=2, retry=2, fallback=2, cut=1, error=1, stall=0, garbage=0,
    extras=0, delay_ms=(0.0, 0.5),
)  # fmt: skip
_BUSY = replace(_FULL, gateways=2, mix=_QUICK)

TRIALS: dict[str, tuple[Plan, Fault | None]] = {
    "load": (_FULL, None),
    "kills": (replace(_FULL, kill_every_s=2, seed=3), None),
    "busy": (_BUSY, None),
    "busy kills": (replace(_BUSY, kill_every_s=2, seed=3), None),
    "slices": (replace(_FULL, slice_tokens=128, mix=STREAMS, alpha=60, beta=36), None),
    "bursts": (replace(_FULL, slice_tokens=128, mix=_BURSTS, alpha=60, beta=36), None),
    "embedded": (replace(_FULL, redis="embedded", gateways=2, alpha=40, beta=24), None),
    "silent": (_FULL, silence(4, 3)),
    "flushed": (_FULL, flush(6)),
    "restarted": (_FULL, restart_empty(6, 2)),
    "open": (replace(_FULL, on_unavailable="open"), silence(4, 3)),
}


def _excess(outcome: Outcome) -> int:
    return sum(each.charged - each.produced for each in outcome.reckoning.estimates.values())


_ROWS = (
    ("seconds", lambda o: f"{o.seconds:.0f}"),
    ("requests", lambda o: o.seen.calls),
    ("clients gone early", lambda o: o.seen.left),
    ("gateways killed", lambda o: o.killed),
    ("samples", lambda o: f"{o.samples['samples']} ({o.samples['samples'] / o.samples['seconds']:.0f}/s)"),
    ("over a limit", lambda o: len(o.samples["over_limit"])),
    ("committed != settled + held", lambda o: len(o.samples["unequal"])),
    ("requests held for, most", lambda o: o.samples["most_holds"]),
    ("leases at once, most", lambda o: o.samples["most_leases"]),
    ("longest past a deadline, s", lambda o: f"{o.samples['late_ms'] / 1000:.1f}"),
    ("tenant's budget used", lambda o: f"{o.used('tenant'):.4%}"),
    ("charged, nano-dollars", lambda o: o.reckoning.charged),
    ("produced, nano-dollars", lambda o: o.reckoning.produced),
    ("certain rows", lambda o: o.reckoning.certain_rows),
    ("... of them wrong", lambda o: len(o.reckoning.wrong)),
    ("estimated rows, exact", lambda o: sum(e.exact for e in o.reckoning.estimates.values())),
    ("estimated rows, not exact", lambda o: sum(e.rows - e.exact for e in o.reckoning.estimates.values())),
    ("... charged beyond produced", _excess),
    ("settled above their hold", lambda o: len(o.beyond)),
    ("... by, nano-dollars", lambda o: sum(o.beyond)),
    ("rows for dead owners", lambda o: o.reckoning.reaped_rows),
    ("... charged", lambda o: o.reckoning.reaped),
    ("... produced", lambda o: o.reckoning.unrecorded),
    ("Redis and ledger differ", lambda o: len(o.reckoning.unequal)),
    ("holds left", lambda o: o.reckoning.holds),
    ("503 answers", lambda o: len(o.seen.unavailable_s)),
    ("answers that should not be", lambda o: len(o.seen.bad) + len(o.trouble)),
)  # fmt: skip


def verdict(outcome: Outcome) -> list[str]:
    """What is wrong; nothing, it is to be hoped."""
    reckoning, samples = outcome.reckoning, outcome.samples
    faults = {
        "a limit was passed": outcome.plan.on_unavailable == "closed" and samples["over_limit"],
        "counters do not add up": samples["unequal"],
        "a certain row is wrong": reckoning.wrong,
        "Redis and the ledger differ": reckoning.unequal,
        "a request was recorded twice": reckoning.twice,
        "holds are left": reckoning.holds,
        "less than 99 % was used": outcome.used("tenant") < 0.99,
        "dead owners were charged too little": reckoning.reaped < reckoning.unrecorded,
        "more was settled than held": outcome.plan.mix.paced and outcome.beyond,
        "answers that should not be": outcome.seen.bad or outcome.trouble,
    }
    return [f"{name}: {found}"[:500] for name, found in faults.items() if found]


def main() -> int:
    parser = argparse.ArgumentParser(prog="exactness", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TRIALS)} (default: all)")
    parser.add_argument("--json", type=Path, help="write everything that was found to this file")
    options = parser.parse_args()
    unknown = set(options.names) - set(TRIALS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    found: dict[str, Outcome] = {}
    wrong = 0
    for name in options.names or TRIALS:
        plan, fault = TRIALS[name]
        outcome = found[name] = asyncio.run(run_trial(plan, fault))
        sys.stdout.write(f"\n{name}\n")
        for title, show in _ROWS:
            sys.stdout.write(f"  {title:<32} {show(outcome):>16}\n")
        for kind, sums in sorted(outcome.reckoning.estimates.items()):
            found_of_kind = f"{sums.rows} rows, {sums.exact} exact, {sums.charged - sums.produced:+}"
            sys.stdout.write(f"    estimated: {kind}: {found_of_kind}\n")
        for line in verdict(outcome):
            wrong += 1
            sys.stdout.write(f"  WRONG  {line}\n")
        sys.stdout.flush()
    if options.json is not None:
        options.json.write_text(json.dumps({name: as_json(each) for name, each in found.items()}, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
