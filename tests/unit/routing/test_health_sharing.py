"""Instances tell each other; a board that is away harms nothing. And active checks."""

import asyncio

from sluicegate.routing.checks import HealthChecks
from sluicegate.routing.policy import HealthPolicy
from sluicegate.routing.ports import BoardUnavailable, HealthChange
from sluicegate.routing.sharing import HealthSharing


class Board:
    """A board in memory that can be away."""

    def __init__(self):
        self.away = False
        self.kept = []
        self.published = []
        self.on_change = None
        self.on_gap = None
        self.closed = False
        self.snapshots = 0
        self.seen = asyncio.Event()

    def _check(self):
        if self.away:
            raise BoardUnavailable("away")

    async def publish(self, change):
        self._check()
        self.published.append(change)
        self.seen.set()

    async def snapshot(self):
        self._check()
        self.snapshots += 1
        self.seen.set()
        return self.kept

    async def watch(self, on_change, on_gap):
        self._check()
        self.on_change, self.on_gap = on_change, on_gap

    async def close(self):
        self.closed = True


def change(clock, model="large", *, is_open=True, lasts=20.0):
    return HealthChange("alpha", model, is_open, clock.now() + lasts if is_open else 0.0, 1)


def break_(router, model):
    for _ in range(5):
        trial = router.begin(model)
        router.report(trial, ok=False, kind="503")
        router.end(trial)


async def test_an_opening_is_published_once_and_news_is_not_echoed(router, clock):
    board = Board()
    sharing = HealthSharing(router.health, board)
    sharing.start()
    await board.seen.wait()
    board.seen.clear()
    break_(router, "large")
    await board.seen.wait()
    board.on_change(change(clock, "small"))
    await asyncio.sleep(0)
    await sharing.stop()
    assert [(c.model, c.open) for c in board.published] == [("large", True)]
    assert clock.now() < board.published[0].open_until <= clock.now() + 5
    assert board.closed
    assert board.snapshots == 1


async def test_a_new_instance_starts_with_what_the_board_keeps(router, clock):
    board = Board()
    board.kept = [change(clock), change(clock, "small", lasts=-1), change(clock, "unknown-model")]
    sharing = HealthSharing(router.health, board)
    sharing.start()
    await board.seen.wait()
    await asyncio.sleep(0)
    await sharing.stop()
    assert router.health.unhealthy(router.resolve("large"))
    assert router.health.unhealthy(router.resolve("small")) is None


async def test_after_a_gap_the_board_is_read_again(router, clock):
    board = Board()
    sharing = HealthSharing(router.health, board)
    sharing.start()
    await board.seen.wait()
    board.seen.clear()
    board.kept = [change(clock)]
    board.on_gap()
    await board.seen.wait()
    await asyncio.sleep(0)
    await sharing.stop()
    assert router.health.unhealthy(router.resolve("large"))


async def test_a_board_that_is_away_leaves_health_local_and_is_told_later(router, clock):
    board = Board()
    board.away = True
    sharing = HealthSharing(router.health, board, retry_s=0.001)
    sharing.start()
    break_(router, "large")
    await asyncio.sleep(0.005)
    assert router.health.unhealthy(router.resolve("large"))
    board.seen.clear()
    board.away = False
    await board.seen.wait()
    await asyncio.sleep(0)
    await sharing.stop()
    assert [c.model for c in board.published] == ["large"]


async def test_closing_is_published_too(router, clock):
    changes = []
    router.health.on_change = changes.append
    break_(router, "large")
    clock.advance(10)
    for _ in range(2):
        trial = router.begin("large")
        router.report(trial, ok=True)
        router.end(trial)
    assert [(c.open, c.open_until > 0) for c in changes] == [(True, True), (False, False)]


async def test_checks_that_fail_or_hang_count_and_do_not_stop_the_others(router, caplog):
    asked = []

    async def refuses():
        raise ConnectionRefusedError("nobody there")

    async def hangs():
        await asyncio.Event().wait()

    async def passes():
        asked.append(1)

    policy = HealthPolicy(check_timeout_s=0.01)
    checks = HealthChecks(router.health, {"alpha": refuses, "beta": hangs, "stage": passes}, policy)
    for _ in range(3):
        await checks.round()
    assert len(asked) == 3
    # What failed is for the log; callers, who may not know our hosts, hear only that it did.
    assert router.health.unhealthy(router.resolve("small")) == "alpha fails its health check"
    assert router.health.unhealthy(router.resolve("middle")) == "beta fails its health check"
    assert "nobody there" in caplog.text
    assert "no answer within 0.01 s" in caplog.text
    assert router.health.unhealthy(router.resolve("play")) is None


async def test_the_loop_of_checks_runs_and_stops(router):
    asked = asyncio.Event()

    async def passes():
        asked.set()

    checks = HealthChecks(router.health, {"alpha": passes}, HealthPolicy(check_interval_s=0.001))
    checks.start()
    await asked.wait()
    await checks.stop()
