import asyncio
import os
import sys
from pathlib import Path

import pytest
from audit_rig.logs import Told

from sluicegate.adapters.local.keys import SqliteKeyStore
from sluicegate.adapters.local.sqlite import Database
from sluicegate.adapters.local.usage_rows import SqliteUsageStore
from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.adapters.redis.announcements import (
    RedisAnnouncements,
    listen_for_keys,
    listen_for_overrides,
)
from sluicegate.adapters.redis.outbox import RedisOutbox
from sluicegate.admission.counters import compile_counters
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.replies import Refused, RefusedBy
from sluicegate.admission.types import Subject
from sluicegate.identity.administration import KeyAdministration, KeyRequest
from sluicegate.identity.authenticator import Authenticator
from sluicegate.identity.key_verification import KeyVerifier
from sluicegate.identity.policy import IdentityPolicy, RolesPolicy
from sluicegate.kernel.clock import SystemClock
from sluicegate.kernel.errors import AuthenticationError
from sluicegate.kernel.events import USAGE_RECORDED, Event
from sluicegate.kernel.governed import Actor
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.wiring.events import event_service, open_bus

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
async def database(tmp_path):
    database = Database(tmp_path / "data" / "sluicegate.db")
    yield database
    await database.close()


def usage(request_id, cost=100):
    data = {"request_id": request_id, "cost_nano": cost}
    return Event(request_id, "/g", USAGE_RECORDED, 5.0, "acme", request_id, data).to_json()


async def put(redis, body, field="event"):
    await redis.execute("SADD", "slg:tenants", "acme")
    await redis.execute("XADD", "slg:{acme}:outbox", "*", field, body)


async def begin(admission, counters):
    """Give `counters` a life, from nothing spent."""
    tenant = counters.subject.tenant
    await admission.seed(tenant, [(counter, 0) for counter in counters.amounts])
    generation, _ = await admission.begin(tenant, (), "g1", 0)
    return generation


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the other side has no event to wait for
            await asyncio.sleep(0.005)


async def test_the_outbox_is_read_in_order_and_forgets_what_was_confirmed(redis):
    outbox = RedisOutbox(redis)
    assert list(await outbox.pending("acme", 10)) == []
    for n in range(5):
        await put(redis, b"event %d \x00\xff" % n)
    first = await outbox.pending("acme", 3)
    assert [body for _, body in first] == [b"event %d \x00\xff" % n for n in range(3)]
    await outbox.confirm("acme", [entry for entry, _ in first[:2]])
    await outbox.confirm("acme", [])
    await outbox.confirm("acme", [first[0][0]])
    assert [body[:7] for _, body in await outbox.pending("acme", 10)] == [b"event 2", b"event 3", b"event 4"]
    assert list(await outbox.pending("other", 10)) == []
    assert list(await outbox.tenants()) == ["acme"]


async def test_beside_the_outbox_stands_what_the_bus_was_told(redis):
    outbox = RedisOutbox(redis)
    for n in range(3):
        await put(redis, b"event %d" % n)
    places = [place for place, _ in await outbox.pending("acme", 10)]
    assert await outbox.published("acme") is None
    await outbox.mark_published("acme", places[1])
    assert await outbox.published("acme") == places[1]
    assert [place for place, _ in await outbox.pending("acme", 10, places[1])] == places[2:]
    await outbox.mark_published("acme", None)
    assert await outbox.published("acme") is None


async def test_an_outbox_tells_when_what_was_in_it_is_out(redis):
    outbox = RedisOutbox(redis)
    assert await outbox.passed(await outbox.mark())
    for n in range(2):
        await put(redis, b"event %d" % n)
    mark = await outbox.mark()
    await put(redis, b"later")
    first, second, _ = [place for place, _ in await outbox.pending("acme", 10)]
    await outbox.confirm("acme", [second])
    assert not await outbox.passed(mark)
    await outbox.confirm("acme", [first])
    assert await outbox.passed(mark)


@pytest.fixture
async def bus(database, tmp_path):
    async with open_bus(tmp_path / "data", SystemClock()) as bus:
        yield bus


def service_on(redis, database, bus):
    return event_service(bus, database, redis, PolicySet(), SystemClock())


async def test_what_the_scripts_append_is_booked_and_what_is_not_theirs_is_kept(redis, database, bus):
    store = SqliteUsageStore(database)
    for n in range(30):
        await put(redis, usage(f"req_{n}"))
    await put(redis, b"foreign", field="other")
    await asyncio.gather(*(service_on(redis, database, bus).drain() for _ in range(3)))
    assert (await store.spent("acme", "tenant", "acme", 0, 100))[0] == 3000
    assert await redis.execute("XLEN", "slg:{acme}:outbox") == 0
    assert {letter.body for letter in await bus.dead_letters.list()} == {b"other\nforeign"}


async def test_a_flush_is_no_reason_to_wait(redis, database, bus):
    """The mark goes with the outbox, and what is told again after it is taken at once."""
    store, service = SqliteUsageStore(database), service_on(redis, database, bus)
    for n in range(5):
        await put(redis, usage(f"req_{n}"))
    await service.drain()
    await redis.execute("FLUSHALL")
    for n in range(8):
        await put(redis, usage(f"req_{n}"))
    await service.drain()
    assert (await store.spent("acme", "tenant", "acme", 0, 100))[0] == 800
    assert await redis.execute("XLEN", "slg:{acme}:outbox") == 0


async def test_what_an_older_release_set_aside_becomes_a_dead_letter(redis, database, bus):
    def fill(connection):
        connection.execute(
            "INSERT INTO dead_events (tenant, id, at, reason, body) "
            "VALUES ('acme', '1-0', 5.0, 'not JSON', X'00ff')"
        )

    await database.write(fill)
    for _ in range(2):
        await service_on(redis, database, bus).drain()
    [letter] = await bus.dead_letters.list()
    assert (letter.group, letter.reason, letter.body, letter.last_at) == (
        "ledger",
        "not JSON",
        b"\x00\xff",
        5.0,
    )


async def test_a_lost_owners_hold_is_booked_and_corrected_by_its_late_owner(redis, database, bus):
    """Counters and ledger say the same, before and after."""
    budgets = BudgetPolicy.model_validate({"budgets": [{"scope": "tenant", "period": "day", "limit_usd": 1}]})
    subject = Subject("acme", "growth", "kim", "key_a", "small", tools=("llm",))
    now = SystemClock().now()
    counters = compile_counters(subject, budgets, LimitPolicy(), (), now)
    admission = RedisAdmissionStore(redis, lifetime_s=0)
    generation = await begin(admission, counters)
    await admission.enlist("acme")
    await admission.admit(counters, "req_1", (5000, 10), (5000, 10), count=True)
    assert await admission.reap("acme", "req_1") == 5000
    store, service = SqliteUsageStore(database), service_on(redis, database, bus)
    await service.drain()
    assert list(await bus.dead_letters.list()) == []
    for scope, name in (("tenant", "acme"), ("workspace", "growth"), ("model", "small"), ("tool", "llm")):
        assert (await store.spent("acme", scope, name, now - 60, now + 60))[0] == 5000
    own = Event(
        "req_1", "/g", USAGE_RECORDED, now, "acme", "req_1", {"request_id": "req_1", "cost_nano": 1200}
    )
    await admission.settle(counters, "req_1", generation, 1200, 7, own.to_json())
    await service.drain()
    assert (await store.spent("acme", "tenant", "acme", now - 60, now + 60))[0] == 1200
    assert await admission.read("acme", counters.money) == [(1200, 1200)]


class Instance:
    """One gateway's identity, listening."""

    def __init__(self, database):
        roles, policy = PolicySet().load("roles", RolesPolicy), IdentityPolicy()
        self.store = SqliteKeyStore(database)
        self.keys = KeyAdministration(self.store, roles, policy.keys, SystemClock(), Told())
        verifier = KeyVerifier(self.store, roles, policy, SystemClock())
        self.authenticator = Authenticator(verifier, policy, SystemClock())

    async def listen(self, redis):
        await listen_for_keys(redis, self.authenticator.forget, self.authenticator.forget_all)


async def test_a_revocation_reaches_running_instances_and_admission_at_once(redis, database):
    instance = Instance(database)
    await instance.listen(redis)
    issued = await instance.keys.create(KeyRequest("acme", "growth", "kim"), by=Actor("system"))
    header = b"Bearer " + issued.text.encode()
    principal = await instance.authenticator.authenticate(header, None, "c")
    elsewhere = KeyAdministration(
        instance.store, PolicySet().load("roles", RolesPolicy), IdentityPolicy().keys, SystemClock(),
        Told(), RedisAnnouncements(redis),
    )  # fmt: skip
    assert (await elsewhere.revoke("acme", issued.key.id, by=Actor("system"))).announced
    await until(lambda: instance.authenticator.peek(header) is None)
    with pytest.raises(AuthenticationError, match="revoked"):
        await instance.authenticator.authenticate(header, None, "c")
    # An instance that heard nothing is stopped by the mark, in the admission script itself.
    subject = Subject("acme", "growth", "kim", principal.key_id, "small")
    counters = compile_counters(subject, BudgetPolicy(), LimitPolicy(), (), SystemClock().now())
    admission = RedisAdmissionStore(redis)
    await begin(admission, counters)
    reply = await admission.admit(counters, "req_1", (1, 1), (1, 1), count=True)
    assert isinstance(reply, Refused)
    assert reply.by is RefusedBy.REVOKED


async def test_a_rotation_and_a_changed_budget_are_announced(redis, database):
    instance = Instance(database)
    await instance.listen(redis)
    tenants = []
    await listen_for_overrides(redis, tenants.append, lambda: None)
    issued = await instance.keys.create(KeyRequest("acme", "growth", "kim"), by=Actor("system"))
    header = b"Bearer " + issued.text.encode()
    await instance.authenticator.authenticate(header, None, "c")
    announcements = RedisAnnouncements(redis)
    await announcements.changed(issued.key.id)
    await announcements.overrides_changed("acme")
    await until(lambda: instance.authenticator.peek(header) is None and tenants == ["acme"])
    await instance.authenticator.authenticate(header, None, "c")


async def test_the_command_line_finds_the_running_server(redis, database, tmp_path, ledger_redis_url):
    instance = Instance(database)
    await instance.listen(redis)
    issued = await instance.keys.create(KeyRequest("default", "growth", "kim"), by=Actor("system"))
    header = b"Bearer " + issued.text.encode()
    await instance.authenticator.authenticate(header, None, "c")
    data = tmp_path / "data"
    (data / "dev.env").write_text(f"SLUICEGATE_URL=http://x\nexport REDIS_URL='{ledger_redis_url}'\n")

    async def cli(*arguments):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sluicegate.cli", *arguments, "--data", str(data),
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "shared")}, cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err
        return out.decode(), err.decode()

    budgets = PolicySet().load("budgets", BudgetPolicy)
    subject = Subject("default", "growth", "kim", issued.key.id, "small")
    counters = compile_counters(subject, budgets, LimitPolicy(), (), SystemClock().now())
    admission = RedisAdmissionStore(redis)
    await begin(admission, counters)
    await admission.admit(counters, "req_1", (1_500_000_000, 0), (1, 0), count=True)
    shown, said = await cli("budget", "show")
    assert "1.5" in shown
    assert said == ""
    _, said = await cli("keys", "revoke", issued.key.id)
    assert said == ""
    await until(lambda: instance.authenticator.peek(header) is None)
