"""The script of one answer: what the scripted model says, token by token. Pure and deterministic.

One streamed delta is exactly one output token, and a whole answer reports as many tokens as it would
have had deltas when streamed. That makes every account checkable by counting.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from sluicegate.adapters.providers.scripted.directives import MAX_TOKENS, ToolUse
from sluicegate.adapters.providers.scripted.prompt import Prompt
from sluicegate.adapters.providers.scripted.schema import minimal_instance
from sluicegate.kernel.errors import InvalidRequestError

JSON_PIECE = 8

_WORD = re.compile(r"\s*\S+")
_FILLER = (
    "water", " runs", " through", " the", " sluice", " gate", " at", " a", " measured", " pace,", " never",
    " more", " than", " was", " asked", " for,", " and", " every", " drop", " is", " counted;", " then",
)  # fmt: skip
_THOUGHTS = ("Step", " by", " step,", " the", " scripted", " model", " pretends", " to", " think;")
_REFUSAL = ("I", " will", " not", " answer", " this:", " a", " directive", " told", " me", " to", " refuse.")


class BlockKind(StrEnum):
    """What a block of an answer is."""

    REASONING = "reasoning"
    TEXT = "text"
    REFUSAL = "refusal"
    TOOL = "tool"


class Finish(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    TOOLS = "tools"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class Block:
    """A run of `count` tokens: `words`, over and over where it is longer than they are.

    `call` numbers the tool calls of a choice; `name` is the tool's.
    """

    kind: BlockKind
    words: tuple[str, ...]
    count: int
    name: str = ""
    call: int = 0

    def tokens(self) -> Iterator[str]:
        """The tokens in order, made as they are needed."""
        words = self.words
        size = len(words)
        for index in range(self.count):
            word = words[index % size]
            yield word if index % size or not index else f" {word}"

    def text(self) -> str:
        return "".join(self.tokens())


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer of `n`."""

    blocks: tuple[Block, ...]
    finish: Finish
    stopped_by: str | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Tokens of a request. `prompt` is all of the prompt; `output` includes `reasoning`."""

    prompt: int
    cached: int
    cache_written: int
    output: int
    reasoning: int

    @property
    def uncached(self) -> int:
        return self.prompt - self.cached - self.cache_written


@dataclass(frozen=True, slots=True)
class Script:
    """Everything the model will say, and its figures: the true ones and those it reports."""

    choices: tuple[Choice, ...]
    figures: Figures
    reported: Figures


def write_script(prompt: Prompt) -> Script:
    """The script that answers `prompt`.

    Raises:
        InvalidRequestError: a tool to call does not exist, or a schema has no finite instance.
    """
    choices = tuple(_choice(prompt, index) for index in range(prompt.choices))
    cached = min(prompt.directives.cached, prompt.words)
    figures = Figures(
        prompt=prompt.words,
        cached=cached,
        cache_written=min(prompt.directives.cache_written, prompt.words - cached),
        output=sum(block.count for choice in choices for block in choice.blocks),
        reasoning=sum(
            block.count for choice in choices for block in choice.blocks if block.kind is BlockKind.REASONING
        ),
    )
    reported = figures
    if prompt.directives.wrong_usage:
        reported = Figures(
            figures.prompt + 5, cached, figures.cache_written, figures.output * 2 + 7, figures.reasoning
        )
    return Script(choices, figures, reported)


def _choice(prompt: Prompt, index: int) -> Choice:
    directives = prompt.directives
    blocks: list[Block] = []
    if directives.reasoning:
        blocks.append(Block(BlockKind.REASONING, _THOUGHTS, directives.reasoning))
    calls = _calls(prompt)
    finish = Finish.STOP
    if directives.refuse:
        blocks.append(_full(BlockKind.REFUSAL, _REFUSAL))
        finish = Finish.REFUSAL
    elif calls:
        for number, call in enumerate(calls):
            arguments = call.arguments or _arguments(prompt, call.name)
            blocks.append(_full(BlockKind.TOOL, _cut(arguments), name=call.name, call=number))
        finish = Finish.TOOLS
    else:
        words = _answer(prompt, index)
        count = len(words) if directives.tokens is None or prompt.json else directives.tokens
        if count:
            blocks.append(Block(BlockKind.TEXT, words, count))
    return _stopped(_limited(Choice(tuple(blocks), finish), _allowed(prompt)), prompt.stops)


def _full(kind: BlockKind, words: tuple[str, ...], *, name: str = "", call: int = 0) -> Block:
    return Block(kind, words, len(words), name, call)


def _cut(text: str) -> tuple[str, ...]:
    return tuple(text[start : start + JSON_PIECE] for start in range(0, len(text), JSON_PIECE))


def _calls(prompt: Prompt) -> tuple[ToolUse, ...]:
    if prompt.directives.tools and prompt.tool_result is None:
        return prompt.directives.tools
    if prompt.must_call is None:
        return ()
    if not prompt.tools:
        raise InvalidRequestError("tool_choice asks for a tool, but tools is empty", param="tool_choice")
    name = prompt.must_call or prompt.tools[0].name
    if all(tool.name != name for tool in prompt.tools):
        raise InvalidRequestError(f"tool_choice names no tool in tools: {name[:80]!r}", param="tool_choice")
    return (ToolUse(name),)


def _arguments(prompt: Prompt, name: str) -> str:
    schema = next((tool.schema for tool in prompt.tools if tool.name == name), None)
    instance: Any = minimal_instance(schema) if schema else {}
    return orjson.dumps(instance if isinstance(instance, dict) else {}).decode()


def _answer(prompt: Prompt, index: int) -> tuple[str, ...]:
    directives = prompt.directives
    if prompt.json:
        instance: Any
        if prompt.schema is not None:
            instance = minimal_instance(prompt.schema)
        else:
            instance = _said_object(directives.say) or {
                "answer": directives.say or "scripted",
                "choice": index,
            }
        return _cut(orjson.dumps(instance).decode())
    if directives.say is not None:
        return _words(directives.say)
    if directives.tokens is not None:
        return _FILLER
    return _words(_introduction(prompt, index))


def _said_object(say: str | None) -> dict[str, Any] | None:
    """The JSON object that `say` is, if it is one."""
    try:
        said = orjson.loads(say or "")
    except orjson.JSONDecodeError:
        return None
    return said if isinstance(said, dict) else None


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.strip()))


def _introduction(prompt: Prompt, index: int) -> str:
    tail = prompt.directives.text.split()[-8:]
    sentences = [
        f"This is Sluicegate's scripted model {prompt.model!r}: a rehearsal, no intelligence.",
        f"I read {prompt.words} tokens ending in “{' '.join(tail)[-80:]}”.",
    ]
    if prompt.attachments:
        sentences.append(f"I looked at {prompt.attachments} attachments.")
    if prompt.tool_result is not None:
        sentences.append(f"The tool answered “{' '.join(prompt.tool_result.split())[:80]}”.")
    if prompt.seed is not None:
        sentences.append(f"The seed is {prompt.seed}.")
    if index:
        sentences.append(f"This is choice {index + 1} of {prompt.choices}.")
    sentences.append("The same request always gets this same answer.")
    return " ".join(sentences)


def _allowed(prompt: Prompt) -> int:
    """Tokens per choice; all choices together never exceed the maximum of one answer."""
    most = MAX_TOKENS // prompt.choices
    return most if prompt.max_tokens is None else min(prompt.max_tokens, most)


def _limited(choice: Choice, left: int) -> Choice:
    if sum(block.count for block in choice.blocks) <= left:
        return choice
    kept: list[Block] = []
    for block in choice.blocks:
        count = min(block.count, left)
        if count:
            kept.append(Block(block.kind, block.words, count, block.name, block.call))
        left -= count
    return Choice(tuple(kept), Finish.LENGTH)


def _stopped(choice: Choice, stops: tuple[str, ...]) -> Choice:
    if not stops:
        return choice
    for index, block in enumerate(choice.blocks):
        if block.kind is not BlockKind.TEXT:
            continue
        text = block.text()
        found = min(((at, stop) for stop in stops if (at := text.find(stop)) >= 0), default=None)
        if found is None:
            continue
        words = tuple(_until(block, found[0]))
        kept = choice.blocks[:index] + ((Block(block.kind, words, len(words)),) if words else ())
        return Choice(kept, Finish.STOP_SEQUENCE, found[1])
    return choice


def _until(block: Block, end: int) -> Iterator[str]:
    position = 0
    for token in block.tokens():
        if position >= end:
            return
        yield token[: end - position]
        position += len(token)
