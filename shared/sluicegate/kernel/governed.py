"""Governed actions: what anybody tells the transparency log, as an event of type `audit.action`."""

from collections.abc import Mapping
from typing import Any, Literal

from sluicegate.kernel.events import AUDIT_ACTION, Event
from sluicegate.kernel.ids import random_id


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
