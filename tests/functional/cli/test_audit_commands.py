"""`sluicegate audit …` on a data folder, as an operator and an auditor use it."""

import asyncio
import json
import shutil

import pytest
from audit_rig.logs import done, usage

from sluicegate.adapters.local.sqlite import Database
from sluicegate.kernel.clock import SystemClock
from sluicegate.kernel.event_decoding import decode_event
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.wiring.audit import open_log
from sluicegate.wiring.events import open_bus

DAY = 86_400


def write(data, *events):
    """Append events to the folder's log, and what the log itself told meanwhile, as its process does."""

    async def work():
        clock, database = SystemClock(), Database(data / "sluicegate.db")
        async with open_bus(data, clock) as bus, open_log(data, PolicySet(), clock, database, bus) as log:
            await log.start()
            await bus.bus.subscribe("audit")
            assert await log.log.consumer.handle(events) == []
            while deliveries := await bus.bus.receive("audit", 100, 30.0, 0.0):
                told = [decode_event(each.body, each.tenant) for each in deliveries]
                assert await log.log.consumer.handle(told) == []
                await bus.bus.ack("audit", deliveries)
            await bus.bus.subscribe("ledger")
            while deliveries := await bus.bus.receive("ledger", 100, 30.0, 0.0):
                await bus.bus.ack("ledger", deliveries)
            key = log.verifier.key
        await database.close()
        return key

    return asyncio.run(work())


@pytest.fixture
def world(cli):
    cli.data.mkdir(mode=0o700)
    now = SystemClock().now()
    cli.key = write(
        cli.data,
        *(usage(n, tenant="default", user=("ann", "bob")[n % 2], at=now - 500 * DAY) for n in range(20)),
        *(usage(100 + n, tenant="default", user=("ann", "bob")[n % 2], at=now - DAY) for n in range(300)),
        done("key.created", 1, "default", "ann", now - 60, payload={"key_id": "key_9"}),
        usage(999, tenant="zeta", at=now - 60),
    )
    return cli


def test_the_log_is_read_exported_and_verified(world, tmp_path):
    shown = world.json("audit", "checkpoint")
    assert (shown["size"], shown["key"]) == (322, world.key)
    page = world.json("audit", "entries", "--action", "key.*")
    [entry] = page["entries"]
    assert (entry["userId"], entry["payload"]) == ("ann", {"key_id": "key_9"})
    assert world.json("audit", "show", entry["id"])["index"] == entry["index"] == 320
    assert world.json("audit", "proof", entry["id"])["size"] == 322
    listed = world.run("audit", "entries", "--limit", "2")
    assert listed.stdout.count("\n") == 3
    assert "--cursor" in listed.stderr
    other = world.run("audit", "show", entry["id"], "--tenant", "zeta")
    assert (other.returncode, other.stdout) == (2, "")
    for out, count in (("a.zip", 321), ("b", 1), ("c.zip", 150)):
        filters = {
            "b": ["--action", "key.created", "--format", "csv"],
            "c.zip": ["--user", "bob", "--from", "2d"],
        }
        made = world.json("audit", "export", *filters.get(out, []), str(tmp_path / out))
        assert made["rows"] == count
        assert world.run("audit", "export", str(tmp_path / out)).returncode == 2, "it is there already"
        done_ = world.run("audit", "verify", str(tmp_path / out))
        assert done_.returncode == 0, done_.stdout
        assert done_.stdout.endswith("all of it holds\n")
    write(world.data)
    told = world.json("audit", "entries", "--action", "audit.*", "--limit", "100")["entries"]
    assert {each["action"] for each in told} == {"audit.read", "audit.exported"}
    report = world.json("audit", "verify")
    assert report["holds"]
    assert report["key_from"] == f"the data folder {world.data}"


def test_what_is_wrong_is_said_with_its_place_and_status_1(world, tmp_path):
    good = world.run("audit", "verify")
    assert good.returncode == 0, good.stdout
    bundle = world.data / "log" / "tile" / "entries" / "000"
    content = bytearray(bundle.read_bytes())
    content[5_000] ^= 1
    bundle.write_bytes(content)
    bad = world.run("audit", "verify")
    assert bad.returncode == 1
    assert "WRONG      tile/entries/000, entry " in bad.stdout
    assert bad.stdout.endswith("it does not hold\n")
    report = json.loads(world.run("audit", "verify", "--json").stdout)
    assert not report["holds"]
    assert "tile/entries/000" in {each["place"] for each in report["findings"]}


def test_an_auditor_with_nothing_but_the_key_verifies_a_copy(world, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(world.data / "log", copy)
    elsewhere = type(world)(tmp_path / "elsewhere")
    assert elsewhere.run("audit", "verify", str(copy)).returncode == 2
    assert elsewhere.run("audit", "verify", str(copy), "--key", world.key).returncode == 0
    (tmp_path / "key").write_text(f"{world.key}\n")
    kept = tmp_path / "kept"
    shutil.copy(copy / "checkpoint", kept)
    asked = [
        "audit",
        "verify",
        str(copy),
        "--key",
        f"@{tmp_path / 'key'}",
        "--checkpoint",
        str(kept),
        "--hashes-only",
    ]
    assert elsewhere.run(*asked).returncode == 0
    other = write(tmp_path / "other", usage(1))
    assert elsewhere.run("audit", "verify", str(copy), "--key", other).returncode == 1
    assert elsewhere.run("audit", "verify", str(copy), "--key", "nonsense").returncode == 2
    assert elsewhere.run("audit", "verify", str(tmp_path), "--key", world.key).returncode == 2
    assert not (tmp_path / "elsewhere" / "keys").exists(), "verifying makes no keys"


def test_upkeep_leaves_a_log_that_holds(world):
    refused = world.run("audit", "erase", "--user", "bob")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    write(world.data)
    erased = world.json("audit", "erase", "--user", "bob", "--yes", "--reason", "asked for it")
    assert erased["key_destroyed"]
    expired = world.json("audit", "retain")
    assert sum(each["entries"] for each in expired) == 20
    write(world.data)
    entries = world.json("audit", "entries", "--limit", "1000")["entries"]
    privacy = {each["privacy"] for each in entries if each["action"] == "model.access"}
    assert privacy == {"open", "erased", "expired"}
    assert world.json("audit", "reindex")["entries"] == world.json("audit", "checkpoint")["size"]
    report = world.json("audit", "verify")
    assert report["holds"]
    assert report["checked"]["expired parts"] == 20
    assert "bob" not in {each["userId"] for each in entries}
