"""From an event's bytes to an `Event`. Strict: what is not understood is never guessed at."""

from collections.abc import Callable, Mapping
from datetime import datetime
from math import isfinite
from typing import Any, NoReturn, cast

import orjson

from sluicegate.kernel.events import Event, UnusableEventError

MAX_EVENT_BYTES = 1 << 20
_MAX_INTEGER = 2**63 - 1


def decode_event(body: bytes, tenant: str) -> Event:
    """The event in `body`, found where `tenant`'s events are.

    Raises:
        UnusableEventError: it is malformed, or speaks for another tenant.
    """
    if len(body) > MAX_EVENT_BYTES:
        refuse(f"larger than {MAX_EVENT_BYTES} bytes")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        refuse("not JSON")
    if not isinstance(content, dict):
        refuse("not a JSON object")
    fields = Fields(content)
    data = content.get("data", {})
    if isinstance(data, list) and not data:
        data = {}  # how Lua writes an empty object
    if not isinstance(data, dict):
        refuse("data is not an object")
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
        refuse("it belongs to another tenant")
    return event


class Fields:
    """Typed access to a JSON object's fields; a null counts as missing.

    Every method raises UnusableEventError for a value that is missing and has no default, or cannot be.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content

    def text(self, name: str, default: str | None = None) -> str:
        value = self._content.get(name)
        if type(value) is str and value.isascii():
            return value
        return str(self._field(name, default, _is_text, "text"))

    def optional_text(self, name: str) -> str | None:
        return None if self._content.get(name) is None else self.text(name)

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number from 0 to 2^63 - 1."""
        value = self._content.get(name)
        if type(value) is not int:
            value = self._field(name, default, _is_number, "a number")
        # Lua writes whole numbers of any size as it likes: 5, 5.0, 5e3.
        if value != int(value) or not 0 <= value <= _MAX_INTEGER:
            refuse(f"{name}: {value} is not a whole number from 0 to {_MAX_INTEGER}")
        return int(value)

    def number(self, name: str, default: float | None = None) -> float:
        return float(self._field(name, default, _is_number, "a number"))

    def optional_number(self, name: str) -> float | None:
        return None if self._content.get(name) is None else self.number(name)

    def flag(self, name: str) -> bool:
        """True or false; false where it is missing."""
        return bool(self._field(name, False, lambda value: isinstance(value, bool), "true or false"))

    def names(self, name: str) -> tuple[str, ...]:
        """A list of names; none where it is missing."""
        value = self._field(name, [], lambda value: value == {} or isinstance(value, list), "a list")
        if not all(_is_text(item) for item in value):
            refuse(f"{name}: not a list of names")
        return tuple(value)

    def _field(self, name: str, default: Any, fits: Callable[[Any], bool], what: str) -> Any:
        value = self._content.get(name)
        if value is None:
            value = default
        if value is None:
            refuse(f"{name} is missing")
        if not fits(value):
            refuse(f"{name} is not {what}")
        return value


def refuse(reason: str) -> NoReturn:
    """Raise UnusableEventError with `reason`."""
    raise UnusableEventError(reason) from None


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
        refuse("time is missing or neither RFC 3339 nor epoch seconds")
