"""Exactness over real processes, small: `scripts/exactness` runs the full sizes (docs/exactness.md)."""

import pytest
from exactness_rig.asks import STREAMS
from exactness_rig.faults import flush, one_after_the_other, restart_empty, silence
from exactness_rig.policies import Money
from exactness_rig.trial import Outcome, Plan, run_trial

SMALL = Plan(gateways=2, alpha=40, beta=24, money=Money("0.10", "0.18", "0.015"), seconds=60)


def check(outcome: Outcome) -> None:
    """What holds in every trial, whatever happened to it."""
    samples, reckoning, seen = outcome.samples, outcome.reckoning, outcome.seen
    assert outcome.trouble == []
    assert seen.bad == []
    assert samples["samples"] > 50
    assert samples["over_limit"] == []
    assert samples["unequal"] == []
    assert (reckoning.holds, reckoning.due, reckoning.outbox) == (0, 0, 0)
    assert reckoning.dead == []
    assert reckoning.unequal == []
    assert reckoning.wrong == []
    assert reckoning.twice == []
    assert outcome.beyond == []
    # Streams tell what they cost even when they break off: only answers cut whole are guessed at.
    for name, kind in reckoning.estimates.items():
        if name.startswith("stream") and "tried again" not in name:
            assert kind.exact == kind.rows, name


def check_used(outcome: Outcome) -> None:
    """The budget was used up, to the last percent, and everybody was told so."""
    assert dict(outcome.seen.stopped) == {"402": outcome.plan.alpha + outcome.plan.beta}
    assert 0.99 <= outcome.used("tenant") <= 1


def check_nothing_lost(outcome: Outcome) -> None:
    reckoning = outcome.reckoning
    assert (reckoning.reaped_rows, reckoning.unrecorded) == (0, 0)
    excess = sum(kind.charged - kind.produced for kind in reckoning.estimates.values())
    assert reckoning.charged - reckoning.produced == excess


@pytest.mark.parametrize("kind", ["server", "embedded"])
async def test_what_is_charged_is_what_was_produced(kind, request):
    if kind == "server":
        request.getfixturevalue("redis_server")
    outcome = await run_trial(Plan(gateways=2, alpha=40, beta=24, money=SMALL.money, redis=kind))
    check(outcome)
    check_used(outcome)
    check_nothing_lost(outcome)
    assert outcome.samples["late_ms"] == 0
    assert outcome.samples["most_holds"] > 10


async def test_streams_that_hold_slice_by_slice_stay_below_their_holds(redis_server):
    plan = Plan(gateways=2, alpha=24, beta=14, money=SMALL.money, slice_tokens=128, mix=STREAMS, seed=5)
    outcome = await run_trial(plan)
    check(outcome)
    check_used(outcome)
    check_nothing_lost(outcome)
    assert outcome.seen.endings["stream ended"] > 20


async def test_killed_gateways_leak_nothing_and_lose_nothing(redis_server):
    plan = Plan(gateways=2, alpha=40, beta=24, money=SMALL.money, kill_every_s=1.2, lifetime_s=3, seed=2)
    outcome = await run_trial(plan)
    check(outcome)
    check_used(outcome)
    assert outcome.killed
    reckoning = outcome.reckoning
    # What died with its owner was charged at what was held, which covers what had been produced.
    assert reckoning.reaped >= reckoning.unrecorded
    excess = sum(kind.charged - kind.produced for kind in reckoning.estimates.values())
    assert reckoning.charged - reckoning.produced == excess + reckoning.reaped - reckoning.unrecorded


async def test_a_redis_that_is_silent_flushed_or_gone_costs_nobody_anything(redis_server):
    plan = Plan(gateways=2, alpha=40, beta=24, money=Money("0.25", "0.4", "0.03"), seed=3)
    away = one_after_the_other(silence(1, 1.5), flush(1), restart_empty(3.5, 0.5))
    outcome = await run_trial(plan, away)
    check(outcome)
    check_used(outcome)
    check_nothing_lost(outcome)
    assert outcome.samples["losses"] >= 1
    assert outcome.seen.codes["503 dependency_unavailable"] > 0


async def test_an_open_policy_serves_while_redis_is_away_and_charges_later(redis_server):
    plan = Plan(gateways=2, alpha=16, beta=8, money=SMALL.money, on_unavailable="open", seed=4)
    outcome = await run_trial(plan, silence(0.5, 2))
    reckoning, seen = outcome.reckoning, outcome.seen
    assert outcome.trouble == []
    assert seen.bad == []
    assert seen.codes["503 dependency_unavailable"] == 0
    assert outcome.samples["unequal"] == []
    assert reckoning.unequal == []
    assert reckoning.wrong == []
    assert reckoning.holds == 0
    check_nothing_lost(outcome)
    assert dict(seen.stopped) == {"402": 24}
