"""The sequencer is stopped at each of its steps in turn, and two of them are put in every order."""

import asyncio
import contextlib
from itertools import chain, count, product

import pytest
from audit_rig.logs import check, make_log, usage
from audit_rig.memory import Disk, nothing
from hypothesis import given
from hypothesis import strategies as st


class Killed(BaseException):
    """Nothing after it runs: whoever catches it is not the program."""


def killer(at):
    numbers = count()

    async def step(what):
        if next(numbers) == at:
            raise Killed(what)

    return step


async def begun(entries):
    """A log that has some entries, so that the next ones fill a tile."""
    disk = Disk()
    first = [usage(number) for number in range(entries)]
    await make_log(disk).consumer.handle(first)
    return disk, first


BATCHES = [
    [usage(number, tenant="acme" if number % 2 else "zeta") for number in range(300, 310)],
    [usage(number, at=1_767_225_600.0 + number * 20_000) for number in range(305, 312)],
]


async def play(disk, step):
    log = make_log(disk, step)
    for batch in BATCHES:
        assert await log.consumer.handle(batch) == []


@pytest.mark.parametrize("entries", [0, 250, 255])
async def test_killed_at_any_step_each_entry_is_in_the_log_once(entries):
    template, before = await begun(entries)
    expected = [*before, *BATCHES[0], *BATCHES[1]]
    for at in count():
        disk = template.copy()
        try:
            await play(disk, killer(at))
        except Killed:
            await play(disk, nothing)
            await make_log(disk).start()
            await check(disk, expected)
            continue
        await check(disk, expected)
        break
    assert at > 40, "the steps were not counted"


async def test_killed_again_while_it_recovers():
    template, before = await begun(254)
    expected = [*before, *BATCHES[0], *BATCHES[1]]
    for first, second in product(range(14, 60, 4), range(2, 30, 3)):
        disk = template.copy()
        for at in (first, second):
            with contextlib.suppress(Killed):
                await play(disk, killer(at))
        await play(disk, nothing)
        await make_log(disk).start()
        await check(disk, expected)


@pytest.mark.parametrize("lost", [0, 100, 259])
async def test_an_index_that_lost_its_end_is_filled_in_before_anything_is_added(lost):
    disk, before = await begun(260)
    for place in range(lost, 260):
        del disk.rows[place]
    await make_log(disk).consumer.handle([*before[250:], usage(900)])
    await check(disk, [*before, usage(900)])


async def test_an_index_that_is_emptied_while_entries_are_added_lets_none_in_twice():
    template, before = await begun(20)
    for at in range(12):
        disk = template.copy()
        numbers = count()

        async def step(what, disk=disk, numbers=numbers, at=at):
            if next(numbers) == at:
                disk.rows.clear()
                disk.packs.clear()

        try:
            await make_log(disk, step).consumer.handle(before)
        finally:
            await make_log(disk).consumer.handle(before)
        await check(disk, before)


class Stage:
    """Lets one of several sequencers take one step at a time, as a schedule says."""

    def __init__(self, disk, parts):
        self.waiting = {}
        self.tasks = []
        for name, batches in enumerate(parts):
            self.tasks.append(asyncio.ensure_future(self._play(name, disk, batches)))

    async def _play(self, name, disk, batches):
        async def step(what):
            turn = asyncio.get_running_loop().create_future()
            self.waiting.setdefault(name, []).append(turn)
            await turn

        log = make_log(disk, step)
        for batch in batches:
            assert await log.consumer.handle(batch) == []

    async def run(self, choose):
        steps = [0] * len(self.tasks)
        while not all(task.done() for task in self.tasks):
            alive = [name for name, task in enumerate(self.tasks) if not task.done()]
            if not all(self.waiting.get(name) for name in alive):
                await asyncio.sleep(0)
                continue
            name = choose(alive, steps)
            steps[name] += 1
            self.waiting[name].pop(0).set_result(None)
            await asyncio.sleep(0)
        for task in self.tasks:
            task.result()
        return steps


def switching(first, *switches):
    """Run `first`, and change to the other one after so many steps, and so on; then whoever is left."""
    left = list(switches)
    now, taken = first, 0

    def choose(alive, steps):
        nonlocal now, taken
        if now not in alive or (left and taken == left[0]):
            if now in alive:
                left.pop(0)
            now, taken = (1 - now if 1 - now in alive else alive[0]), 0
        taken += 1
        return now

    return choose


BOTH = ([BATCHES[0]], [BATCHES[1]])


async def test_two_sequencers_never_fork_whichever_stops_and_goes_on_when():
    template, before = await begun(250)
    expected = [*before, *BATCHES[0], *BATCHES[1]]
    alone = Stage(template.copy(), ([BATCHES[0]], []))
    most = (await alone.run(lambda alive, steps: alive[0]))[0]
    assert most > 25
    for first, away, back in product((0, 1), range(1, most + 2), (1, 5, 9, 15, 30, 99)):
        disk = template.copy()
        await Stage(disk, BOTH).run(switching(first, away, back))
        await make_log(disk).start()
        await check(disk, expected)


@given(st.lists(st.integers(0, 2), max_size=150), st.integers(0, 2))
def test_three_sequencers_never_fork_in_any_order(order, last):
    async def run():
        disk, before = await begun(3)
        turns = iter(order)

        def choose(alive, steps):
            wanted = next(turns, last)
            return wanted if wanted in alive else alive[0]

        await Stage(disk, ([BATCHES[0]], [BATCHES[1]], [BATCHES[0], BATCHES[1]])).run(choose)
        await make_log(disk).start()
        await check(disk, [*before, *BATCHES[0], *BATCHES[1]])

    asyncio.run(run())


async def test_one_that_was_stopped_for_long_brings_nothing_old_back():
    """Stopped right after its commit, while another one finishes for it and goes on."""
    template, before = await begun(250)
    more = [[usage(number) for number in range(n, n + 4)] for n in (400, 500, 600)]
    for away in range(1, 45):
        disk = template.copy()
        await Stage(disk, ([BATCHES[0]], [BATCHES[1], *more])).run(switching(0, away, 10_000))
        await make_log(disk).start()
        await check(disk, [*before, *BATCHES[0], *BATCHES[1], *chain.from_iterable(more)])


@pytest.mark.parametrize("then", ["goes on", "is finished by another"])
async def test_a_store_that_says_no_to_what_it_has_written_loses_nothing(then):
    """A far store's client that repeats a conditional write by itself hears no to the second one."""
    disk, before = await begun(5)
    log = make_log(disk)
    blobs = log._parts.blobs
    write, refused = blobs.write, []

    async def forgetful(name, content, **condition):
        generation = await write(name, content, **condition)
        if name == "state" and b"staging" in content and not refused:
            refused.append(name)
            if then != "goes on":
                await make_log(disk).consumer.handle([usage(700)])
            return None
        return generation

    blobs.write = forgetful
    await log.consumer.handle(BATCHES[0])
    assert refused
    await make_log(disk).start()
    await check(disk, [*before, *BATCHES[0], *([usage(700)] if then != "goes on" else [])])
