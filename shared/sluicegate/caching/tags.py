"""Tags: what makes stored answers void together. Pure.

Every answer has the tag of its tenant, of its workspace, of each event that policy lets void it (for the
whole tenant and for its workspace), and those its request gave it. Voiding a tag costs one write.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.tenancy import checked_name

EVERYTHING = "everything"
MAX_CUSTOM_TAGS = 8


def answer_tags(events: tuple[str, ...], workspace: str, custom: Sequence[str] = ()) -> tuple[str, ...]:
    """The tags of an answer produced for `workspace`; `custom` come with the request.

    Raises:
        InvalidRequestError: more than 8 custom tags, or one that is not a name.
    """
    tags = _workspace_tags(events, workspace)
    if not custom:
        return tags
    if len(custom) > MAX_CUSTOM_TAGS:
        raise InvalidRequestError(f"at most {MAX_CUSTOM_TAGS} cache tags")
    return tags + tuple(sorted({f"tag:{_name(tag)}" for tag in custom}))


@lru_cache(maxsize=4_096)
def _workspace_tags(events: tuple[str, ...], workspace: str) -> tuple[str, ...]:
    by_event = (tag for event in events for tag in (event, f"{event}@{workspace}"))
    return EVERYTHING, f"workspace:{workspace}", *by_event


def voided_tag(
    events: tuple[str, ...],
    *,
    event: str | None = None,
    workspace: str | None = None,
    custom: str | None = None,
) -> str:
    """The tag to invalidate for an event, a workspace, an event in a workspace, a custom tag, or all.

    Raises:
        InvalidRequestError: the event is not one that policy names, or a name is not one.
    """
    if custom is not None:
        if event is not None or workspace is not None:
            raise InvalidRequestError("a custom tag is voided by itself, without event or workspace")
        return f"tag:{_name(custom)}"
    if event is not None:
        if event not in events:
            raise InvalidRequestError(f"answers are voided by {', '.join(events)}; not by {event[:80]!r}")
        return event if workspace is None else f"{event}@{_name(workspace)}"
    return EVERYTHING if workspace is None else f"workspace:{_name(workspace)}"


def fingerprint(tags: Sequence[str], generations: Sequence[str]) -> str:
    """16 hexadecimal digits that change when any tag's generation does."""
    content = "\0".join((*tags, "", *generations))
    return blake2b(content.encode(), digest_size=8).hexdigest()


def _name(value: str) -> str:
    try:
        return checked_name(value, "cache tag")
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None
