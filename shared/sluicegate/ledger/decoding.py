"""From an outbox event's bytes to what is kept of it. Strict: what is not understood is never guessed at.

Usage events come from the gateway with every field, and from the reaper script (the owner of the hold died)
with only those it knows; what is missing then has a plain default.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from math import isfinite
from typing import Any, NoReturn, cast, get_args

import orjson

from sluicegate.kernel.events import Event
from sluicegate.ledger.usage import Outcome, UsageRow

MAX_EVENT_BYTES = 1 << 20
_MAX_INTEGER = 2**63 - 1
# Where the admission scripts' events come from; a usage event of theirs stands in for a lost owner's.
_REAPER = "/sluicegate/admission"
_OUTCOMES = frozenset(get_args(Outcome))


class UnusableEventError(Exception):
    """The bytes are not an event that can be applied. The message is the reason."""


def decode_event(body: bytes, tenant: str) -> Event:
    """The event in `body`, found in `tenant`'s outbox.

    Raises:
        UnusableEventError: it is malformed, or speaks for another tenant.
    """
    if len(body) > MAX_EVENT_BYTES:
        _refuse(f"larger than {MAX_EVENT_BYTES} bytes")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        _refuse("not JSON")
    if not isinstance(content, dict):
        _refuse("not a JSON object")
    fields = _Fields(content)
    data = content.get("data", {})
    if isinstance(data, list) and not data:
        data = {}  # how Lua writes an empty object
    if not isinstance(data, dict):
        _refuse("data is not an object")
    event = Event(
        id=fields.text("id"),
        source=fields.text("source"),
        type=fields.text("type"),
        time=_time(content),
        tenant=fields.text("tenant", tenant),
        subject=fields.optional_text("subject"),
        data=data,
    )
    if event.tenant != tenant:
        _refuse("it belongs to another tenant")
    return event


def decode_usage(event: Event) -> UsageRow:
    """The usage row that `event` (of type `usage.recorded`) carries.

    Raises:
        UnusableEventError: a field is missing that must not be, or has a value that cannot be.
    """
    fields = _Fields(event.data)
    if fields.text("tenant", event.tenant) != event.tenant:
        _refuse("data.tenant: it belongs to another tenant")
    outcome = fields.text("outcome", "aborted")
    if outcome not in _OUTCOMES:
        _refuse(f"data.outcome: not one of {', '.join(sorted(_OUTCOMES))}")
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
        first_byte_ms=None if event.data.get("first_byte_ms") is None else fields.number("first_byte_ms"),
        cache=fields.text("cache", "none"),
        outcome=cast("Outcome", outcome),
        error=fields.optional_text("error"),
        tools=fields.names("tools"),
        attempts=fields.integer("attempts", 1),
        streamed=fields.flag("streamed"),
        reaped=event.source == _REAPER,
    )


class _Fields:
    """Typed access to a JSON object's fields; a null counts as missing."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content

    def text(self, name: str, default: str | None = None) -> str:
        return str(self._field(name, default, _is_text, "text"))

    def optional_text(self, name: str) -> str | None:
        return None if self._content.get(name) is None else self.text(name)

    def integer(self, name: str, default: int | None = None) -> int:
        value = self._field(name, default, _is_number, "a number")
        # Lua writes whole numbers of any size as it likes: 5, 5.0, 5e3.
        if value != int(value) or not 0 <= value <= _MAX_INTEGER:
            _refuse(f"{name}: {value} is not a whole number from 0 to {_MAX_INTEGER}")
        return int(value)

    def number(self, name: str, default: float | None = None) -> float:
        return float(self._field(name, default, _is_number, "a number"))

    def flag(self, name: str) -> bool:
        return bool(self._field(name, False, lambda value: isinstance(value, bool), "true or false"))

    def names(self, name: str) -> tuple[str, ...]:
        value = self._field(name, [], lambda value: value == {} or isinstance(value, list), "a list")
        if not all(_is_text(item) for item in value):
            _refuse(f"{name}: not a list of names")
        return tuple(value)

    def _field(self, name: str, default: Any, fits: Callable[[Any], bool], what: str) -> Any:
        value = self._content.get(name)
        if value is None:
            value = default
        if value is None:
            _refuse(f"{name} is missing")
        if not fits(value):
            _refuse(f"{name} is not {what}")
        return value


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    """Text that can be stored as UTF-8, as not all that JSON can say can: lone surrogates cannot."""
    return isinstance(value, str) and (
        value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
    )


def _time(content: Mapping[str, Any]) -> float:
    """Epoch seconds; the scripts, which have no calendar, give them as a number."""
    value = content.get("time")
    if _is_number(value):
        return float(cast("float", value))
    try:
        return datetime.fromisoformat(cast("str", value)).timestamp()
    except (TypeError, ValueError, OverflowError):
        _refuse("time is missing or neither RFC 3339 nor epoch seconds")


def _refuse(reason: str) -> NoReturn:
    raise UnusableEventError(reason) from None
