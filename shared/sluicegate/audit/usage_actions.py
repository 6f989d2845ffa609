"""Model access: the action that a usage event stands for.

An event of the gateway is `model.access`. Where an owner died, admission charges its hold, which is
`model.access.estimated`; and takes that back when the owner's own figures come after all, which is
`model.access.withdrawn`. The log keeps all of them, for all of them happened.
"""

from collections.abc import Callable
from typing import Any

from sluicegate.audit.actions import AuditAction, Result, entry_id, milliseconds, tenant_name, text
from sluicegate.kernel.events import Event, UnusableEventError

ACCESS = "model.access"

_SYSTEM = "system"
_ADMISSION = "/sluicegate/admission"
_RESULTS = {"success": Result.SUCCESS, "blocked": Result.BLOCKED}
_TEXTS = (
    "model",
    "version",
    "provider",
    "requested_model",
    "key",
    "agent",
    "mission",
    "task",
    "cache",
    "outcome",
)
_COUNTS = (
    "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
    "cost_nano", "held_nano", "attempts",
)  # fmt: skip
_MAX_EXACT = 2**53 - 1


def usage_action(event: Event) -> AuditAction:
    """The action of a `usage.recorded` event: who used which model, what for, tokens, cost, outcome.

    Raises:
        UnusableEventError: a field has a value that cannot be.
    """
    data = event.data
    payload: dict[str, Any] = {"request_id": _short(data.get("request_id") or event.subject or event.id)}
    for name in _TEXTS:
        value = data.get(name)
        if value is not None:
            payload[name] = _short(value)
    for name in _COUNTS:
        value = data.get(name)
        if value is not None:
            payload[name] = _count(value, name)
    payload["estimated"] = data.get("estimated") is True
    user = _short(data.get("user") or "unknown")
    return AuditAction(
        id=entry_id(event.tenant, event.source, event.id),
        at_ms=milliseconds(event.time),
        tenant=tenant_name(event.tenant),
        workspace=_short(data.get("workspace") or "unknown"),
        user=user,
        subject=user,
        action=_action(event),
        domain=_short(data.get("domain") or data.get("task") or "platform"),
        result=_RESULTS.get(str(data.get("outcome")), Result.FAILURE),
        payload=payload,
        reason=text(data.get("error"), "error"),
        ip=text(data.get("ip"), "ip"),
        user_agent=text(data.get("user_agent"), "user_agent"),
    )


def _action(event: Event) -> str:
    if event.source != _ADMISSION:
        return ACCESS
    return f"{ACCESS}.withdrawn" if event.id.endswith(":withdrawn") else f"{ACCESS}.estimated"


def _short(value: Any) -> str:
    if not isinstance(value, str):
        raise UnusableEventError("a name in data is not text")
    if len(value) > 128 or not value.isascii() or not value.isprintable():
        return (text(value, "name") or "")[:128]
    return value


def _count(value: Any, name: str) -> int:
    # Lua writes whole numbers as it likes: 5, 5.0, 5e3.
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= _MAX_EXACT
        or value != int(value)
    ):
        raise UnusableEventError(f"data.{name} is not a whole number from 0 to 2^53 - 1")
    return int(value)


def notice_action(action: str) -> Callable[[Event], AuditAction]:
    """How events that nobody caused in person become actions: `system` did it, the data is the payload."""

    def read(event: Event) -> AuditAction:
        return AuditAction(
            id=entry_id(event.tenant, event.source, event.id),
            at_ms=milliseconds(event.time),
            tenant=tenant_name(event.tenant),
            workspace=_short(event.data.get("workspace") or "none"),
            user=_SYSTEM,
            subject=_SYSTEM,
            action=action,
            domain="platform",
            result=Result.SUCCESS,
            payload=event.data,
        )

    return read
