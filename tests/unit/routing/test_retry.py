"""What follows a failed try."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sluicegate.routing.policy import HedgePolicy, RetryPolicy
from sluicegate.routing.retry import (
    AttemptState,
    Fallback,
    GiveUp,
    Outcome,
    Retry,
    RetryBudget,
    hedge_after,
    next_step,
)

POLICY = RetryPolicy(
    attempts_per_model=2, max_attempts=4, base_delay_s=0.1, max_delay_s=1, max_retry_after_s=2
)
FIRST = AttemptState(attempts=1, on_model=1, candidates_left=1, remaining_s=60)


def step(outcome, state=FIRST, policy=POLICY, *, budget=True):
    return next_step(state, outcome, policy, rng=random.Random(1), budget_available=budget)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529, 599])
def test_passing_failures_are_tried_again_at_the_same_model(status):
    assert isinstance(step(Outcome("status", status)), Retry)


@pytest.mark.parametrize("kind", ["connect", "broken", "timeout"])
def test_failures_before_the_first_byte_are_tried_again(kind):
    assert isinstance(step(Outcome(kind)), Retry)


@pytest.mark.parametrize("status", [400, 402, 413, 415, 422])
def test_a_clients_mistake_is_final(status):
    assert isinstance(step(Outcome("status", status)), GiveUp)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_our_own_misconfiguration_goes_to_another_model_and_alerts(status):
    assert step(Outcome("status", status)) == Fallback(alert=True)
    alone = AttemptState(attempts=1, on_model=1, candidates_left=0, remaining_s=60)
    given_up = step(Outcome("status", status), alone)
    assert isinstance(given_up, GiveUp)
    assert given_up.alert


def test_the_second_failure_at_a_model_goes_to_the_next():
    state = AttemptState(attempts=2, on_model=2, candidates_left=1, remaining_s=60)
    assert step(Outcome("status", 503), state) == Fallback()


def test_a_short_retry_after_is_waited_for_and_a_long_one_is_not():
    waited = step(Outcome("status", 429, retry_after_s=1.5))
    assert isinstance(waited, Retry)
    assert waited.delay_s >= 1.5
    assert step(Outcome("status", 429, retry_after_s=30)) == Fallback()


def test_no_more_than_the_policys_tries_in_all():
    state = AttemptState(attempts=4, on_model=1, candidates_left=3, remaining_s=60)
    assert isinstance(step(Outcome("connect"), state), GiveUp)


def test_a_wait_past_the_total_deadline_is_no_use():
    state = AttemptState(attempts=1, on_model=1, candidates_left=1, remaining_s=1)
    assert step(Outcome("status", 429, retry_after_s=1.5), state) == Fallback()
    late = AttemptState(attempts=1, on_model=1, candidates_left=1, remaining_s=0)
    assert isinstance(step(Outcome("connect"), late), GiveUp)


def test_timeouts_can_be_final_by_policy():
    policy = POLICY.model_copy(update={"retry_timeouts": False})
    assert isinstance(step(Outcome("timeout"), policy=policy), GiveUp)
    assert isinstance(step(Outcome("connect"), policy=policy), Retry)


def test_without_budget_only_another_model_is_tried():
    assert step(Outcome("status", 503), budget=False) == Fallback()


@given(
    st.sampled_from(["connect", "timeout", "broken", "status"]),
    st.integers(400, 599),
    st.floats(0, 10) | st.none(),
    st.floats(0.01, 100),
    st.integers(0, 2**32),
)
def test_every_request_ends_within_the_policys_tries(kind, status, retry_after, remaining, seed):
    rng = random.Random(seed)
    attempts, on_model, left = 1, 1, 3
    while True:
        outcome = Outcome(kind, status if kind == "status" else 0, retry_after)
        decision = next_step(AttemptState(attempts, on_model, left, remaining), outcome, POLICY, rng=rng)
        if isinstance(decision, GiveUp):
            break
        if isinstance(decision, Retry):
            assert 0 <= decision.delay_s < remaining
            assert decision.delay_s <= max(POLICY.max_delay_s, POLICY.max_retry_after_s)
            remaining -= decision.delay_s
            on_model += 1
        else:
            left -= 1
            on_model = 1
        attempts += 1
        assert left >= 0
        assert attempts <= POLICY.max_attempts


def test_a_dead_upstream_gets_only_its_share_of_retries():
    budget = RetryBudget(0.2, 0.0, 10)
    granted = 0
    for at in range(1_000):
        now = at / 100
        budget.request(now)
        if budget.available(now):
            budget.withdraw(now)
            granted += 1
    assert granted == 200


def test_the_budget_forgets_and_keeps_a_minimum():
    budget = RetryBudget(0.0, 0.1, 10)
    assert budget.available(0.0)
    budget.withdraw(0.0)
    assert not budget.available(5.0)
    assert budget.available(10.0)


def test_hedging_is_off_unless_policy_says_so_and_bounded_when_on():
    assert hedge_after(HedgePolicy(), 0.0, 1, 60) is None
    on = HedgePolicy(enabled=True, after_s=2, max_ratio=0.05)
    assert hedge_after(on, 0.0, 1, 60) == 2
    assert hedge_after(on, 0.05, 1, 60) is None
    assert hedge_after(on, 0.0, 0, 60) is None
    assert hedge_after(on, 0.0, 1, 1.5) is None


@pytest.mark.parametrize("fields", [{"statuses": [200]}, {"statuses": [404]}])
def test_statuses_must_be_failures_and_in_one_list_only(fields):
    with pytest.raises(ValidationError):
        RetryPolicy(**fields)
