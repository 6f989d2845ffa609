import asyncio
import json
import time

from sluicegate.events.ports import Message
from sluicegate.kernel.clock import SystemClock
from sluicegate.kernel.events import BUDGET_THRESHOLD, Event
from sluicegate.wiring.events import open_bus


def bury(data, count):
    async def work():
        async with open_bus(data, SystemClock()) as bus:
            events = [
                Event(str(n), "/a", BUDGET_THRESHOLD, 5.0, "acme", None, {"n": n}) for n in range(count)
            ]
            await bus.publisher.publish(events)
            await bus.bus.publish([Message("other", b"\xffpoison")])
            for delivery in await bus.bus.receive("ledger", 100, 60, 0):
                await bus.bus.bury("ledger", delivery, "does not fit")

    asyncio.run(work())


def test_dead_letters_are_listed_shown_replayed_and_dropped(cli):
    bury(cli.data, 3)
    letters = cli.json("events", "dead", "list")
    assert [each["tenant"] for each in letters] == ["acme"] * 3 + ["other"]
    assert {each["reason"] for each in letters} == {"does not fit"}
    first, poison = letters[0]["id"], letters[3]["id"]
    assert cli.json("events", "dead", "show", first)["event"]["data"] == {"n": 0}
    assert "poison" in cli.run("events", "dead", "show", poison).stdout
    assert BUDGET_THRESHOLD in cli.run("events", "dead", "list", "--tenant", "acme").stdout
    audit, ledger = cli.json("events", "groups")
    assert ledger == {"group": "ledger", "waiting": 0, "oldest_s": None, "dead": 4}
    assert (audit["group"], audit["waiting"], audit["dead"]) == ("audit", 4, 0)
    assert cli.json("events", "dead", "replay", first) == {"replayed": 1}
    assert cli.json("events", "dead", "replay", "--all", "--tenant", "acme") == {"replayed": 2}
    audit, ledger = cli.json("events", "groups")
    told = 2  # each replay is an event itself
    assert (ledger["waiting"], ledger["dead"], audit["waiting"]) == (3 + told, 1, 4 + told)
    assert cli.run("events", "dead", "drop", poison).stdout == "dropped 1\n"
    assert cli.json("events", "dead", "list") == []
    again = cli.run("events", "dead", "drop", poison)
    assert (again.returncode, again.stderr) == (2, f"sluicegate: there is no dead letter '{poison}'\n")


def test_events_are_shown_as_they_come(cli):
    def waiting():
        return [each["group"] for each in cli.json("events", "groups") if each["group"].startswith("tail-")]

    async def publish(*kinds):
        async with open_bus(cli.data, SystemClock()) as bus:
            await bus.publisher.publish(
                [Event(str(n), "/a", kind, 5.0, "acme", "x", {"n": n}) for n, kind in enumerate(kinds)]
            )

    with cli.start("events", "tail", "--json", "--count", "2", "--type", BUDGET_THRESHOLD) as process:
        deadline = time.monotonic() + 30
        while not waiting():
            assert time.monotonic() < deadline, "it never began"
        asyncio.run(publish("dev.sluicegate.cache.invalidated.v1", BUDGET_THRESHOLD, BUDGET_THRESHOLD))
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert [json.loads(line)["data"]["n"] for line in out.splitlines()] == [1, 2]
    assert waiting() == [], "it leaves nothing behind"
