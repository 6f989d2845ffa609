"""A private Redis for this machine: a real server where one is installed, else the embedded one."""

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Literal

from sluicegate.adapters.redis.embedded.parent import die_with_parent
from sluicegate.kernel.errors import ConfigurationError

Kind = Literal["server", "embedded"]

_READY_WITHIN_S = 20.0
_STOP_WITHIN_S = 10.0
# sun_path holds 108 bytes on Linux, 104 elsewhere, the final zero included.
_LONGEST_SOCKET_PATH = 100


@dataclass(frozen=True, slots=True)
class LocalRedis:
    """A Redis that this process started. It ends with this process, on Linux even if that is killed."""

    url: str
    kind: Kind
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """Ask it to put everything on the disk and end; returns when it has. Harmless when repeated."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_local_redis(
    data_dir: Path, *, prefer: Literal["auto", "server", "embedded"] = "auto"
) -> LocalRedis:
    """Start a private Redis that keeps its state below `data_dir` and listens on a Unix socket there.

    A real server keeps an append-only file, synced every second, and evicts nothing. The two kinds keep
    their state in different folders: changing from one to the other starts empty.

    Args:
        data_dir: created when absent.
        prefer: `auto` takes a real server if `redis-server` is on the path.

    Raises:
        ConfigurationError: the folder is in use, `server` was asked for and none is installed, or it did
            not start; the message quotes its last words.
    """
    executable = shutil.which("redis-server")
    if prefer == "server" and executable is None:
        raise ConfigurationError("redis-server is not installed; install it or use the embedded one")
    kind: Kind = "embedded" if executable is None or prefer == "embedded" else "server"
    folder = data_dir.resolve() / f"redis-{kind}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = _socket_path(folder)
    log = folder / "redis.log"
    if kind == "server":
        command = [str(executable), *_server_options(folder, path)]
    else:
        command = [
            sys.executable, "-m", "sluicegate.adapters.redis.embedded",
            "--socket", str(path), "--data", str(folder), "--parent", str(os.getpid()),
        ]  # fmt: skip
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context(_locked(folder))
        output = stack.enter_context(log.open("wb"))
        path.unlink(missing_ok=True)
        process = _spawn(command, output, [lock.fileno()])
    local = LocalRedis(f"unix://{path}", kind, process)
    try:
        _await_ready(path, process, log)
    except BaseException:
        local.stop()
        raise
    return local


def _server_options(folder: Path, path: Path) -> list[str]:
    options = {
        "port": "0",
        "bind": "127.0.0.1",
        "unixsocket": str(path),
        "unixsocketperm": "600",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _spawn(command: Sequence[str], output: IO[bytes], inherited: Sequence[int]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the words are ours, and no shell reads them
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=inherited,
        # Runs before other threads of this process could matter: servers start before anything else does.
        preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509
        start_new_session=True,
    )


def _locked(folder: Path) -> IO[str]:
    """An open file whose lock the server inherits, and so holds for exactly as long as it lives."""
    file = (folder / "started.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ConfigurationError(
            f"{folder} is in use by another Redis; stop it or choose another folder"
        ) from None
    return file


def _socket_path(folder: Path) -> Path:
    path = folder / "redis.sock"
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        path = Path(tempfile.mkdtemp(prefix="sluicegate-")) / "redis.sock"
    return path


def _await_ready(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while not _answers(path):
        if process.poll() is not None:
            raise ConfigurationError(f"the local Redis did not start: {_last_words(log)}")
        if time.monotonic() > deadline:
            raise ConfigurationError(
                f"the local Redis was not ready within {_READY_WITHIN_S:g} s: {_last_words(log)}"
            )
        time.sleep(0.01)


def _answers(path: Path) -> bool:
    """Whether the server answers PING; one that is still loading its files does not."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
            probe.sendall(b"*1\r\n$4\r\nPING\r\n")
            return probe.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return " / ".join(lines[-3:]) or "it said nothing"
