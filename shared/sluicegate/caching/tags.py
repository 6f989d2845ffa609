"""Tags: what makes stored answers void together. Pure.

Every answer has the tag of its tenant, of its workspace, and of each event that policy lets void it (for the
whole tenant and for its workspace). Voiding a tag costs one write.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.tenancy import checked_name

EVERYTHING = "everything"


@lru_cache(maxsize=4_096)
def answer_tags(events: tuple[str, ...], workspace: str) -> tuple[str, ...]:
    """The tags of an answer produced for `workspace`."""
    by_event = (tag for event in events for tag in (event, f"{event}@{workspace}"))
    return EVERYTHING, f"workspace:{workspace}", *by_event


def voided_tag(events: tuple[str, ...], *, event: str | None = None, workspace: str | None = None) -> str:
    """The tag to invalidate for an event, a workspace, an event in a workspace, or all.

    Raises:
        InvalidRequestError: the event is not one that policy names, or a name is not one.
    """
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
