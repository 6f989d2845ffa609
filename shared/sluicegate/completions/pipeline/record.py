"""The usage event of a completion: built once, at settlement."""

import time

import orjson

from sluicegate.completions.pipeline.completion import Completion
from sluicegate.kernel.events import SPEC_VERSION, USAGE_RECORDED
from sluicegate.kernel.telemetry.access import ACCESS, timestamp
from sluicegate.kernel.telemetry.metrics import ESTIMATED, TALLIES
from sluicegate.ledger.usage import UsageRow

SOURCE = "/functions/gateway"


def usage_event(completion: Completion, cache: str, now: float | None = None) -> bytes:
    """The CloudEvent `usage.recorded` of `completion`, structured mode, as JSON bytes.

    Its id is the request id, so that however often it is delivered, it is applied once.
    """
    inbound, subject, usage = completion.inbound, completion.subject, completion.usage
    if completion.spent.total_tokens:
        usage = usage.plus(completion.spent)
    settled_at = time.time() if now is None else now
    grant = completion.grant
    first = completion.first_byte_at
    row = UsageRow(
        request_id=inbound.request_id,
        # The periods it is counted in are those of its admission; a rebuild from the ledger must find them.
        at=grant.at if grant is not None and grant.at else settled_at,
        tenant=subject.tenant,
        workspace=subject.workspace,
        user=subject.user,
        key=subject.key,
        agent=subject.agent,
        mission=subject.mission,
        task=inbound.controls.task,
        model=completion.model.id,
        provider=completion.provider or completion.model.provider,
        requested_model=completion.facts.model,
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens + usage.cache_write_1h_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_nano=completion.cost_nano,
        held_nano=grant.held_nano if grant is not None else 0,
        estimated=completion.estimated,
        latency_ms=round(completion.elapsed_s * 1000, 3),
        first_byte_ms=None if first is None else round((first - inbound.started) * 1000, 3),
        cache=cache,
        outcome=completion.outcome,
        error=completion.error,
        tools=subject.tools,
        attempts=completion.attempts,
        streamed=completion.facts.stream,
        version=completion.version,
    )
    return orjson.dumps(
        {
            "specversion": SPEC_VERSION,
            "id": inbound.request_id,
            "source": SOURCE,
            "type": USAGE_RECORDED,
            "time": timestamp(settled_at),
            "tenant": subject.tenant,
            "subject": inbound.request_id,
            "datacontenttype": "application/json",
            "data": row,
        }
    )


def count(completion: Completion, cache: str) -> None:
    """Add `completion` to the metrics and the access log."""
    tally = TALLIES.answers(completion.inbound.dialect, completion.model.id)
    key = (completion.outcome, cache)
    tally.outcomes[key] = tally.outcomes.get(key, 0) + 1
    tally.latency.observe(completion.elapsed_s)
    first = completion.first_byte_at
    if first is not None:
        tally.first_byte.observe(first - completion.inbound.started)
    if ACCESS.enabled:
        ACCESS.write(_access_entry(completion, cache))
    if cache == "none":
        tally.input_tokens += completion.usage.prompt_tokens + completion.spent.prompt_tokens
        tally.output_tokens += completion.usage.output_tokens + completion.spent.output_tokens
        tally.cost_nano += completion.cost_nano
        if completion.estimated:
            ESTIMATED.inc()


def _access_entry(completion: Completion, cache: str) -> dict[str, object]:
    """What the access log says: who, what and how it went; never content."""
    inbound, subject, usage = completion.inbound, completion.subject, completion.usage
    return {
        "time": timestamp(time.time()),
        "severity": "INFO" if completion.error is None else "WARNING",
        "logger": "sluicegate.access",
        "message": "request",
        "request_id": inbound.request_id,
        "dialect": inbound.dialect,
        "tenant": subject.tenant,
        "workspace": subject.workspace,
        "key": subject.key,
        "agent": subject.agent,
        "mission": subject.mission,
        "model": subject.model,
        "provider": completion.provider or completion.model.provider,
        "stream": completion.facts.stream,
        "outcome": completion.outcome,
        "error": completion.error,
        "cache": cache,
        "attempts": completion.attempts,
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.output_tokens,
        "cost_nano_usd": completion.cost_nano,
        "estimated": completion.estimated,
        "latency_ms": round(completion.elapsed_s * 1000, 3),
        "traceparent": None if inbound.traceparent is None else inbound.traceparent.decode("latin-1"),
    }
