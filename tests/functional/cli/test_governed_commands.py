"""What operators do becomes an event before it is done; what cannot be told is not done."""

import asyncio
import json

import pytest
from jsonschema import Draft202012Validator
from private_redis import PrivateRedis

from sluicegate.events.ports import Message
from sluicegate.events.registry import data_schema
from sluicegate.kernel.clock import SystemClock
from sluicegate.kernel.event_decoding import decode_event
from sluicegate.kernel.events import AUDIT_ACTION, BUDGET_THRESHOLD, CACHE_INVALIDATED, Event
from sluicegate.wiring.events import open_bus

GROUP = "watcher"


def on_bus(data, work):
    async def opened():
        async with open_bus(data, SystemClock()) as bus:
            return await work(bus)

    return asyncio.run(opened())


@pytest.fixture
def told(cli):
    """What was told since this was called last, of type `audit.action` where it is not said otherwise."""
    on_bus(cli.data, lambda bus: bus.bus.subscribe(GROUP))

    async def take(bus):
        found = []
        while deliveries := await bus.bus.receive(GROUP, 100, 60, 0):
            found += [decode_event(each.body, each.tenant) for each in deliveries]
            await bus.bus.ack(GROUP, deliveries)
        return found

    def taken(kind=AUDIT_ACTION):
        events = on_bus(cli.data, take)
        for event in events:
            Draft202012Validator(data_schema(event.type)).validate(event.data)
        return [event for event in events if event.type == kind]

    return taken


def test_keys_tokens_and_budgets_are_told_with_who_did_it(cli, told):
    key = cli.json("keys", "create", "--user", "kim", "--name", "ci")
    cli.json("keys", "rotate", key["id"])
    assert cli.run("keys", "revoke", key["id"], "--reason", "lost").returncode == 0
    assert cli.run("keys", "revoke", key["id"]).returncode == 0
    token = cli.json("token", "issue", "--user", "kim", "--expires", "10m")["token"]
    cli.json("budget", "set", "workspace/growth", "day", "12.50")
    cli.json("budget", "set", "workspace/growth", "day", "policy")
    events = told()
    assert [event.data["action"] for event in events] == [
        "key.created", "key.rotated", "key.revoked", "key.revoked", "token.issued", "budget.set",
        "budget.cleared",
    ]  # fmt: skip
    assert events[2].id == events[3].id, "revoked twice is one entry"
    assert len({event.data["user"] for event in events}) == 1
    assert events[0].data["user"].startswith("cli:")
    assert {event.tenant for event in events} == {"default"}
    text = json.dumps([event.data for event in events])
    assert key["key"].split("-")[3] not in text
    assert token not in text
    for asked in (["keys", "list"], ["budget", "show"], ["token", "jwks"], ["policy", "check"]):
        assert cli.run(*asked).returncode == 0
    assert told() == [], "looking is no change"


def test_dead_letters_that_are_replayed_or_dropped_are_told_to_their_tenants(cli, told):
    async def bury(bus):
        events = [Event(str(n), "/a", BUDGET_THRESHOLD, 5.0, "acme", None, {"n": n}) for n in range(250)]
        await bus.publisher.publish(events)
        await bus.bus.publish([Message("NOT A TENANT", b"poison")])
        for delivery in await bus.bus.receive("ledger", 300, 60, 0):
            await bus.bus.bury("ledger", delivery, "does not fit")

    on_bus(cli.data, bury)

    async def skip(bus):
        while deliveries := await bus.bus.receive(GROUP, 500, 60, 0):
            await bus.bus.ack(GROUP, deliveries)

    on_bus(cli.data, skip)
    first = cli.json("events", "dead", "list", "--limit", "1")[0]["id"]
    assert cli.json("events", "dead", "replay", first) == {"replayed": 1}
    [replayed] = told()
    assert (replayed.tenant, replayed.data["action"]) == ("acme", "data.changed")
    payload = replayed.data["payload"]
    assert (payload["kind"], payload["count"]) == ("dead_letters.replayed", 1)
    assert (payload["letters"][0]["letter"], payload["letters"][0]["scope"]) == (first, "ledger")
    assert cli.json("events", "dead", "drop", "--all") == {"dropped": 250}
    dropped = told()
    assert sorted((each.tenant, each.data["payload"]["count"]) for each in dropped) == [
        ("acme", 49), ("acme", 200), ("platform", 1),
    ]  # fmt: skip
    assert all(len(json.dumps(each.data["payload"])) < 65_536 for each in dropped)
    assert cli.run("events", "dead", "drop", "1").returncode == 2
    assert told() == []


def test_what_cannot_be_told_is_not_done(cli):
    key = cli.json("keys", "create")
    for file in cli.data.glob("bus.db*"):
        file.unlink()
    (cli.data / "bus.db").mkdir()
    for asked in (
        ["keys", "create"],
        ["keys", "rotate", key["id"]],
        ["token", "issue"],
        ["budget", "set", "workspace/growth", "day", "1"],
    ):
        done = cli.run(*asked)
        assert (done.returncode, done.stdout) == (1, ""), asked
        assert "nothing was done" in done.stderr
        assert "Traceback" not in done.stderr
    assert [each["prefix"] for each in cli.json("keys", "list")] == [key["prefix"]]
    assert not any(each["overridden"] for each in cli.json("budget", "show"))
    revoked = cli.run("keys", "revoke", key["id"])
    assert revoked.returncode == 1
    assert "revoke it again" in revoked.stderr
    assert cli.json("keys", "list")[0]["status"] == "revoked", "a lost key ends all the same"


@pytest.fixture
def redis_url():
    redis = PrivateRedis("embedded")
    redis.start()
    yield redis.url
    redis.stop()


def test_voiding_answers_is_told_as_an_event_and_as_an_action(cli, told, redis_url):
    assert told() == []
    done = cli.run("cache", "invalidate", "--event", "code_changed", "--workspace", "growth",
                   REDIS_URL=redis_url)  # fmt: skip
    assert done.returncode == 0, done.stderr

    async def all_(bus):
        return [decode_event(each.body, each.tenant) for each in await bus.bus.receive(GROUP, 10, 60, 0)]

    action, notice = on_bus(cli.data, all_)
    assert (action.data["action"], action.data["payload"]) == (
        "data.changed", {"kind": "cache.invalidated", "scope": "code_changed@growth"},
    )  # fmt: skip
    assert (notice.type, notice.data) == (
        CACHE_INVALIDATED, {"event": "code_changed", "workspace": "growth"},
    )  # fmt: skip
    unknown = cli.run("cache", "invalidate", "--event", "nothing", REDIS_URL=redis_url)
    assert unknown.returncode == 2
