import pytest

from sluicegate.events.policy import DeliveryPolicy, RetryPolicy
from sluicegate.events.ports import Message
from sluicegate.events.publisher import BusPublisher
from sluicegate.kernel.errors import DependencyUnavailableError
from sluicegate.kernel.events import BUDGET_THRESHOLD, Event, EventFailure


class Handler:
    """Applies events, except as told."""

    def __init__(self):
        self.applied = []
        self.calls = 0
        self.fails = {}
        self.poison = set()
        self.away = False

    async def handle(self, events):
        self.calls += 1
        if self.away:
            raise DependencyUnavailableError("ledger away")
        if self.poison & {event.id for event in events}:
            raise RuntimeError("bug")
        failures = []
        for index, event in enumerate(events):
            if event.id in self.fails:
                failures.append(EventFailure(index, f"cannot: {event.id}", self.fails[event.id]))
            else:
                self.applied.append(event.id)
        return failures


@pytest.fixture
def handler():
    return Handler()


async def publish(world, *ids):
    events = [Event(each, "/a", BUDGET_THRESHOLD, 5.0, "acme") for each in ids]
    await BusPublisher(world.bus).publish(events)


async def rounds(world, dispatcher, count, seconds):
    for _ in range(count):
        while await dispatcher.deliver():
            pass
        world.clock.advance(seconds)


async def test_what_is_applied_is_confirmed_first_and_then_done(world, handler):
    await publish(world, "1", "2")
    order = []

    async def confirm(deliveries):
        order.append((len(handler.applied), len(deliveries)))

    dispatcher = world.dispatcher(handler, confirm=confirm)
    assert await dispatcher.deliver() == 2
    assert order == [(2, 2)]
    assert await dispatcher.deliver() == 0
    assert dispatcher.counts.applied == 2


async def test_what_cannot_be_confirmed_comes_again(world, handler):
    await publish(world, "1")

    async def confirm(_deliveries):
        raise DependencyUnavailableError("redis away")

    with pytest.raises(DependencyUnavailableError):
        await world.dispatcher(handler, confirm=confirm).deliver()
    assert await world.dispatcher(handler).deliver() == 1
    assert handler.applied == ["1", "1"]


async def test_a_failure_is_tried_again_with_growing_delays_and_then_a_dead_letter(world, handler):
    await publish(world, "1", "2", "3")
    handler.fails["2"] = False
    confirmed = []

    async def confirm(deliveries):
        confirmed.extend(deliveries)

    dispatcher = world.dispatcher(handler, confirm=confirm)
    tried_after = []
    for second in range(40):
        if await dispatcher.deliver():
            tried_after.append(second)
        world.clock.advance(1)
    assert tried_after == [0, 1, 3, 7, 15]
    assert handler.applied == ["1", "3"]
    [letter] = await world.dead()
    assert (letter.reason, letter.attempts, letter.group) == ("cannot: 2", 5, "ledger")
    assert letter.last_at - letter.first_at == 15
    assert len(confirmed) == 3, "a dead letter is an outcome: nobody waits for it any more"
    assert (dispatcher.counts.retried, dispatcher.counts.buried) == (4, 1)


async def test_what_can_never_be_applied_is_a_dead_letter_at_once(world, handler):
    await publish(world, "1", "2")
    handler.fails["1"] = True
    await world.dispatcher(handler).deliver()
    [letter] = await world.dead()
    assert (letter.reason, letter.attempts) == ("cannot: 1", 1)
    assert handler.applied == ["2"]


@pytest.mark.parametrize(
    ("tenant", "body", "reason"),
    [
        ("acme", b'{"poison', "not JSON"),
        ("acme", b"[]", "not a JSON object"),
        ("acme", b'{"id":"1"}', "source is missing"),
        ("other", Event("1", "/a", BUDGET_THRESHOLD, 5.0, "acme").to_json(), "it belongs to another tenant"),
    ],
)
async def test_bytes_that_are_no_event_of_the_tenant_never_reach_the_handler(
    world, handler, tenant, body, reason
):
    await publish(world, "1")
    await world.bus.publish([Message(tenant, body)])
    await world.dispatcher(handler).deliver()
    assert handler.applied == ["1"]
    [letter] = await world.dead()
    assert (letter.tenant, letter.body, letter.reason) == (tenant, body, reason)


async def test_what_a_handler_breaks_on_is_found_and_holds_nothing_up(world, handler):
    await publish(world, *map(str, range(10)))
    handler.poison = {"3", "7"}
    dispatcher = world.dispatcher(handler)
    await dispatcher.deliver()
    assert sorted(handler.applied) == ["0", "1", "2", "4", "5", "6", "8", "9"]
    assert await world.dead() == []
    await rounds(world, dispatcher, 6, 60)
    assert {letter.reason for letter in await world.dead()} == {"RuntimeError: bug"}
    assert len(await world.dead()) == 2
    assert len(handler.applied) == 8


async def test_what_the_handler_needs_being_away_is_no_event_s_fault(world, handler):
    await publish(world, "1", "2")
    handler.away = True
    dispatcher = world.dispatcher(handler)
    for _ in range(20):
        with pytest.raises(DependencyUnavailableError):
            await dispatcher.deliver()
    handler.away = False
    await dispatcher.deliver()
    assert (handler.applied, await world.dead()) == (["1", "2"], [])


async def test_a_replayed_letter_is_applied_once_the_cause_is_mended(world, handler):
    await publish(world, "1")
    handler.fails["1"] = True
    dispatcher = world.dispatcher(handler)
    await dispatcher.deliver()
    handler.fails.clear()
    await world.letters.replay([letter.id for letter in await world.dead()])
    await dispatcher.deliver()
    assert (handler.applied, await world.dead()) == (["1"], [])


async def test_an_event_of_no_registered_type_or_too_large_is_not_published(world):
    publisher = BusPublisher(world.bus)
    with pytest.raises(ValueError, match="registered"):
        await publisher.publish([Event("1", "/a", "dev.sluicegate.made.up.v1", 5.0, "acme")])
    large = Event("1", "/a", BUDGET_THRESHOLD, 5.0, "acme", None, {"x": "y" * (1 << 20)})
    with pytest.raises(ValueError, match="at most"):
        await publisher.publish([large])
    await publisher.publish([])


@pytest.mark.parametrize(("attempt", "least", "most"), [(1, 0.5, 1), (2, 1, 2), (4, 4, 8), (99, 150, 300)])
def test_delays_double_up_to_the_longest_with_jitter_in_their_upper_half(attempt, least, most):
    policy = RetryPolicy(attempts=100)
    assert policy.delay_s(attempt, 0.0) == least
    assert least < policy.delay_s(attempt, 0.999) < most


def test_a_policy_whose_delays_shrink_is_refused():
    with pytest.raises(ValueError, match="longest_s"):
        DeliveryPolicy.model_validate({"retry": {"first_s": 10, "longest_s": 5}})
