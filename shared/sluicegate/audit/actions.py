"""Governed actions: what events tell the log, typed and checked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any, NoReturn, TypeVar

from sluicegate.kernel.events import Event, UnusableEventError
from sluicegate.kernel.tenancy import NAME

E = TypeVar("E", bound=StrEnum)

MAX_TEXT = 1_000
"""Characters kept of a reason or a user agent."""

MAX_NAME = 128

_ACTION = re.compile(r"[a-z0-9_]{1,32}(?:\.[a-z0-9_]{1,32}){0,3}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_ID_SIZE = 16


class Result(StrEnum):
    """How an action ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    BLOCKED = "blocked"


class PayloadClass(StrEnum):
    """How much of a payload may be kept, the least private first."""

    PUBLIC = "public"
    INTERNAL = "internal"
    SENSITIVE = "sensitive"


@dataclass(slots=True)
class AuditAction:
    """One governed action.

    Attributes:
        id: the entry's id; see `entry_id`.
        at_ms: when it happened, milliseconds since the Unix epoch.
        action: dotted name (`key.created`).
        domain: what area of work it belongs to (`platform`, `code`, `trading`).
        user: who did it.
        subject: whose personal data the entry carries; most often `user`.
        payload: a JSON object.
        payload_class: the class that the event asks for; None leaves it to policy.
    """

    id: bytes
    at_ms: int
    tenant: str
    workspace: str
    user: str
    subject: str
    action: str
    domain: str
    result: Result
    payload: Mapping[str, Any] = field(default_factory=dict)
    payload_class: PayloadClass | None = None
    reason: str | None = None
    ip: str | None = None
    user_agent: str | None = None

    @property
    def people(self) -> tuple[str, str]:
        """Whoever must not have been erased for the entry to be readable."""
        return self.user, self.subject


def entry_id(tenant: str, source: str, event_id: str) -> bytes:
    """The 16 bytes of the id of the entry that an event becomes: the same at each delivery."""
    parts = (part.encode("utf-8", "surrogatepass") for part in (tenant, source, event_id))
    return sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()[:_ID_SIZE]


def action_of(event: Event) -> AuditAction:
    """The action that an event of type `audit.action` carries in its data.

    Raises:
        UnusableEventError: a field is missing that must not be, or has a value that cannot be.
    """
    data = event.data
    user = _name(data.get("user", "system"), "user")
    action = data.get("action")
    if not isinstance(action, str) or _ACTION.fullmatch(action) is None:
        _refuse("data.action is not a dotted name such as key.created")
    payload = data.get("payload")
    if payload is None or payload == []:  # how Lua writes an empty object
        payload = {}
    if not isinstance(payload, dict):
        _refuse("data.payload is not an object")
    asked = data.get("payload_class")
    return AuditAction(
        id=entry_id(event.tenant, event.source, event.id),
        at_ms=milliseconds(event.time),
        tenant=tenant_name(event.tenant),
        workspace=_name(data.get("workspace") or "none", "workspace"),
        user=user,
        subject=_name(data.get("subject") or user, "subject"),
        action=action,
        domain=_name(data.get("domain") or "platform", "domain"),
        result=_one_of(Result, data.get("result", "success"), "result"),
        payload=payload,
        payload_class=None if asked is None else _one_of(PayloadClass, asked, "payload_class"),
        reason=text(data.get("reason"), "reason"),
        ip=text(data.get("ip"), "ip"),
        user_agent=text(data.get("user_agent"), "user_agent"),
    )


def milliseconds(at: float) -> int:
    """Epoch seconds as whole milliseconds, within the years that RFC 3339 can write.

    Raises:
        UnusableEventError: outside 1970 to 9999.
    """
    if not isinstance(at, int | float) or not 0 <= at < 253_402_300_800:
        _refuse("time is not within the years 1970 to 9999")
    return round(at * 1000)


def tenant_name(value: str) -> str:
    """`value`, if it can be a tenant: it becomes part of blob names.

    Raises:
        UnusableEventError: it cannot.
    """
    if NAME.fullmatch(value) is None:
        _refuse("tenant is not a name")
    return value


def text(value: Any, field_name: str) -> str | None:
    """Text as the log keeps it: no control characters, not too long.

    Raises:
        UnusableEventError: not text.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        _refuse(f"data.{field_name} is not text")
    return _CONTROL.sub(" ", value[:MAX_TEXT])


def _name(value: Any, field_name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or _CONTROL.search(value):
        _refuse(f"data.{field_name} is not a name of 1 to {MAX_NAME} characters")
    return value


def _one_of(kind: type[E], value: Any, field_name: str) -> E:
    try:
        return kind(value)
    except ValueError:
        _refuse(f"data.{field_name} is not one of {', '.join(each.value for each in kind)}")


def _refuse(reason: str) -> NoReturn:
    raise UnusableEventError(reason)
