"""Processes that integrate are killed with SIGKILL: at each step, and at arbitrary moments."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
KILLS = 25


def test_a_killed_sequencer_loses_nothing_and_repeats_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "audit_rig.killed", str(tmp_path), str(KILLS)],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'tests' / 'rigs'}"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    steps, kills = map(int, done.stdout.split())
    assert steps > 30
    assert kills > KILLS / 2
