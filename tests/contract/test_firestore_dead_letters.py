"""`events.ports.DeadLetterStore` on Firestore, through `DeadLetters` as operators use it."""

import pytest

from sluicegate.adapters.gcp.firestore.dead_letters import FirestoreDeadLetterStore
from sluicegate.events.dead_letters import DeadLetters
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.errors import DependencyUnavailableError, NotFoundError


@pytest.fixture
def replayed():
    return []


@pytest.fixture
def store(firestore, replayed):
    async def replay(letters):
        replayed.extend(letters)

    return FirestoreDeadLetterStore(firestore, replay, FixedClock(1_800_000_000.0))


@pytest.fixture
def letters(store):
    return DeadLetters(store)


async def bury(store, number, tenant="acme", group="ledger"):
    return await store.keep(
        group=group, tenant=tenant, reason="bad", attempts=5, first_at=1.0, last_at=float(number),
        body=b'{"id":"%d"}' % number,
    )  # fmt: skip


async def test_letters_are_listed_oldest_first_by_group_and_tenant_a_page_at_a_time(store, letters):
    kept = [await bury(store, number // 2, ("acme", "other")[number > 3]) for number in range(6)]
    other = await bury(store, 9, group="audit")
    every = await letters.list()
    assert [each.last_at for each in every] == sorted(each.last_at for each in [*kept, other])
    assert {each.id for each in every} == {each.id for each in [*kept, other]}
    assert [each async for each in letters.all("acme", "ledger")] == list(every[:4])
    assert list(await letters.list("other")) == list(every[4:6])
    assert list(await letters.list(group="audit")) == [other]
    paged, after = [], None
    while page := await letters.list(limit=2, after=after):
        paged += page
        after = page[-1].id
    assert paged == list(every)


@pytest.mark.parametrize("name", ["0", "-1", "x", "9" * 40, "", "a@", "../x@acme", "a@a/b", "@acme"])
async def test_a_letter_that_is_not_there_is_not_found(store, letters, name):
    await bury(store, 1)
    for action in (letters.show(name), letters.replay([name]), letters.drop([name])):
        with pytest.raises(NotFoundError):
            await action
    assert len(await letters.list()) == 1


async def test_another_tenants_letter_is_not_there(store, letters):
    letter = await bury(store, 1)
    for id_ in (letter.id, letter.id.replace("@acme", "@other")):
        with pytest.raises(NotFoundError):
            await letters.show(id_, "other")
    assert await letters.show(letter.id, "acme") == letter


async def test_a_replayed_letter_is_delivered_and_gone(store, letters, replayed):
    first, second = await bury(store, 1), await bury(store, 2)
    assert await letters.replay([first.id]) == 1
    assert (replayed, list(await letters.list())) == ([first], [second])
    assert await letters.drop([second.id]) == 1
    assert list(await letters.list()) == []


async def test_a_letter_that_cannot_be_delivered_stays(firestore):
    async def away(letters):
        raise DependencyUnavailableError("the bus is away")

    store = FirestoreDeadLetterStore(firestore, away, FixedClock(1.0))
    letter = await bury(store, 1)
    with pytest.raises(DependencyUnavailableError):
        await store.replay([letter.id])
    assert await store.get(letter.id) == letter
