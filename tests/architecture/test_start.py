"""Importing must open, write and call nothing."""

import json
import os
import subprocess
import sys

import pytest

WATCH = """
import json, sys

seen = []
LOOKS = ("os.listdir", "os.scandir", "os.add_dll_directory")

def watch(event, args):
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        if "__pycache__" not in str(args[0]):
            seen.append([event, str(args[0])])
    elif event.startswith(("socket.", "subprocess.", "sqlite3.", "os.")) and not event.startswith(LOOKS):
        seen.append([event, repr(args)])

sys.addaudithook(watch)
__import__(sys.argv[1])
print(json.dumps({"seen": seen, "modules": sorted(sys.modules)}))
"""

# Large, and needed by some commands or settings only.
NOT_AT_START = (
    "google.auth",
    "httpx",
    "lupa",
    "opentelemetry",
    "pulumi",
    "pyarrow",
    "redis",
    "starlette",
    "uvicorn",
)


def start(module, root):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", WATCH, module],
        env={**kept, "PYTHONPATH": str(root / "shared"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=["sluicegate.wiring", "sluicegate.wiring.gateway", "sluicegate.cli"])
def started(request, root):
    return start(request.param, root)


def test_importing_opens_nothing(started):
    assert started["seen"] == []


def test_importing_loads_nothing_that_most_do_not_need(started):
    assert [module for module in started["modules"] if module in NOT_AT_START] == []


def test_the_watch_sees_what_it_should(root, tmp_path):
    (tmp_path / "leaky.py").write_text(
        f"import socket\nsocket.socket().close()\nopen({str(tmp_path / 'x')!r}, 'w').close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", WATCH, "leaky"],
        env={"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {event for event, _ in json.loads(done.stdout)["seen"]} == {"socket.__new__", "open"}
