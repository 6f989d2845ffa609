"""A Redis of a test's own, real or embedded, that it may stop and start again on the same port."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

KINDS = ("server", "embedded")
START_S = 20.0


class PrivateRedis:
    """A Redis process on a port of 127.0.0.1. Without `folder` it forgets everything when it stops.

    Asked for a real server where none is installed, it skips the test that asked.
    """

    def __init__(self, kind: str, folder: Path | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [*_command(kind, folder), "--port", str(self.port)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns when it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                    probe.sendall(b"*1\r\n$4\r\nPING\r\n")
                    if probe.recv(16).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            time.sleep(0.01)
        self.stop()
        raise AssertionError(f"{self._command[0]} does not answer")

    def stop(self) -> None:
        """End it at once, as a crash would. Harmless when repeated."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)


def _command(kind: str, folder: Path | None) -> list[str]:
    if kind == "embedded":
        kept = [] if folder is None else ["--data", str(folder), "--sync-every", "0"]
        return [sys.executable, "-m", "sluicegate.adapters.redis.embedded", *kept]
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    kept = ["--appendonly", "no"]
    if folder is not None:
        kept = ["--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder)]
    return [program, "--bind", "127.0.0.1", "--save", "", *kept]
