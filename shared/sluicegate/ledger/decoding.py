"""From a usage event to the row that is kept of it. Strict: what is not understood is never guessed at.

Usage events come from the gateway with every field, and from the reaper script (the owner of the hold died)
with only those it knows; what is missing then has a plain default.
"""

from typing import cast, get_args

from sluicegate.kernel.event_decoding import Fields, refuse
from sluicegate.kernel.events import Event
from sluicegate.ledger.usage import Outcome, UsageRow

# Where the admission scripts' events come from; a usage event of theirs stands in for a lost owner's.
_REAPER = "/sluicegate/admission"
_OUTCOMES = frozenset(get_args(Outcome))


def decode_usage(event: Event) -> UsageRow:
    """The usage row that `event` (of type `usage.recorded`) carries.

    Raises:
        UnusableEventError: a field is missing that must not be, or has a value that cannot be.
    """
    fields = Fields(event.data)
    if fields.text("tenant", event.tenant) != event.tenant:
        refuse("data.tenant: it belongs to another tenant")
    outcome = fields.text("outcome", "aborted")
    if outcome not in _OUTCOMES:
        refuse(f"data.outcome: not one of {', '.join(sorted(_OUTCOMES))}")
    cost = fields.integer("cost_nano")
    model = fields.text("model", "unknown")
    return UsageRow(
        request_id=fields.text("request_id", event.subject),
        at=fields.number("at", event.time),
        tenant=event.tenant,
        workspace=fields.text("workspace", "unknown"),
        user=fields.text("user", "unknown"),
        key=fields.text("key", "unknown"),
        agent=fields.optional_text("agent"),
        mission=fields.optional_text("mission"),
        task=fields.optional_text("task"),
        model=model,
        provider=fields.text("provider", "unknown"),
        requested_model=fields.text("requested_model", model),
        input_tokens=fields.integer("input_tokens", 0),
        cached_input_tokens=fields.integer("cached_input_tokens", 0),
        cache_write_tokens=fields.integer("cache_write_tokens", 0),
        output_tokens=fields.integer("output_tokens", 0),
        reasoning_tokens=fields.integer("reasoning_tokens", 0),
        cost_nano=cost,
        held_nano=fields.integer("held_nano", cost),
        estimated=fields.flag("estimated"),
        latency_ms=fields.number("latency_ms", 0.0),
        first_byte_ms=fields.optional_number("first_byte_ms"),
        cache=fields.text("cache", "none"),
        outcome=cast("Outcome", outcome),
        error=fields.optional_text("error"),
        tools=fields.names("tools"),
        attempts=fields.integer("attempts", 1),
        streamed=fields.flag("streamed"),
        reaped=event.source == _REAPER,
        version=fields.optional_text("version"),
    )
