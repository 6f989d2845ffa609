"""How answers look: tables for people, JSON for programs."""

import json
import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sluicegate.kernel.errors import InvalidRequestError

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def say(text: str) -> None:
    """Write a line of the answer."""
    sys.stdout.write(text + "\n")


def warn(text: str) -> None:
    """Write a line beside the answer."""
    sys.stderr.write(f"sluicegate: {text}\n")


def say_json(value: Any) -> None:
    """Write the answer as JSON."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def say_table(headings: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()) -> None:
    """Write aligned columns; those named in `right` are figures. None shows as `-`."""
    cells = [["-" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    for line in (list(headings), *cells):
        parts = [
            cell.rjust(width) if heading in right else cell.ljust(width)
            for heading, cell, width in zip(headings, line, widths, strict=True)
        ]
        say("  ".join(parts).rstrip())


def timestamp(at: float | None) -> str | None:
    """`at` (epoch seconds) in UTC, to the second."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str, what: str) -> float:
    """The length of time that `text` says: `90d`, `12h`, `30m`, `45s`.

    Raises:
        InvalidRequestError: it says none.
    """
    match = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if match is None:
        raise InvalidRequestError(f"{what}: {text[:40]!r} is not a length of time such as 12h or 90d")
    return float(int(match[1]) * _UNITS[match[2]])


def moment(text: str, what: str) -> float:
    """The moment that `text` says, in epoch seconds: a date or time (UTC unless it says), or how long ago.

    Raises:
        InvalidRequestError: it says none.
    """
    if re.fullmatch(r"\d{1,6}[smhdw]", text):
        return time.time() - seconds(text, what)
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise InvalidRequestError(
            f"{what}: {text[:40]!r} is neither a date such as 2026-11-20 nor an age such as 7d"
        ) from None


def printable(text: str) -> str:
    """`text` as it may be shown. Names come from callers: none may move the cursor or hide a line."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()
