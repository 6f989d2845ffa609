"""The table of commands, and how their arguments are read."""

import fnmatch
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from sluicegate.adapters.redis.embedded.keyspace import Keyspace
from sluicegate.adapters.redis.embedded.resp import NOT_FLOAT, NOT_INTEGER, CommandError, Reply

Run = Callable[[Keyspace, tuple[bytes, ...]], Reply]

_INTEGER = re.compile(rb"-?[1-9][0-9]{0,18}|0")
_FLOAT = re.compile(
    rb"[-+]?(?:[0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|[iI][nN][fF])"
)
_LONGEST_FLOAT = 64


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One command. `arity` counts its words, the name included; negative means at least that many."""

    run: Run
    arity: int
    writes: bool
    in_script: bool

    def fits(self, words: int) -> bool:
        """Whether it can have this many words."""
        return words == self.arity if self.arity >= 0 else words >= -self.arity


COMMANDS: dict[bytes, CommandSpec] = {}


def command(name: str, arity: int, *, writes: bool = False, in_script: bool = True) -> Callable[[Run], Run]:
    """Register a function as the command `name`; it gets the keyspace and all words."""

    def register(run: Run) -> Run:
        COMMANDS[name.encode()] = CommandSpec(run, arity, writes, in_script)
        return run

    return register


def integer(word: bytes, error: str = NOT_INTEGER) -> int:
    """A signed 64-bit integer, in Redis' strict form.

    Raises:
        CommandError: it is none.
    """
    if _INTEGER.fullmatch(word) is None:
        raise CommandError(error)
    value = int(word)
    if not -(2**63) <= value < 2**63:
        raise CommandError(error)
    return value


def number(word: bytes, error: str = NOT_FLOAT) -> float:
    """A double; `inf` allowed, not-a-number refused.

    Raises:
        CommandError: it is none.
    """
    if len(word) > _LONGEST_FLOAT or _FLOAT.fullmatch(word) is None:
        raise CommandError(error)
    return float(word)


def decimal(word: bytes, if_infinite: str = NOT_FLOAT) -> Decimal:
    """A finite decimal number.

    Raises:
        CommandError: it is none.
    """
    if math.isinf(number(word)):
        raise CommandError(if_infinite)
    try:
        return Decimal(word.decode())
    except InvalidOperation:
        raise CommandError(NOT_FLOAT) from None


def decimal_text(value: Decimal) -> bytes:
    """A decimal as the float commands answer it: at most 17 places, no exponent, no trailing zeros."""
    text = f"{value:.17f}"
    return text.rstrip("0").rstrip(".").encode()


def score_text(score: float) -> bytes:
    """A score as Redis writes it: whole numbers without a point, others in their shortest form."""
    if math.isinf(score):
        return b"inf" if score > 0 else b"-inf"
    if score.is_integer() and abs(score) < 2**53:
        return b"%d" % int(score) if score else (b"-0" if math.copysign(1, score) < 0 else b"0")
    mantissa, _, exponent = repr(score).partition("e")
    return (f"{mantissa}e{exponent}" if exponent else mantissa).encode()


def pattern(glob: bytes) -> re.Pattern[bytes]:
    """A Redis glob (stars, question marks, classes, backslash escapes) as a regular expression over bytes."""
    text = re.sub(rb"\[\^", b"[!", glob)
    literal = re.sub(rb"\\(.)", lambda match: b"[" + match[1] + b"]", text, flags=re.DOTALL)
    return re.compile(fnmatch.translate(literal.decode("latin-1")).encode("latin-1"), re.DOTALL)
