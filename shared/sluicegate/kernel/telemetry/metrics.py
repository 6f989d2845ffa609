"""Prometheus metrics. Names and labels are declared here and nowhere else.

Labels are bounded: models and providers come from the catalogue, never from a caller, and no label
holds a tenant, a key or a user (spend by those is the ledger's to tell).
"""

from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

REGISTRY = CollectorRegistry()
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LATENCY_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 0.8, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)

REQUESTS = Counter(
    "sluicegate_requests",
    "Requests answered, by dialect, model, outcome and cache level.",
    ("dialect", "model", "outcome", "cache"),
    registry=REGISTRY,
)
LATENCY = Histogram(
    "sluicegate_request_duration_seconds",
    "Time from a request's head to its answer's end.",
    ("dialect", "model"),
    buckets=_LATENCY_BUCKETS,
    registry=REGISTRY,
)
FIRST_BYTE = Histogram(
    "sluicegate_first_byte_seconds",
    "Time from a request's head to the first byte of a streamed answer.",
    ("dialect", "model"),
    buckets=_LATENCY_BUCKETS,
    registry=REGISTRY,
)
TOKENS = Counter("sluicegate_tokens", "Tokens used, by model and kind.", ("model", "kind"), registry=REGISTRY)
COST = Counter("sluicegate_cost_usd", "Cost settled, in USD, by model.", ("model",), registry=REGISTRY)
REFUSALS = Counter(
    "sluicegate_refusals", "Requests refused before any provider was asked.", ("code",), registry=REGISTRY
)
ATTEMPTS = Counter(
    "sluicegate_upstream_attempts",
    "Tries at a provider, by result.",
    ("provider", "model", "result"),
    registry=REGISTRY,
)
ESTIMATED = Counter(
    "sluicegate_estimated_settlements",
    "Settlements whose cost is not the provider's own figure.",
    ("reason",),
    registry=REGISTRY,
)
IN_FLIGHT = Gauge("sluicegate_requests_in_flight", "Requests under way.", registry=REGISTRY)
OPEN_CONNECTIONS = Gauge("sluicegate_open_connections", "Client connections open.", registry=REGISTRY)
PENDING_SETTLEMENTS = Gauge(
    "sluicegate_pending_settlements", "Settlements waiting for Redis to come back.", registry=REGISTRY
)
OUTBOX_LAG = Gauge("sluicegate_outbox_events", "Events waiting in the outbox, last seen.", registry=REGISTRY)
FAILED_SIGN_INS = Counter(
    "sluicegate_failed_sign_ins",
    "Requests with a missing, wrong, expired or revoked credential.",
    registry=REGISTRY,
)


@lru_cache(maxsize=8192)
def request_children(dialect: str, model: str, outcome: str, cache: str) -> tuple[Counter, Histogram]:
    """The counter and the histogram of one kind of request, looked up once."""
    return REQUESTS.labels(dialect, model, outcome, cache), LATENCY.labels(dialect, model)


@lru_cache(maxsize=2048)
def usage_children(model: str) -> tuple[Counter, Counter, Counter]:
    """The counters of a model's input tokens, output tokens and cost, looked up once."""
    return TOKENS.labels(model, "input"), TOKENS.labels(model, "output"), COST.labels(model)


@lru_cache(maxsize=4096)
def attempt_child(provider: str, model: str, result: str) -> Counter:
    """The counter of one result of tries at a provider's model, looked up once."""
    return ATTEMPTS.labels(provider, model, result)


def exposition() -> bytes:
    """All metrics in the text format that Prometheus scrapes."""
    return generate_latest(REGISTRY)
