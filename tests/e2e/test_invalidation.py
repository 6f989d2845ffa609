"""Stored answers made void from the command line, by event, by workspace and altogether."""

import time

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        ("--event", "feedback_received"),
        ("--event", "code_changed", "--workspace", "default"),
        ("--workspace", "default"),
        (),
    ],
    ids=["event", "event-and-workspace", "workspace", "everything"],
)
def test_a_stored_answer_is_void_at_once(gateway, request, arguments):
    def level():
        reply = gateway.chat(request.node.name, fields={"temperature": 0})
        assert reply.status == 200, reply
        return reply.headers["x-sluicegate-cache"]

    assert level() == "none"
    assert level() == "l1"
    gateway.cli("cache", "invalidate", *arguments)
    # The notice crosses Redis in milliseconds; a poll every two seconds would find it otherwise.
    deadline = time.monotonic() + 10
    while (found := level()) == "l1" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found == "none"
    assert level() == "l1"


def test_another_workspaces_answers_stay_and_unknown_events_are_refused(gateway, request):
    def level():
        reply = gateway.chat(request.node.name, fields={"temperature": 0})
        assert reply.status == 200, reply
        return reply.headers["x-sluicegate-cache"]

    assert level() == "none"
    gateway.cli("cache", "invalidate", "--workspace", "other")
    gateway.cli("cache", "invalidate", "--tenant", "other")
    assert level() == "l1"
    assert "feedback_received" in gateway.cli("cache", "invalidate", "--event", "moon", check=False)
