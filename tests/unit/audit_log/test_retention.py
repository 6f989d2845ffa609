import pytest
from audit_rig.logs import POLICY, START, EveryPlan, Told, check, make_log, usage
from audit_rig.memory import Disk, MemoryBlobs

from sluicegate.audit.entry import Leaf
from sluicegate.audit.queries import Privacy
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.errors import DependencyUnavailableError

DAY = 86_400


def estate(now_days, **changes):
    clock = FixedClock(START + now_days * DAY)
    told = Told()
    plans = EveryPlan(acme="free", zeta="pro")
    disk = Disk()
    return disk, told, make_log(disk, clock=clock, events=told, plans=plans, **changes), clock


EVENTS = [
    usage(1),
    usage(2, at=START + DAY),
    usage(3, at=START + DAY),
    usage(4, at=START + 29 * DAY),
    usage(5, tenant="zeta"),
    usage(6, tenant="none"),
]


async def privacy_of(log, tenant):
    page = await log.queries.entries(tenant, reveal=True, newest_first=False)
    return [record.privacy.value for record in page.records if record.entry.action == "model.access"]


@pytest.mark.parametrize(
    ("days", "acme", "zeta"),
    [
        (30, ["open"] * 4, ["open"]),
        (31, ["expired", "open", "open", "open"], ["open"]),
        (32, ["expired"] * 3 + ["open"], ["open"]),
        (365, ["expired"] * 4, ["open"]),
        (366, ["expired"] * 4, ["expired"]),
    ],
)
async def test_payloads_go_when_the_plan_says_and_leaves_never(days, acme, zeta):
    _, told, log, _ = estate(days)
    await log.consumer.handle(EVENTS)
    before = (await log.queries.entries("acme", newest_first=False)).records
    await log.retention.run()
    await log.consumer.handle(told.events)
    assert await privacy_of(log, "acme") == acme
    assert await privacy_of(log, "zeta") == zeta
    assert await privacy_of(log, "none") == zeta, "the default is that of pro"
    after = (await log.queries.entries("acme", newest_first=False)).records
    assert [record.leaf for record in after][: len(before)] == [record.leaf for record in before]


async def test_each_deletion_is_an_entry_that_outsiders_can_read():
    disk, told, log, _ = estate(40)
    await log.consumer.handle(EVENTS)
    expired = await log.retention.run()
    assert [(each.tenant, each.day, each.packs, each.entries) for each in expired] == [
        ("acme", "2026-01-01", 1, 1),
        ("acme", "2026-01-02", 1, 2),
    ]
    await log.consumer.handle(told.events)
    shown = [
        leaf.shown
        for record in (await log.queries.entries("acme")).records
        if (leaf := Leaf.parse(record.leaf)).action == "audit.expired"
    ]
    assert {
        "tenant": "acme",
        "day": "2026-01-02",
        "packs": ["1-2"],
        "entries": 2,
        "retention_days": 30,
    } in shown
    assert len(shown) == 2
    assert await MemoryBlobs(disk).list("sealed/acme/2026-01-0") == []


async def test_running_again_changes_nothing():
    _, told, log, _ = estate(40)
    await log.consumer.handle(EVENTS)
    await log.retention.run()
    count = len(told.events)
    assert await log.retention.run() == []
    assert len(told.events) == count


async def test_a_deletion_that_was_cut_short_is_one_entry_in_the_end():
    _, told, log, _ = estate(40)
    await log.consumer.handle(EVENTS)
    delete = log._parts.blobs.delete

    async def failing(names):
        if any(name.startswith("sealed/") for name in names):
            raise DependencyUnavailableError("away")
        await delete(names)

    log._parts.blobs.delete = failing
    with pytest.raises(DependencyUnavailableError):
        await log.retention.run()
    log._parts.blobs.delete = delete
    await log.retention.run()
    await log.consumer.handle(told.events)
    ids = {event.id for event in told.events}
    assert len(ids) == 2
    assert len(told.events) == 3
    assert log.consumer.counts.entries == len(EVENTS) + 2


async def test_nothing_goes_before_the_log_was_told():
    class Away:
        async def publish(self, events):
            raise DependencyUnavailableError("away")

    disk = Disk()
    log = make_log(disk, clock=FixedClock(START + 400 * DAY), events=Away())
    await log.consumer.handle(EVENTS)
    with pytest.raises(DependencyUnavailableError):
        await log.retention.run()
    await check(disk, EVENTS)
    assert await privacy_of(log, "acme") == [Privacy.OPEN.value] * 4


async def test_a_clock_that_is_ahead_keeps_nothing_for_longer():
    _, _, log, clock = estate(0)
    await log.consumer.handle([usage(1, at=START + 1_000 * DAY)])
    clock.advance(400 * DAY)
    await log.retention.run()
    assert await privacy_of(log, "acme") == ["expired"]


async def test_an_own_period_of_a_tenant_counts_before_its_plan():
    own = POLICY.model_copy(
        update={"retention_days": POLICY.retention_days.model_copy(update={"tenants": {"acme": 1_000}})}
    )
    _, _, log, _ = estate(900, policy=own)
    await log.consumer.handle(EVENTS)
    await log.retention.run()
    assert await privacy_of(log, "acme") == ["open"] * 4
    assert await privacy_of(log, "zeta") == ["expired"]
