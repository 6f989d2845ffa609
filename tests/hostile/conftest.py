"""The gateway under attack and the provider that lies to it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hostile_rig import (
    LIFTED,
    READY_S,
    SHARED,
    UPSTREAM_KEY,
    Gateway,
    Upstream,
    overlay,
    stop,
    wait_for,
    written,
)


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.fixture(scope="session")
def start_gateway(tmp_path_factory, upstream):
    """Start gateways; on the data of a former one with `again`."""
    folder = tmp_path_factory.mktemp("hostile")
    started: list[Gateway] = []

    def start(name: str, changes: dict | None = None, again: Gateway | None = None, **variables) -> Gateway:
        place = folder / name
        if again is None:
            place.mkdir()
            kept = {each: os.environ[each] for each in ("PATH", "HOME", "LANG") if each in os.environ}
            environment = {
                **kept,
                "PYTHONPATH": str(SHARED),
                "OPENAI_BASE_URL": f"{upstream.url}/v1",
                "OPENAI_API_KEY": UPSTREAM_KEY,
                "ANTHROPIC_BASE_URL": upstream.url,
                "ANTHROPIC_API_KEY": UPSTREAM_KEY,
                "SLUICEGATE_POLICY_DIR": str(overlay(place / "policies", changes or LIFTED)),
                **variables,
            }
        else:
            environment = again.environment
        data, log = place / "data", place / "log"
        (data / "dev.env").unlink(missing_ok=True) if again is None else None
        before = (data / "dev.env").stat().st_mtime_ns if again is not None else 0
        with log.open("ab") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "sluicegate", "dev", "--port", "0", "--data", str(data)],
                env=environment, cwd=place, stdout=stream, stderr=stream,
            )  # fmt: skip
        gateway = Gateway("", "", data, environment, process, log)
        started.append(gateway)

        def ready():
            assert process.poll() is None, log.read_text()[-3_000:]
            path = data / "dev.env"
            return written(data) if path.exists() and path.stat().st_mtime_ns != before else None

        found = wait_for(ready, f"gateway {name}", READY_S)
        gateway.url, gateway.key = found["SLUICEGATE_URL"], found["SLUICEGATE_API_KEY"]
        return gateway

    yield start
    for gateway in reversed(started):
        stop(gateway.process)


@pytest.fixture(scope="session")
def gateway(start_gateway) -> Gateway:
    return start_gateway("main")
