"""Tallies become metrics that Prometheus's own parser reads back."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sluicegate.kernel.telemetry.tallies import Tallies


def test_what_is_tallied_is_what_is_scraped():
    tallies = Tallies()
    registry = CollectorRegistry()
    registry.register(tallies)
    tally = tallies.answers("openai.chat", "small")
    assert tallies.answers("openai.chat", "small") is tally
    tally.outcomes["success", "none"] = 2
    tally.latency.observe(0.004)
    tally.latency.observe(0.03)
    tally.latency.observe(1_000)
    tally.input_tokens, tally.output_tokens, tally.cost_nano = 7, 5, 1_500_000_000
    tallies.attempt("openai", "small", "ok")
    tallies.attempt("openai", "small", "ok")

    families = {f.name: f for f in text_string_to_metric_families(generate_latest(registry).decode())}
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    series = (("dialect", "openai.chat"), ("model", "small"))
    answered = ("sluicegate_requests_total", ("cache", "none"), *series, ("outcome", "success"))
    assert samples[answered] == 2
    buckets = {
        sample.labels["le"]: sample.value
        for sample in families["sluicegate_request_duration_seconds"].samples
        if sample.name.endswith("_bucket")
    }
    assert (buckets["0.005"], buckets["0.1"], buckets["300.0"], buckets["+Inf"]) == (1, 2, 2, 3)
    assert samples["sluicegate_cost_usd_total", *series] == 1.5
    assert "sluicegate_first_byte_seconds" not in families or not any(
        sample.value for sample in families["sluicegate_first_byte_seconds"].samples
    )
    attempts = ("sluicegate_upstream_attempts_total", ("model", "small"), ("provider", "openai"))
    assert samples[*attempts, ("result", "ok")] == 2
