"""Processes killed and stopped under load: nothing stays held, nothing is forgotten, accounts agree."""

import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

import pytest
from hostile_rig import LIFTED, Gateway, read_reply, wait_for

CHAT = "/v1/chat/completions"
HOLDS = {"lifetime_s": 3, "heartbeat_s": 1, "reap_s": 0.2, "recovery_s": 0.5}
CHANGES = LIFTED | {
    "budgets": {"budgets": [{"scope": "workspace", "period": "day", "limit_usd": 1000}], "holds": HOLDS}
}


class Load:
    """Callers that go on until the end of the block; `seen` counts statuses, None for no whole answer."""

    def __init__(self, gateway: Gateway, callers: int = 8) -> None:
        self.seen: Counter[int | None] = Counter()
        self._gateway = gateway
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(n,)) for n in range(callers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        wait_for(lambda: self.seen[200] > 20, "answers")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _call(self, number: int) -> None:
        while not self._stop.is_set():
            number += 1
            status = None
            try:
                reply = self._gateway.post(CHAT, body("[[tokens 40]] [[delay 4ms]]", stream=number % 2 == 0))
                if reply is not None and (reply.status != 200 or reply.body.endswith((b"[DONE]\n\n", b"}"))):
                    status = reply.status
            except OSError:
                time.sleep(0.02)
            self.seen[status] += 1


def body(text: str, *, stream: bool) -> bytes:
    messages = [{"role": "user", "content": text}]
    return json.dumps(
        {"model": "scripted-small", "stream": stream, "max_tokens": 400, "messages": messages}
    ).encode()


def child(gateway: Gateway, word: str) -> int:
    """The process id of the gateway's child whose command line has `word` in it."""
    tasks = Path(f"/proc/{gateway.process.pid}/task").iterdir()
    children = [pid for task in tasks for pid in (task / "children").read_text().split()]
    found = [pid for pid in children if word in Path(f"/proc/{pid}/cmdline").read_bytes().decode()]
    return int(found[0])


def outcomes(gateway: Gateway) -> dict[str, dict]:
    return {line["group"]: line for line in gateway.cli("spend", "--by", "outcome")["groups"]}


@pytest.fixture(scope="module")
def first(start_gateway) -> Gateway:
    return start_gateway("kills", CHANGES)


@pytest.fixture(scope="module")
def second(start_gateway, first) -> Gateway:
    """The gateway started again after the first one was killed under load."""
    with Load(first) as load:
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        wait_for(lambda: load.seen[None] > 0, "the death to be noticed")
    first.answered = load.seen[200]  # type: ignore[attr-defined]
    return start_gateway("kills", again=first)


def test_after_a_kill_holds_are_charged_as_estimates_and_accounts_agree(first, second):
    assert second.key == first.key
    second.assert_whole()
    found = outcomes(second)
    assert found["success"]["requests"] >= first.answered
    assert found["success"]["estimated_nano"] == 0
    lost = found["failure"]
    assert lost["requests"] <= 8
    assert lost["cost_nano"] == lost["estimated_nano"] > 0


def test_a_killed_ledger_process_is_started_again_and_takes_what_waited(second):
    second.assert_whole()
    before = outcomes(second)["success"]["requests"]
    os.kill(child(second, "ledger"), signal.SIGKILL)
    for _ in range(3):
        assert second.post(CHAT, body("[[tokens 2]]", stream=False)).status == 200
    wait_for(lambda: outcomes(second)["success"]["requests"] == before + 3, "the ledger to catch up")


def test_a_killed_redis_refuses_clearly_and_loses_nothing_that_was_answered(start_gateway, second):
    answered = outcomes(second)["success"]["requests"]
    with Load(second) as load:
        os.kill(child(second, "redis"), signal.SIGKILL)
        wait_for(lambda: load.seen[503] > 10, "refusals")
    assert set(load.seen) <= {200, 503, None}
    reply = second.post(CHAT, body("x", stream=False))
    assert (reply.status, reply.json()["error"]["code"]) == (503, "dependency_unavailable")
    assert reply.headers["retry-after"]
    ready = second.get("/readyz")
    assert (ready.status, list(ready.json()["problems"])) == (503, ["redis"])
    assert second.trouble() == []
    second.process.terminate()
    assert second.process.wait(15) == 0
    third = start_gateway("kills", again=second)
    third.assert_whole()
    # What was under way when Redis died, or was admitted from a lease in the moment after, was only told to
    # the process that was stopped: one request of each caller, and one more.
    assert outcomes(third)["success"]["requests"] >= answered + load.seen[200] - 2 * 8


def test_sigterm_ends_streams_and_long_requests_in_time_and_settles_them(start_gateway, second):
    gateway = start_gateway("drained", CHANGES, DRAIN_SECONDS="4")
    waiting = []
    for text in ("[[tokens 4000]] [[delay 20ms]]", "[[first 30s]]", "[[stall after 5]]"):
        for stream in (True, False):
            connection = gateway.connect(20)
            content = body(text, stream=stream)
            connection.sendall(gateway.head(CHAT, len(content)) + content)
            waiting.append(connection)
    wait_for(lambda: gateway.metric("sluicegate_requests_in_flight") == len(waiting), "requests under way")
    began = time.monotonic()
    gateway.process.terminate()
    assert gateway.process.wait(20) == 0
    assert time.monotonic() - began < 10  # Cloud Run kills what is not gone by then
    for connection in waiting:
        reply = read_reply(connection)
        assert reply is None or reply.status in {200, 503, 504}
        connection.close()
    again = start_gateway("drained", again=gateway)
    again.assert_whole()
    assert sum(line["requests"] for line in outcomes(again).values()) == len(waiting)
