"""What the complexity classifier gets to see of a request."""

from collections.abc import Mapping, Sequence
from typing import Any


def prompt_sample(body: Mapping[str, Any], limit: int) -> str:
    """Up to `limit` characters of what is asked now, its start and its end: the last user turn's text.

    Instructions and earlier turns say little about how hard the present question is.
    """
    turns = body.get("messages", body.get("input"))
    if isinstance(turns, Sequence) and not isinstance(turns, str):
        asked = [turn for turn in turns if isinstance(turn, Mapping) and turn.get("role") == "user"]
        turns = asked[-1] if asked else turns
    texts: list[str] = []
    _collect(turns, texts, limit)
    text = "\n".join(texts)
    half = limit // 2
    return text if len(text) <= limit else text[:half] + text[-half:]


def _collect(value: Any, texts: list[str], limit: int) -> None:
    if isinstance(value, str):
        texts.append(value if len(value) <= 2 * limit else value[:limit] + value[-limit:])
    elif isinstance(value, Sequence):
        for item in value:
            _collect(item, texts, limit)
    elif isinstance(value, Mapping):
        _collect(value.get("content", value.get("text")), texts, limit)
