"""The circuit breaker, the latency average and the verdict of active checks."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sluicegate.routing.health import Breaker, BreakerState, FailureWindow, LatencyAverage, ProviderChecks
from sluicegate.routing.policy import BreakerPolicy

POLICY = BreakerPolicy(
    window_s=10,
    minimum_volume=4,
    failure_ratio=0.5,
    consecutive_failures=3,
    open_s=5,
    max_open_s=30,
    jitter=0.0,
    half_open_probes=1,
    successes_to_close=2,
)


def breaker(**changes):
    return Breaker(POLICY.model_copy(update=changes), random.Random(1))


def fail(it, times, now=0.0):
    return [it.record(ok=False, now=now) for _ in range(times)]


def test_it_opens_after_failures_in_a_row_and_says_so_once():
    it = breaker()
    assert fail(it, 3) == [False, False, True]
    assert it.state is BreakerState.OPEN
    assert it.begin(4.9) is None
    assert it.allows(5.0)


def test_a_success_between_failures_starts_the_row_anew():
    it = breaker(minimum_volume=100)
    fail(it, 2)
    it.record(ok=True, now=0)
    assert fail(it, 2) == [False, False]


def test_it_opens_by_ratio_only_at_the_minimum_volume():
    it = breaker(consecutive_failures=100)
    outcomes = [False, True, True]
    assert not any(it.record(ok=ok, now=0) for ok in outcomes)
    assert it.record(ok=False, now=0)
    assert it.state is BreakerState.OPEN


def test_failures_older_than_the_window_are_forgotten():
    it = breaker(consecutive_failures=100)
    fail(it, 3, now=0.0)
    assert fail(it, 1, now=11.5) == [False]


def test_the_window_never_counts_what_is_older_than_itself():
    window = FailureWindow(10)
    window.add(ok=False, now=0.5)
    window.add(ok=True, now=9.9)
    assert (window.successes, window.failures) == (1, 1)
    window.forget(10.5)
    assert (window.successes, window.failures) == (1, 0)


def test_half_open_lets_one_probe_through_and_two_successes_close_it():
    it = breaker()
    fail(it, 3)
    ticket = it.begin(5.0)
    assert ticket
    assert it.begin(5.0) is None
    assert not it.record(ok=True, now=5.1, ticket=ticket)
    it.end(ticket)
    second = it.begin(5.2)
    assert it.record(ok=True, now=5.3, ticket=second)
    assert it.state is BreakerState.CLOSED
    assert it.begin(5.4) == 0


def test_each_opening_in_a_row_lasts_twice_as_long_up_to_the_maximum():
    it = breaker()
    fail(it, 3)
    now, lengths = 0.0, []
    for _ in range(6):
        lengths.append(it.open_until - now)
        now = it.open_until
        ticket = it.begin(now)
        assert it.record(ok=False, now=now, ticket=ticket)
        it.end(ticket)
    assert lengths == [5, 10, 20, 30, 30, 30]


def test_jitter_only_shortens():
    for seed in range(20):
        it = Breaker(POLICY.model_copy(update={"jitter": 0.2}), random.Random(seed))
        fail(it, 3)
        assert 4.0 <= it.open_until <= 5.0


def test_a_late_result_from_before_the_opening_neither_closes_nor_reopens():
    it = breaker(successes_to_close=1)
    fail(it, 3)
    ticket = it.begin(5.0)
    assert not it.record(ok=True, now=5.1, ticket=0)
    assert not it.record(ok=False, now=5.1, ticket=0)
    assert it.state is BreakerState.HALF_OPEN
    assert it.record(ok=True, now=5.2, ticket=ticket)


def test_a_probe_without_a_result_gives_its_place_back():
    it = breaker()
    fail(it, 3)
    ticket = it.begin(5.0)
    it.end(ticket)
    assert it.begin(5.1)


def test_news_opens_it_unless_own_successes_say_otherwise():
    it = breaker()
    assert it.hear_open(remaining_s=7, openings=2, now=100.0)
    assert it.open_until == 107.0
    convinced = breaker()
    convinced.record(ok=True, now=99.0)
    assert not convinced.hear_open(remaining_s=7, openings=2, now=100.0)
    assert convinced.state is BreakerState.CLOSED


def test_news_of_an_end_already_past_or_far_away_is_bounded():
    it = breaker()
    assert not it.hear_open(remaining_s=-1, openings=1, now=0)
    it.hear_open(remaining_s=1e9, openings=10**9, now=0)
    assert it.open_until == POLICY.max_open_s
    ticket = it.begin(30.0)
    assert it.record(ok=False, now=30.0, ticket=ticket)
    assert it.open_until == 60.0


def test_good_news_closes_what_news_opened_and_only_hurries_what_was_opened_here():
    heard = breaker()
    heard.hear_open(remaining_s=7, openings=1, now=0)
    heard.hear_closed(1.0)
    assert heard.state is BreakerState.CLOSED
    own = breaker()
    fail(own, 3)
    own.hear_closed(1.0)
    assert own.state is BreakerState.OPEN
    assert own.begin(1.0)


class BreakerMachine(RuleBasedStateMachine):
    """Any sequence of requests, results, time and news: never more probes than allowed, never stuck."""

    def __init__(self):
        super().__init__()
        self.policy = POLICY.model_copy(update={"half_open_probes": 2, "jitter": 0.3})
        self.it = Breaker(self.policy, random.Random(3))
        self.now = 0.0
        self.under_way = []

    @rule()
    def begin(self):
        could = self.it.allows(self.now)
        ticket = self.it.begin(self.now)
        assert (ticket is not None) == could
        if ticket is not None:
            self.under_way.append(ticket)

    @precondition(lambda self: self.under_way)
    @rule(ok=st.booleans(), reported=st.booleans(), data=st.data())
    def finish(self, ok, reported, data):
        ticket = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        if reported:
            self.it.record(ok=ok, now=self.now, ticket=ticket)
        self.it.end(ticket)

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds):
        self.now += seconds

    @rule(remaining=st.floats(-5, 50))
    def hear_open(self, remaining):
        self.it.hear_open(remaining_s=remaining, openings=1, now=self.now)

    @rule()
    def hear_closed(self):
        self.it.hear_closed(self.now)

    @invariant()
    def probes_are_bounded(self):
        assert 0 <= self.it.probes <= self.policy.half_open_probes
        if self.it.state is BreakerState.HALF_OPEN:
            current = [ticket for ticket in self.under_way if ticket == self.it._phase]
            assert len(current) == self.it.probes

    @invariant()
    def it_always_lets_someone_through_in_the_end(self):
        if self.it.state is BreakerState.OPEN:
            assert self.it.open_until - self.now <= self.policy.max_open_s + 1e-6
            assert self.it.allows(self.now + self.policy.max_open_s + 1e-6)


BreakerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBreakerMachine = BreakerMachine.TestCase


def test_an_observation_counts_half_after_the_half_life():
    average = LatencyAverage(10)
    average.observe(1.0, 0.0)
    average.observe(3.0, 10.0)
    assert average.seconds == pytest.approx(2.0)


@given(st.lists(st.tuples(st.floats(0.001, 100), st.floats(0, 60)), min_size=1))
def test_the_average_stays_within_what_was_observed(observations):
    average = LatencyAverage(10)
    now = 0.0
    for seconds, gap in observations:
        now += gap
        average.observe(seconds, now)
    values = [seconds for seconds, _ in observations]
    assert min(values) * 0.999 <= average.seconds <= max(values) * 1.001


def test_three_failed_checks_make_a_provider_unhealthy_and_one_good_one_heals_it():
    checks = ProviderChecks(3)
    assert [checks.record("down") for _ in range(3)] == [False, False, True]
    assert checks.reason == "down"
    assert checks.record(None)
    assert checks.reason is None
    assert not checks.record("down")
