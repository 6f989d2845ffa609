"""Prometheus metrics. Names and labels are declared here and in `tallies`, and nowhere else.

Labels are bounded: models and providers come from the catalogue, never from a caller, and no label
holds a tenant, a key or a user (spend by those is the ledger's to tell).
"""

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import generate_latest

from sluicegate.kernel.telemetry.tallies import Tallies

REGISTRY = CollectorRegistry()
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

TALLIES = Tallies()
REGISTRY.register(TALLIES)

REFUSALS = Counter(
    "sluicegate_refusals",
    "Requests that ended in an error of the gateway's own, by code.",
    ("code",),
    registry=REGISTRY,
)
ESTIMATED = Counter(
    "sluicegate_estimated_settlements",
    "Settlements whose cost is not the provider's own figure.",
    registry=REGISTRY,
)
FAILED_SIGN_INS = Counter(
    "sluicegate_failed_sign_ins",
    "Requests with a missing, wrong, expired or revoked credential.",
    registry=REGISTRY,
)
SECURITY_BREACHES = Counter(
    "sluicegate_security_breaches",
    "Sources that passed the limit of failed sign-ins.",
    registry=REGISTRY,
)
LOST_LINES = Counter(
    "sluicegate_log_lines_lost",
    "Log lines dropped because standard error was read too slowly, or could not be written.",
    ("severity",),
    registry=REGISTRY,
)
# Read when scraped: whoever owns the figure sets the function (`set_function`).
IN_FLIGHT = Gauge("sluicegate_requests_in_flight", "Requests under way.", registry=REGISTRY)
OPEN_GRANTS = Gauge("sluicegate_open_grants", "Admissions not settled yet.", registry=REGISTRY)
PENDING_SETTLEMENTS = Gauge(
    "sluicegate_pending_settlements", "Settlements waiting for Redis to come back.", registry=REGISTRY
)
CACHE_UNAVAILABLE = Gauge(
    "sluicegate_cache_unavailable", "Cache look-ups and writes that failed so far.", registry=REGISTRY
)
CACHE_EVENTS = Gauge("sluicegate_cache_events", "What the cache did so far.", ("event",), registry=REGISTRY)
CACHE_SAVED = Gauge(
    "sluicegate_cache_saved_usd", "What answers from the cache would have cost.", registry=REGISTRY
)


def exposition() -> bytes:
    """All metrics in the text format that Prometheus scrapes."""
    return generate_latest(REGISTRY)
