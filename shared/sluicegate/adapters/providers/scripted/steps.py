"""The steps of a performance: bytes to send, when, and what then. Turns directives into timing and faults.

A renderer yields pieces, `(bytes, tokens)` with at most one token each; `staged` puts in the waits and
the fault, and `gathered` joins what needs no wait in between, so that a fast answer costs few writes.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from sluicegate.adapters.providers.scripted.directives import MAX_FIRST_S, Directives, FaultKind

GATHER_BYTES = 8_192
GARBAGE = b"\x00\xff\xfe}{ this is no part of the protocol ]]\r\r\x80\n\n"

Piece = tuple[bytes, int]


class After(StrEnum):
    """What follows a step."""

    NEXT = "next"
    STALL = "stall"
    CUT = "cut"


class Step(NamedTuple):
    """Wait `wait_s` seconds, send `data` holding `tokens` output tokens, then do `after`."""

    wait_s: float
    data: bytes
    tokens: int
    after: After = After.NEXT


def staged(pieces: Iterator[Piece], directives: Directives, error_event: bytes) -> Iterator[Step]:
    """The pieces of a streamed answer as steps, with the directives' delays and fault."""
    fault = directives.fault
    delay = directives.delay_s
    produced = 0
    for data, tokens in pieces:
        if fault is not None and tokens and produced + tokens > fault.after:
            yield _fault_step(fault.kind, error_event)
            return
        produced += tokens
        yield Step(delay if tokens else 0.0, data, tokens)
    if fault is not None and produced >= fault.after:
        # The answer was shorter than the fault's place: it then happens after the last byte.
        yield _fault_step(fault.kind, error_event)


def _fault_step(kind: FaultKind, error_event: bytes) -> Step:
    match kind:
        case FaultKind.STALL:
            return Step(0.0, b"", 0, After.STALL)
        case FaultKind.CUT:
            return Step(0.0, b"", 0, After.CUT)
        case FaultKind.GARBAGE:
            return Step(0.0, GARBAGE, 0)
        case FaultKind.ERROR:
            return Step(0.0, error_event, 0)


def whole(body: bytes, tokens: int, directives: Directives) -> Iterator[Step]:
    """A whole answer as steps: the delays come first (at most 600 s), a fault spoils the body."""
    fault = directives.fault
    wait_s = min(directives.delay_s * tokens, MAX_FIRST_S)
    if fault is None:
        yield Step(wait_s, body, tokens)
    elif fault.kind is FaultKind.STALL:
        yield Step(wait_s, b"", 0, After.STALL)
    elif fault.kind is FaultKind.CUT:
        yield Step(wait_s, body[: len(body) // 2], 0, After.CUT)
    else:
        yield Step(wait_s, body, 0)


def gathered(steps: Iterator[Step]) -> Iterator[Step]:
    """`steps` with neighbours joined where no wait separates them, up to about 8 KiB."""
    wait_s, tokens, size = 0.0, 0, 0
    held: list[bytes] = []
    for step in steps:
        if held and (step.wait_s or size >= GATHER_BYTES):
            yield Step(wait_s, b"".join(held), tokens)
            wait_s, tokens, size = 0.0, 0, 0
            held.clear()
        if not held:
            wait_s = step.wait_s
        held.append(step.data)
        tokens += step.tokens
        size += len(step.data)
        if step.after is not After.NEXT:
            yield Step(wait_s, b"".join(held), tokens, step.after)
            return
    if held:
        yield Step(wait_s, b"".join(held), tokens)
