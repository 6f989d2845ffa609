import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"


class Cli:
    """Runs `sluicegate` as a process on one data folder."""

    def __init__(self, data: Path):
        self.data = data

    def start(self, *arguments: str, **environment: str):
        inherited = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG", "TMPDIR"}}
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "sluicegate.cli", *arguments, "--data", str(self.data)],
            env={**inherited, "PYTHONPATH": str(SHARED), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.data.parent,
        )

    def run(self, *arguments: str, **environment: str):
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def json(self, *arguments: str):
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def cli(tmp_path):
    return Cli(tmp_path / "data")
