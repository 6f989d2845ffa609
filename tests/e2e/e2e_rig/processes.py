"""Processes that a test starts: their environment, their start, their end; the rehearsal upstreams."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

SHARED = Path(__file__).resolve().parents[3] / "shared"
UPSTREAM_KEY = "sk-upstream-e2e"
START_S = 30.0


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without anybody's keys."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONPATH": str(SHARED), **variables}


def wait_for(condition, what: str, seconds: float = START_S):
    """The first true value of `condition()`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited {seconds} s for {what}")


def stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Upstream:
    """A rehearsal provider in a process of its own."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), self.url

    def produced(self) -> dict:
        """What was really produced, per model."""
        with urllib.request.urlopen(f"{self.url}/produced") as reply:  # noqa: S310 - its own server
            return json.load(reply)["models"]

    def close(self) -> None:
        stop(self.process)
        if self.process.stdout is not None:
            self.process.stdout.close()
