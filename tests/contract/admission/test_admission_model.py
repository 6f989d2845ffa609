"""Random histories of the admission scripts against a model in plain Python, on every server."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from lease_history import LeaseHistory


@pytest.mark.parametrize("kind", ["server", "embedded"])
def test_any_history(kind: str, request: pytest.FixtureRequest) -> None:
    if kind == "embedded":
        url = request.getfixturevalue("embedded_url")
    else:
        url = f"redis://127.0.0.1:{request.getfixturevalue('redis_port')}/0"
    machine = type("History", (LeaseHistory,), {"url": url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60 if kind == "server" else 15,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
