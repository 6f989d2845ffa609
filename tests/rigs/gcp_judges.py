"""Servers that others wrote, and that speak Google's protocols: the judges of our adapters.

`*_EMULATOR_HOST` wins where it is set. Otherwise they are built once with Go, into a folder outside the
repository (running this file does it, too): Pub/Sub is Google's own fake (cloud.google.com/go/pubsub/pstest),
Cloud Storage is github.com/fsouza/fake-gcs-server. Without Go, or without the modules, the test that asked is
skipped.
"""

import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

PUBSUB_SOURCE = Path(__file__).parent / "gcp_pubsub_judge"
STORAGE_MODULE = "github.com/fsouza/fake-gcs-server@v1.52.2"

_BUILD_S = 900
_START_S = 30.0


class Judge:
    """A process on a port of 127.0.0.1, which may be killed and started again there."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self._process: subprocess.Popen[str] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Start it; returns when it takes connections."""
        self._process = subprocess.Popen(
            self.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.started(self._process)
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        self.stop()
        raise AssertionError(f"{self.command()[0]} does not answer")

    def started(self, process: "subprocess.Popen[str]") -> None:
        """Called at once after it was started."""

    def stop(self) -> None:
        """End it at once, as a crash would. Harmless when repeated."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


class PubSubJudge(Judge):
    """Google's own fake of Pub/Sub. It forgets everything when it stops."""

    def __init__(self) -> None:
        super().__init__()
        self._program = _built("pubsub", _digest(PUBSUB_SOURCE), PUBSUB_SOURCE)
        self._control = ""

    def command(self) -> list[str]:
        return [str(self._program), "--port", str(self.port)]

    def started(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        line = process.stdout.readline().split()
        assert len(line) == 2, "the Pub/Sub judge did not start"
        self._control = line[1]

    def elapse(self, seconds: float) -> None:
        """Let time pass."""
        self._ask(f"elapse?seconds={seconds}")

    def backlog(self) -> "dict[str, dict[str, float | None]]":
        """What waits, by subscription: `waiting`, `oldestAt`, `at`."""
        return json.loads(self._ask("backlog"))

    def messages(self) -> "list[dict[str, object]]":
        """Every message there ever was."""
        return json.loads(self._ask("messages"))

    def _ask(self, what: str) -> bytes:
        with urllib.request.urlopen(f"http://{self._control}/{what}", timeout=10) as answer:
            return answer.read()


class StorageJudge(Judge):
    """A fake of Cloud Storage. With `folder` it keeps its objects when it stops."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._program = _built("storage", STORAGE_MODULE.replace("/", "_"), None)

    def command(self) -> list[str]:
        return [
            str(self._program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(self.port),
            "-backend", "filesystem", "-filesystem-root", str(self._folder),
            "-external-url", self.url, "-public-host", self.host,
        ]  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://{self.host}"


def build() -> None:
    """Build all that is not built yet. Says why where it cannot; the tests skip then, and say so again."""
    for make in (PubSubJudge, lambda: StorageJudge(Path())):
        try:
            make()
        except pytest.skip.Exception as reason:
            sys.stdout.write(f"{reason}\n")


def _built(name: str, version: str, source: Path | None) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sluicegate" / "judges"
    cache.mkdir(parents=True, exist_ok=True)
    program = cache / f"{name}-{version}"
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(program, source)
    return program


def _build(program: Path, source: Path | None) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed: the judge of Google's protocol cannot be built")
    folder = program.with_suffix(".building")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    # Few at a time: whoever runs tests has other work, too.
    environment = {**os.environ, "GOBIN": str(folder), "GOMAXPROCS": "2", "GOFLAGS": "-buildvcs=false"}
    command = (
        [go, "install", STORAGE_MODULE] if source is None else [go, "build", "-o", str(folder / "built"), "."]
    )
    done = subprocess.run(
        command, cwd=source, env=environment, capture_output=True, text=True, timeout=_BUILD_S, check=False
    )
    if done.returncode:
        pytest.skip(f"the judge of Google's protocol cannot be built: {done.stderr.strip()[-300:]}")
    next(folder.iterdir()).replace(program)
    shutil.rmtree(folder)


def _digest(folder: Path) -> str:
    content = b"".join(path.read_bytes() for path in sorted(folder.iterdir()))
    return hashlib.sha256(content).hexdigest()[:16]


if __name__ == "__main__":
    build()
