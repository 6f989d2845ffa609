"""Figures of the hot path, kept in plain lists and turned into Prometheus metrics when scraped.

One answered request touches a dozen series; with a lock and a look-up for each that would cost as much as
its whole admission. Here it is one dictionary look-up and a few additions, on the event loop's thread
only; a scrape copies.
"""

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS_S = (0.005, 0.025, 0.1, 0.25, 0.5, 0.8, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
NANO = 1e-9


class Latency:
    """A histogram of seconds: counts per bucket and the sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus's buckets: upper bound and how many observations were at most that."""
        running, buckets = 0, []
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), self.counts, strict=True):
            running += count
            buckets.append((bound, float(running)))
        return buckets


class Answers:
    """What became of the requests of one dialect and model."""

    __slots__ = ("cost_nano", "first_byte", "input_tokens", "latency", "outcomes", "output_tokens")

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], int] = {}
        self.latency = Latency()
        self.first_byte = Latency()
        self.input_tokens = 0
        self.output_tokens = 0
        self.cost_nano = 0


class Tallies(Collector):
    """All tallies of this process, by dialect and model, and tries at providers."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str], Answers] = {}
        self._attempts: dict[tuple[str, str, str], int] = {}

    def answers(self, dialect: str, model: str) -> Answers:
        """The tally of requests in `dialect` to `model`."""
        found = self._answers.get((dialect, model))
        if found is None:
            found = self._answers[dialect, model] = Answers()
        return found

    def attempt(self, provider: str, model: str, result: str) -> None:
        """Count a try at a provider's model; `result` is `ok` or the kind of failure."""
        key = (provider, model, result)
        self._attempts[key] = self._attempts.get(key, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """The tallies as metrics; called by a scrape."""
        requests = CounterMetricFamily(
            "sluicegate_requests",
            "Requests answered, by dialect, model, outcome and cache level.",
            labels=("dialect", "model", "outcome", "cache"),
        )
        latency = HistogramMetricFamily(
            "sluicegate_request_duration_seconds",
            "Time from a request's head to its settlement.",
            labels=("dialect", "model"),
        )
        first_byte = HistogramMetricFamily(
            "sluicegate_first_byte_seconds",
            "Time from a request's head to the first byte of a streamed answer.",
            labels=("dialect", "model"),
        )
        tokens = CounterMetricFamily(
            "sluicegate_tokens", "Tokens used, by model and kind.", labels=("dialect", "model", "kind")
        )
        cost = CounterMetricFamily(
            "sluicegate_cost_usd", "Cost settled, in USD, by model.", labels=("dialect", "model")
        )
        attempts = CounterMetricFamily(
            "sluicegate_upstream_attempts",
            "Tries at a provider, by result.",
            labels=("provider", "model", "result"),
        )
        for series, tally in list(self._answers.items()):
            for (outcome, cache), number in list(tally.outcomes.items()):
                requests.add_metric((*series, outcome, cache), number)
            latency.add_metric(series, tally.latency.cumulative(), tally.latency.total)
            if any(tally.first_byte.counts):
                first_byte.add_metric(series, tally.first_byte.cumulative(), tally.first_byte.total)
            tokens.add_metric((*series, "input"), tally.input_tokens)
            tokens.add_metric((*series, "output"), tally.output_tokens)
            cost.add_metric(series, tally.cost_nano * NANO)
        for labels, number in list(self._attempts.items()):
            attempts.add_metric(labels, number)
        yield from (requests, latency, first_byte, tokens, cost, attempts)
