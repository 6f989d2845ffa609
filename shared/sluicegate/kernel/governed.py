"""Governed actions: what anybody tells the transparency log, as an event of type `audit.action`."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from sluicegate.kernel.errors import DependencyUnavailableError, SluicegateError
from sluicegate.kernel.events import AUDIT_ACTION, Event, EventPublisher
from sluicegate.kernel.ids import random_id

_log = logging.getLogger(__name__)

KEY_CREATED = "key.created"
KEY_ROTATED = "key.rotated"
KEY_REVOKED = "key.revoked"
TOKEN_ISSUED = "token.issued"  # noqa: S105 - the name of an action
SIGN_IN_SUCCEEDED = "sign_in.succeeded"
SIGN_IN_FAILED = "sign_in.failed"
SIGN_IN_UNLOGGED = "sign_in.unlogged"
BUDGET_SET = "budget.set"
BUDGET_CLEARED = "budget.cleared"
POLICY_CHANGED = "policy.changed"
DATA_CHANGED = "data.changed"

ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "model.access": "one request was answered, or refused for its budget, its limits or its provider",
        "model.access.estimated": "a request whose owner died was charged at the amount held for it",
        "model.access.withdrawn": "such a charge was taken back: the owner lived and had used nothing",
        KEY_CREATED: "an API key was made",
        KEY_ROTATED: "an API key got a new secret",
        KEY_REVOKED: "an API key was ended",
        TOKEN_ISSUED: "a token was signed with the local key",
        SIGN_IN_SUCCEEDED: "a token was accepted for the first time",
        SIGN_IN_FAILED: "credentials were refused, so many from one address within a minute",
        SIGN_IN_UNLOGGED: "so many sign-ins could not be told, for the bus was away too long",
        BUDGET_SET: "a budget got a limit over the policy's",
        BUDGET_CLEARED: "a budget went back to the policy's limit",
        "budget.threshold": "a budget reached a share of its limit",
        POLICY_CHANGED: "a process started with other policies than those in force before",
        "cache.invalidated": "stored answers were made void (what became void)",
        DATA_CHANGED: "somebody changed data: made answers void, replayed or dropped dead letters",
        "audit.read": "entries or proofs were read",
        "audit.exported": "entries were exported",
        "audit.erased": "a person or a tenant was erased",
        "audit.expired": "payloads were deleted at the end of their retention",
    }
)
"""Every action there is, and what it says was done (docs/audit.md lists them)."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, from where and with what; `user` as the log shall name them (`cli:kim`)."""

    user: str
    ip: str | None = None
    user_agent: str | None = None


def governed_action(
    tenant: str,
    action: str,
    *,
    source: str,
    at: float,
    user: str = "system",
    workspace: str | None = None,
    domain: str = "platform",
    result: Literal["success", "failure", "blocked"] = "success",
    payload: Mapping[str, Any] | None = None,
    payload_class: Literal["public", "internal", "sensitive"] | None = None,
    reason: str | None = None,
    ip: str | None = None,
    user_agent: str | None = None,
    subject: str | None = None,
    event_id: str | None = None,
) -> Event:
    """The event that says that `user` did `action`; publish it, and it becomes one entry of the log.

    Args:
        tenant: whose log's part it belongs to.
        action: dotted name: `key.created`, `budget.set`, `sign_in.failed`, `approval.granted`.
        source: who tells (`/functions/gateway`); with the id it makes the event one.
        at: when, epoch seconds.
        user: who did it.
        workspace: where, if anywhere.
        domain: area of work: `platform`, `code`, `trading`, `research`, `creative`.
        result: how it ended.
        payload: what was done, JSON. Secrets are removed and personal data is masked on the way into the log.
        payload_class: a stricter class than policy's; None leaves it to policy.
        reason: why it ended so, or why it was done.
        ip: where it came from.
        user_agent: what it came with.
        subject: whose personal data it carries, where that is not `user`.
        event_id: the same for the same action told twice; a new one when not given.
    """
    data: dict[str, Any] = {"action": action, "domain": domain, "user": user, "result": result}
    optional = {
        "workspace": workspace,
        "payload": None if payload is None else dict(payload),
        "payload_class": payload_class,
        "reason": reason,
        "ip": ip,
        "user_agent": user_agent,
        "subject": subject,
    }
    data.update({name: value for name, value in optional.items() if value is not None})
    return Event(
        id=event_id or random_id("act_"),
        source=source,
        type=AUDIT_ACTION,
        time=at,
        tenant=tenant,
        subject=action,
        data=data,
    )


@asynccontextmanager
async def told_first(events: EventPublisher, event: Event) -> AsyncIterator[None]:
    """Tell `event` before what it says is done within; where that fails, tell the failure too.

    So nothing is done that is not logged. A process that dies in between leaves an entry of something that
    did not happen, never the reverse.

    Raises:
        DependencyUnavailableError: it cannot be told; nothing was done.
    """
    try:
        await events.publish([event])
    except SluicegateError as error:
        raise DependencyUnavailableError(
            f"nothing was done, for the transparency log cannot be told of it: {error.message}",
            retry_after=error.retry_after,
        ) from error
    try:
        yield
    except BaseException as error:
        try:
            await events.publish([_undone(event, error)])
        except SluicegateError:
            _log.exception("%s was told, then failed, and that could not be told", event.subject)
        raise


def _undone(event: Event, error: BaseException) -> Event:
    reason = error.message if isinstance(error, SluicegateError) else type(error).__name__
    data = {**event.data, "result": "failure", "reason": f"not done: {reason}"}
    return replace(event, id=f"{event.id}:failed", data=data)
