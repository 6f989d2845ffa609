"""A Firestore server of a test's own, as a process that it may kill and start again on the same port.

FIRESTORE_EMULATOR_HOST wins: with it tests ask that server, each with a project of its own, and those that
must kill one are skipped.
"""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

EMULATOR = os.environ.get("FIRESTORE_EMULATOR_HOST")
INDEXES = "sluicegate.ledger.indexes"
RIGS = Path(__file__).parent
SHARED = RIGS.parents[1] / "shared"


class FirestoreProcess:
    """A server on a port of 127.0.0.1. With a journal it comes back with what it had acknowledged."""

    def __init__(self, journal: Path | None = None, **options: str) -> None:
        self.host = ""
        self._journal = journal
        self._options = {"indexes": INDEXES, **options}
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it; returns when it serves."""
        command = [sys.executable, "-m", "firestore_server", "--port", str(self._port)]
        if self._journal is not None:
            command += ["--journal", str(self._journal)]
        for name, value in self._options.items():
            command += [f"--{name}", value]
        environment = {
            "PYTHONPATH": f"{RIGS}{os.pathsep}{SHARED}", "PATH": os.environ.get("PATH", ""),
            "GRPC_VERBOSITY": "NONE",
        }  # fmt: skip
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("serving on "), "the Firestore server does not start"
        self._port = int(line.split()[-1])
        self.host = f"127.0.0.1:{self._port}"

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a crash would. Harmless when repeated."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)
            assert process.stdout is not None
            process.stdout.close()


def new_project() -> str:
    """A project that nobody has used: everything in it is empty."""
    return f"test-{uuid.uuid4().hex[:12]}"


def skip_where_not_ours() -> None:
    """Skip a test that must do to the server what it may not do to somebody else's."""
    if EMULATOR is not None:
        pytest.skip("FIRESTORE_EMULATOR_HOST is set: its server is not ours to kill")
