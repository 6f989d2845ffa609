"""The usage event of a completion: built once, at settlement."""

import time

import orjson

from sluicegate.completions.pipeline.completion import Completion
from sluicegate.kernel.events import SPEC_VERSION, USAGE_RECORDED
from sluicegate.kernel.telemetry.metrics import (
    ESTIMATED,
    FIRST_BYTE,
    request_children,
    usage_children,
)
from sluicegate.ledger.usage import UsageRow

SOURCE = "/functions/gateway"
NANO = 1e-9


def usage_event(completion: Completion, cache: str, now: float | None = None) -> bytes:
    """The CloudEvent `usage.recorded` of `completion`, structured mode, as JSON bytes.

    Its id is the request id, so that however often it is delivered, it is applied once.
    """
    inbound, subject, usage = completion.inbound, completion.subject, completion.usage
    at = time.time() if now is None else now
    grant = completion.grant
    first = completion.first_byte_at
    row = UsageRow(
        request_id=inbound.request_id,
        at=at,
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
    )
    return orjson.dumps(
        {
            "specversion": SPEC_VERSION,
            "id": inbound.request_id,
            "source": SOURCE,
            "type": USAGE_RECORDED,
            "time": _timestamp(at),
            "tenant": subject.tenant,
            "subject": inbound.request_id,
            "datacontenttype": "application/json",
            "data": row,
        }
    )


def count(completion: Completion, cache: str) -> None:
    """Add `completion` to the metrics."""
    model, dialect = completion.model.id, completion.inbound.dialect
    requests, latency = request_children(dialect, model, completion.outcome, cache)
    requests.inc()
    latency.observe(completion.elapsed_s)
    if completion.first_byte_at is not None:
        FIRST_BYTE.labels(dialect, model).observe(completion.first_byte_at - completion.inbound.started)
    if cache == "none":
        inputs, outputs, cost = usage_children(model)
        inputs.inc(completion.usage.prompt_tokens)
        outputs.inc(completion.usage.output_tokens)
        cost.inc(completion.cost_nano * NANO)
        if completion.estimated:
            ESTIMATED.labels("no_usage").inc()


def _timestamp(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"
