"""What answered, as the provider names it: who asks `gpt-4o` is answered by `gpt-4o-2024-08-06`."""

from typing import Any

from sluicegate.completions.sse import fields, json_object

MOST_LOOKED_AT = 256 * 1024
"""Bytes of a stream's beginning that may be looked at for the first event."""

_LONGEST = 128
_KEY = b'"model"'


def version_of(answer: dict[str, Any]) -> str | None:
    """The model that a whole answer, or a stream's first event, says it is from; None where it says nothing.

    OpenAI's answers and chunks have `model`; Anthropic's `message_start` has it in `message`, OpenAI's
    `response.created` in `response`.
    """
    for part in (answer, answer.get("message"), answer.get("response")):
        found = part.get("model") if isinstance(part, dict) else None
        if isinstance(found, str):
            # It goes to the ledger and the log: nothing but a name may get there.
            proper = 0 < len(found) <= _LONGEST and found.isascii() and found.isprintable()
            return found if proper else None
    return None


def streamed_version(begun: bytes) -> str | None:
    """As `version_of`, of the first event in a stream's first bytes that has an object with a model in it."""
    if _KEY not in begun:
        return None
    for event in begun.replace(b"\r\n", b"\n").split(b"\n\n"):
        if _KEY in event:
            content = json_object(fields(event)[1])
            found = None if content is None else version_of(content)
            if found is not None:
                return found
    return None
