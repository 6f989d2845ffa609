"""Environments of their own for what is measured beside the gateway: exact versions, from lock files."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.targets import REPOSITORY

SYSTEM_PACKAGES = {"nginx": "nginx", "redis-server": "redis-server", "wrk": "wrk"}


def environment(name: str, *, install: bool, say: Callable[[str], None]) -> Path | None:
    """The Python of `.venv-bench-<name>`, made from `requirements/bench-<name>.lock` if `install`.

    None where it is absent, or cannot be made; says which.
    """
    folder = REPOSITORY / f".venv-bench-{name}"
    lock = REPOSITORY / "requirements" / f"bench-{name}.lock"
    python = folder / "bin" / "python"
    stamp = folder / "lock"
    if stamp.is_file() and stamp.read_bytes() == lock.read_bytes():
        return python
    if not install:
        say(f"{name} is not installed and stays out; ./scripts/bench --install sets it up")
        return None
    say(f"setting up {folder.name} ...")
    try:
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        options = ["--quiet", "--disable-pip-version-check", "--require-hashes"]
        _run([str(python), "-m", "pip", "install", *options, "-r", str(lock)])
    except subprocess.CalledProcessError as error:
        say(f"{name} cannot be installed and stays out: {(error.stderr or b'')[-300:].decode().strip()}")
        return None
    stamp.write_bytes(lock.read_bytes())
    return python


def portkey(*, install: bool, say: Callable[[str], None]) -> tuple[Path, Path] | None:
    """Portkey's start script in `.venv-bench-portkey`, and Node; None as for `environment`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        say("portkey needs Node and npm, and stays out")
        return None
    folder = REPOSITORY / ".venv-bench-portkey"
    script = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    wanted = REPOSITORY / "requirements" / "bench-portkey"
    lock, stamp = wanted / "package-lock.json", folder / "lock"
    if stamp.is_file() and stamp.read_bytes() == lock.read_bytes():
        return script, Path(node)
    if not install:
        say("portkey is not installed and stays out; ./scripts/bench --install sets it up")
        return None
    say(f"setting up {folder.name} ...")
    folder.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(wanted / name, folder / name)
    try:
        _run([npm, "ci", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund"])
    except subprocess.CalledProcessError as error:
        say(f"portkey cannot be installed and stays out: {(error.stderr or b'')[-300:].decode().strip()}")
        return None
    stamp.write_bytes(lock.read_bytes())
    return script, Path(node)


def missing_programs() -> list[str]:
    """System packages that the comparison would use and that are not installed."""
    return [package for program, package in SYSTEM_PACKAGES.items() if shutil.which(program) is None]


def install_programs(say: Callable[[str], None]) -> None:
    """Install what is missing with apt-get, where there is one."""
    missing = missing_programs()
    apt = shutil.which("apt-get")
    if not missing:
        return
    if apt is None:
        say(f"there is no apt-get here; install {', '.join(missing)} yourself")
        return
    say(f"installing {', '.join(missing)} ...")
    try:
        _run([apt, "install", "--yes", "--no-install-recommends", *missing])
    except subprocess.CalledProcessError as error:
        say(f"apt-get failed: {(error.stderr or b'')[-300:].decode().strip()}")


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - words of this package
