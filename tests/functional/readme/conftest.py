import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    """A folder like a fresh clone after `./scripts/dev`: a running server, `.venv` and `.sluicegate`."""
    home = tmp_path_factory.mktemp("clone")
    (home / ".venv").symlink_to(sys.prefix)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    environment = {**kept, "PYTHONPATH": str(ROOT / "shared")}
    command = [sys.executable, "-m", "sluicegate", "dev", "--port", "0"]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not (home / ".sluicegate" / "dev.env").exists():
            said = (home / "server.log").read_text()
            assert server.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.02)
        yield Newcomer(home, environment)
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0, (home / "server.log").read_text()


class Newcomer:
    """Somebody who types what the README says, in that folder."""

    def __init__(self, home, environment):
        self.home = home
        self._environment = environment

    def type(self, shell):
        done = subprocess.run(
            ["bash", "-euc", shell],
            cwd=self.home,
            env={**self._environment, "PATH": f"{sys.prefix}/bin:{self._environment['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{shell}\n{done.stdout}\n{done.stderr}"
        return done.stdout
