"""Query parameters, read strictly: an unknown one is a mistake, and a mistake is said."""

import re
from collections.abc import Collection
from datetime import UTC, datetime

from starlette.requests import Request

from sluicegate.audit.actions import Result
from sluicegate.audit.ports import EntryFilter
from sluicegate.kernel.errors import InvalidRequestError

MAX_VALUE = 256
FILTERS = ("user", "workspace", "action", "domain", "result", "from", "to")

_ACTION = re.compile(r"[a-z0-9_]{1,32}(?:\.[a-z0-9_]{1,32}){0,3}(?:\.\*)?")


def parameters(request: Request, known: Collection[str]) -> dict[str, str]:
    """The request's parameters.

    Raises:
        InvalidRequestError: one is unknown, given twice, empty or too long.
    """
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise InvalidRequestError(
                f"unknown parameter {name[:40]!r}: there are {', '.join(known)}", param=name[:40]
            )
        if name in found:
            raise InvalidRequestError(f"{name} is given twice", param=name)
        if not 0 < len(value) <= MAX_VALUE:
            raise InvalidRequestError(f"{name} has 1 to {MAX_VALUE} characters", param=name)
        found[name] = value
    return found


def entry_filter(values: dict[str, str]) -> EntryFilter:
    """The filter that `from`, `to`, `user`, `workspace`, `action`, `domain` and `result` say.

    Raises:
        InvalidRequestError: one of them has a value that cannot be.
    """
    action, result = values.get("action"), values.get("result")
    if action is not None and _ACTION.fullmatch(action) is None:
        raise InvalidRequestError(
            "action is a name such as key.created, or key.* for all of its kind", param="action"
        )
    if result is not None and result not in set(Result):
        raise InvalidRequestError(f"result is one of {', '.join(Result)}", param="result")
    since, until = (_milliseconds(values, name) for name in ("from", "to"))
    if since is not None and until is not None and since >= until:
        raise InvalidRequestError("to must be after from", param="to")
    return EntryFilter(
        since_ms=since,
        until_ms=until,
        user=values.get("user"),
        workspace=values.get("workspace"),
        action=action,
        domain=values.get("domain"),
        result=result,
    )


def whole(
    values: dict[str, str], name: str, default: int | None = None, *, most: int = 2**63 - 1
) -> int | None:
    """A whole number from 0 to `most`.

    Raises:
        InvalidRequestError: it is something else.
    """
    text = values.get(name)
    if text is None:
        return default
    if re.fullmatch("0|[1-9][0-9]{0,18}", text) is None or int(text) > most:
        raise InvalidRequestError(f"{name} is a whole number from 0 to {most}", param=name)
    return int(text)


def seconds(values: dict[str, str], name: str) -> float | None:
    """A date or a time (RFC 3339; UTC where it does not say) in epoch seconds.

    Raises:
        InvalidRequestError: it is none.
    """
    text = values.get(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        moment = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        moment = -1.0
    if moment < 0:
        raise InvalidRequestError(f"{name} is a date or a time such as 2026-11-20T14:00:00Z", param=name)
    return moment


def _milliseconds(values: dict[str, str], name: str) -> int | None:
    moment = seconds(values, name)
    return None if moment is None else round(moment * 1000)
