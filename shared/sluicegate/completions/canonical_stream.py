"""A streamed answer in steps that every dialect can be read into and written from.

An answer has one choice here. (No dialect but OpenAI chat has several, and requests for several are
refused by the others, so a translated stream never has them.)
"""

from dataclasses import dataclass

from sluicegate.completions.canonical import Stop
from sluicegate.kernel.models import Usage


@dataclass(slots=True)
class Started:
    """The answer begins."""

    id: str
    model: str


@dataclass(slots=True)
class TextDelta:
    """More text."""

    text: str


@dataclass(slots=True)
class ThinkingDelta:
    """More reasoning."""

    text: str


@dataclass(slots=True)
class ThinkingSigned:
    """The reasoning so far is complete; here is what proves it, whole."""

    signature: str


@dataclass(slots=True)
class RedactedThinking:
    """Reasoning that only its provider can read, whole."""

    data: str


@dataclass(slots=True)
class RefusalDelta:
    """More of a refusal's words."""

    text: str


@dataclass(slots=True)
class CallStarted:
    """A tool call begins. `index` counts the answer's calls from zero and names this one from now on."""

    index: int
    id: str
    name: str


@dataclass(slots=True)
class CallDelta:
    """More of a call's arguments. Calls may take turns."""

    index: int
    arguments: str


@dataclass(slots=True)
class Stopped:
    """The model is done writing."""

    stop: Stop
    stop_sequence: str | None = None


@dataclass(slots=True)
class UsageSaid:
    """The provider's figures, as known so far; the last one counts."""

    usage: Usage


@dataclass(slots=True)
class Finished:
    """The stream has ended as it should."""


StreamEvent = (
    Started
    | TextDelta
    | ThinkingDelta
    | ThinkingSigned
    | RedactedThinking
    | RefusalDelta
    | CallStarted
    | CallDelta
    | Stopped
    | UsageSaid
    | Finished
)
"""One step of an answer."""
