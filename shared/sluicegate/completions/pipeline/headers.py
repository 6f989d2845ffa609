"""Response headers: what was done, what it cost, what is left."""

from functools import lru_cache

import orjson

from sluicegate.admission.types import RateStatus
from sluicegate.completions.pipeline.completion import Completion
from sluicegate.completions.types import Headers
from sluicegate.kernel.models import Dialect
from sluicegate.kernel.money import usd
from sluicegate.routing.types import RoutePlan

MAX_DEBUG_BYTES = 8_192


def request_id_header(dialect: Dialect) -> bytes:
    """Where the SDK of `dialect` looks for the id that it shows to its user."""
    return b"request-id" if dialect is Dialect.ANTHROPIC_MESSAGES else b"x-request-id"


def answer_headers(
    completion: Completion,
    content_type: bytes,
    *,
    cost: bool,
    cache: str = "none",
    requests: RateStatus | None = None,
) -> Headers:
    """The headers of a governed answer. `cost` False where it is not known yet (a stream's head).

    `cache` is the level that had the answer; `requests` the rate limit where there is no grant.
    """
    model, grant, inbound = completion.model, completion.grant, completion.inbound
    request_id = inbound.request_id.encode()
    headers: Headers = [
        (b"content-type", content_type),
        (b"x-sluicegate-request-id", request_id),
        (request_id_header(inbound.dialect), request_id),
        *_source(model.id, completion.provider or model.provider, cache),
    ]
    if cost:
        headers.append((b"x-sluicegate-cost-usd", usd(completion.cost_nano).encode()))
    if grant is None:
        if requests is not None:
            headers.extend(rate_headers(requests, b"requests"))
        return headers
    if grant.remaining_nano is not None:
        remaining = grant.remaining_nano
        if cost:
            remaining += grant.held_nano - completion.cost_nano
        headers.append((b"x-sluicegate-budget-remaining-usd", usd(remaining).encode()))
    if grant.requests is not None:
        headers.extend(rate_headers(grant.requests, b"requests"))
    if grant.tokens is not None:
        headers.extend(rate_headers(grant.tokens, b"tokens"))
    return headers


@lru_cache(maxsize=4_096)
def _source(model: str, provider: str, cache: str) -> tuple[tuple[bytes, bytes], ...]:
    """Where an answer came from; few and recurring, so they are rendered once."""
    return (
        (b"x-sluicegate-model", model.encode()),
        (b"x-sluicegate-provider", provider.encode()),
        (b"x-sluicegate-cache", cache.encode()),
    )


def rate_headers(rate: RateStatus, unit: bytes) -> Headers:
    """`x-ratelimit-*` in OpenAI's form; the reset is a duration in seconds (`12.5s`)."""
    return [
        (b"x-ratelimit-limit-" + unit, b"%d" % rate.limit),
        (b"x-ratelimit-remaining-" + unit, b"%d" % max(0, rate.remaining)),
        (b"x-ratelimit-reset-" + unit, f"{rate.reset_s:g}s".encode()),
    ]


def plan_header(plan: RoutePlan) -> tuple[bytes, bytes]:
    """`x-sluicegate-debug`: the candidates in order, and who fell at which test; JSON, bounded."""
    explanation = orjson.dumps(
        {
            "strategy": plan.strategy,
            "complexity": plan.complexity,
            "candidates": [candidate.model.id for candidate in plan.candidates],
            "rejected": {rejection.model: rejection.test for rejection in plan.rejections},
        }
    )
    return (b"x-sluicegate-debug", explanation[:MAX_DEBUG_BYTES])
