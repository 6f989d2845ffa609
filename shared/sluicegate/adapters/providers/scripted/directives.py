"""Directives: what the last user message may ask of the scripted model.

Written between double brackets anywhere in the text. Times need a unit (`20ms`, `1.5s`).

| Directive                     | What happens                                            | Most      |
|-------------------------------|---------------------------------------------------------|-----------|
| `[[tokens N]]`                | the answer has exactly N tokens                         | 100 000   |
| `[[say TEXT]]`                | the answer is TEXT                                      | message   |
| `[[delay T]]`                 | wait T before each token                                | 60 s      |
| `[[first T]]`                 | wait T before the answer's head                         | 600 s     |
| `[[fail S]]`                  | answer with HTTP status S (400 to 599)                  |           |
| `[[fail S retry-after N]]`    | ... and a `retry-after` of N seconds                    | 3 600     |
| `[[fail S times K]]`          | ... only the first K requests with this prompt          | 1 000     |
| `[[fail S model NAME]]`       | ... only when asked as model NAME                       |           |
| `[[stall after N]]`           | N tokens, then silence until the caller leaves          | 100 000   |
| `[[cut after N]]`             | N tokens, then the connection breaks                    | 100 000   |
| `[[garbage after N]]`         | N tokens, then bytes that are no part of the protocol   | 100 000   |
| `[[error after N]]`           | N tokens, then an error event                           | 100 000   |
| `[[tool NAME {JSON}]]`        | call tool NAME; repeat it for parallel calls            | 32        |
| `[[cached N]]`                | N prompt tokens are billed as read from a prompt cache  | 1 000 000 |
| `[[cache-write N]]`           | N prompt tokens are billed as written to a prompt cache | 1 000 000 |
| `[[reasoning N]]`             | N reasoning tokens come before the answer               | 100 000   |
| `[[refuse]]`                  | the answer is a refusal                                 |           |
| `[[wrong-usage]]`             | the usage reported is not what was produced             |           |

A name that is not in this table is left alone as text; a known name with wrong arguments is an
invalid request (400) that says the right form. Whole answers (not streamed) obey `after N` too:
nothing, half a body, broken JSON, or status 500.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from sluicegate.kernel.errors import InvalidRequestError

MAX_TOKENS = 100_000
MAX_DELAY_S = 60.0
MAX_FIRST_S = 600.0
MAX_RETRY_AFTER_S = 3_600
MAX_TIMES = 1_000
MAX_CACHED = 1_000_000
MAX_TOOL_CALLS = 32
MAX_DIRECTIVES = 64

_OPENING = re.compile(r"\[\[\s*([a-z]+(?:-[a-z]+)*)\s*")
_SECONDS = {"ms": 0.001, "s": 1.0}
_DURATION = re.compile(r"(\d{1,7}(?:\.\d{1,6})?)(ms|s)")
_FAIL = re.compile(
    r"([45]\d\d)(?:\s+retry-after\s+(\d{1,9}))?(?:\s+times\s+(\d{1,9}))?(?:\s+model\s+([^\s\]]{1,200}))?"
)
_AFTER = re.compile(r"after\s+(\d{1,9})")
_TOOL_NAME = re.compile(r"([A-Za-z0-9_.:-]{1,128})\s*")
_JSON = json.JSONDecoder()


class FaultKind(StrEnum):
    """What goes wrong in the middle of an answer."""

    STALL = "stall"
    CUT = "cut"
    GARBAGE = "garbage"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault once `after` tokens are out."""

    kind: FaultKind
    after: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An error answer: `times` requests only (None: always), as `model` only (None: any)."""

    status: int
    retry_after: int | None = None
    times: int | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool to call; `arguments` is JSON text, None for the least its schema allows."""

    name: str
    arguments: str | None = None


@dataclass(frozen=True, slots=True)
class Directives:
    """All directives of one prompt. `text` is the prompt without them."""

    text: str = ""
    tokens: int | None = None
    say: str | None = None
    delay_s: float = 0.0
    first_s: float = 0.0
    failure: Failure | None = None
    fault: Fault | None = None
    tools: tuple[ToolUse, ...] = ()
    cached: int = 0
    cache_written: int = 0
    reasoning: int = 0
    refuse: bool = False
    wrong_usage: bool = False


def parse_directives(text: str) -> Directives:
    """The directives in `text`.

    Raises:
        InvalidRequestError: a directive's arguments are wrong or beyond their maximum, or there are
            more than 64 directives or 32 tool calls.
    """
    if "[[" not in text:
        return Directives(text=text)
    found = Directives()
    plain: list[str] = []
    position = count = 0
    while (opening := _OPENING.search(text, position)) is not None:
        read = _READERS.get(opening[1])
        if read is None:
            plain.append(text[position : opening.end()])
            position = opening.end()
            continue
        count += 1
        if count > MAX_DIRECTIVES:
            raise InvalidRequestError(f"more than {MAX_DIRECTIVES} directives in one prompt")
        plain.append(text[position : opening.start()])
        argument, position = _argument(text, opening)
        found = read(found, opening[1], argument)
    plain.append(text[position:])
    return replace(found, text=" ".join("".join(plain).split()))


def _argument(text: str, opening: re.Match[str]) -> tuple[str, int]:
    start = search = opening.end()
    if opening[1] == "tool":
        # JSON may itself hold "]]", so its end is found by reading it.
        name = _TOOL_NAME.match(text, start)
        if name is not None and text.startswith("{", name.end()):
            try:
                search = _JSON.raw_decode(text, name.end())[1]
            except (ValueError, RecursionError):
                raise _wrong("tool") from None
    end = text.find("]]", search)
    if end < 0:
        raise _wrong(opening[1])
    return text[start:end].strip(), end + 2


_FORMS = {
    "tokens": "[[tokens 50]]",
    "say": "[[say hello there]]",
    "delay": "[[delay 20ms]]",
    "first": "[[first 300ms]]",
    "fail": "[[fail 503]], [[fail 429 retry-after 2]], [[fail 500 times 2]] or [[fail 503 model NAME]]",
    "stall": "[[stall after 5]]",
    "cut": "[[cut after 5]]",
    "garbage": "[[garbage after 5]]",
    "error": "[[error after 5]]",
    "tool": '[[tool get_weather {"city": "Bern"}]]',
    "cached": "[[cached 10]]",
    "cache-write": "[[cache-write 10]]",
    "reasoning": "[[reasoning 20]]",
    "refuse": "[[refuse]]",
    "wrong-usage": "[[wrong-usage]]",
}


def _wrong(name: str, most: str = "") -> InvalidRequestError:
    limit = f", at most {most}" if most else ""
    return InvalidRequestError(f"directive {name} is written {_FORMS[name]}{limit}", param="messages")


def _number(name: str, argument: str, most: int) -> int:
    if not argument.isascii() or not argument.isdigit() or len(argument) > 9 or int(argument) > most:
        raise _wrong(name, str(most))
    return int(argument)


def _seconds(name: str, argument: str, most: float) -> float:
    match = _DURATION.fullmatch(argument)
    seconds = float(match[1]) * _SECONDS[match[2]] if match else math.inf
    if seconds > most:
        raise _wrong(name, f"{most:g}s")
    return seconds


def _tokens(found: Directives, name: str, argument: str) -> Directives:
    return replace(found, tokens=_number(name, argument, MAX_TOKENS))


def _say(found: Directives, name: str, argument: str) -> Directives:
    if not argument:
        raise _wrong(name)
    return replace(found, say=argument)


def _delay(found: Directives, name: str, argument: str) -> Directives:
    return replace(found, delay_s=_seconds(name, argument, MAX_DELAY_S))


def _first(found: Directives, name: str, argument: str) -> Directives:
    return replace(found, first_s=_seconds(name, argument, MAX_FIRST_S))


def _fail(found: Directives, name: str, argument: str) -> Directives:
    match = _FAIL.fullmatch(argument)
    if match is None:
        raise _wrong(name)
    status, retry_after, times, model = match.groups()
    return replace(
        found,
        failure=Failure(
            int(status),
            None if retry_after is None else _number(name, retry_after, MAX_RETRY_AFTER_S),
            None if times is None else _number(name, times, MAX_TIMES),
            model,
        ),
    )


def _fault(found: Directives, name: str, argument: str) -> Directives:
    match = _AFTER.fullmatch(argument)
    if match is None:
        raise _wrong(name)
    return replace(found, fault=Fault(FaultKind(name), _number(name, match[1], MAX_TOKENS)))


def _tool(found: Directives, name: str, argument: str) -> Directives:
    match = _TOOL_NAME.match(argument)
    if match is None or len(found.tools) >= MAX_TOOL_CALLS:
        raise _wrong(name, f"{MAX_TOOL_CALLS} times")
    arguments = argument[match.end() :].strip()
    if arguments and not arguments.startswith("{"):
        raise _wrong(name)
    return replace(found, tools=(*found.tools, ToolUse(match[1], arguments or None)))


def _cached(found: Directives, name: str, argument: str) -> Directives:
    return replace(found, cached=_number(name, argument, MAX_CACHED))


def _cache_write(found: Directives, name: str, argument: str) -> Directives:
    return replace(found, cache_written=_number(name, argument, MAX_CACHED))


def _reasoning(found: Directives, name: str, argument: str) -> Directives:
    return replace(found, reasoning=_number(name, argument, MAX_TOKENS))


def _refuse(found: Directives, name: str, argument: str) -> Directives:
    if argument:
        raise _wrong(name)
    return replace(found, refuse=True)


def _wrong_usage(found: Directives, name: str, argument: str) -> Directives:
    if argument:
        raise _wrong(name)
    return replace(found, wrong_usage=True)


_READERS: dict[str, Callable[[Directives, str, str], Directives]] = {
    "tokens": _tokens,
    "say": _say,
    "delay": _delay,
    "first": _first,
    "fail": _fail,
    **dict.fromkeys(FaultKind, _fault),
    "tool": _tool,
    "cached": _cached,
    "cache-write": _cache_write,
    "reasoning": _reasoning,
    "refuse": _refuse,
    "wrong-usage": _wrong_usage,
}
