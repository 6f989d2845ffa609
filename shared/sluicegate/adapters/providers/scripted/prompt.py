"""What the scripted model reads of a request, whatever its dialect.

Prompt tokens are counted by a rule simple enough to check by hand: the whitespace-separated words of
all text (system, messages, tool results, tool calls' arguments, tool descriptions), 85 more for each
image, audio part or document, and at least 1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from sluicegate.adapters.providers.scripted.directives import Directives, parse_directives
from sluicegate.completions.types import Json
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Dialect

TOKENS_PER_ATTACHMENT = 85
MAX_CHOICES = 128
MAX_STOPS = 64


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool on offer; `schema` is that of its arguments."""

    name: str
    schema: Any


@dataclass(slots=True)
class Prompt:
    """A request as the script needs it.

    `max_tokens` is per choice. `must_call` is the name of a tool that has to be called, or "" for
    any of them, None when calling is free. `schema` is that of a structured answer, `json` asks for
    any JSON object. `tool_result` is the text of the last tool result when it is the latest turn.
    `top_logprobs` is None where no log probabilities were asked for.
    """

    model: str
    words: int
    directives: Directives
    stream: bool = False
    max_tokens: int | None = None
    choices: int = 1
    stops: tuple[str, ...] = ()
    seed: int | None = None
    tools: tuple[Tool, ...] = ()
    must_call: str | None = None
    schema: Any = None
    json: bool = False
    tool_result: str | None = None
    top_logprobs: int | None = None
    include_usage: bool = False
    continuous_usage: bool = False
    attachments: int = 0


def read_prompt(dialect: Dialect, raw: bytes) -> Prompt:
    """The prompt in `raw`, a chat completion or messages request.

    Raises:
        InvalidRequestError: not JSON, or a field the model needs is missing or of the wrong type.
    """
    body = read_object(raw)
    reader = _Reader()
    if dialect is Dialect.ANTHROPIC_MESSAGES:
        return _read_anthropic(body, reader)
    return _read_openai(body, reader)


def read_object(raw: bytes) -> Json:
    """`raw` as a JSON object with a `model`."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidRequestError("the body is not a JSON object")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise InvalidRequestError("name a model", param="model")
    return body


def count_words(text: str) -> int:
    """Tokens of `text` as this model counts them."""
    return len(text.split())


class _Reader:
    """Counts words over all turns and keeps what the script looks at."""

    def __init__(self) -> None:
        self.words = 0
        self.attachments = 0
        self.user_text = ""
        self.tool_result: str | None = None

    def count(self, text: Any) -> None:
        if isinstance(text, str):
            self.words += count_words(text)

    def turns(self, messages: Any) -> None:
        if not isinstance(messages, list) or not messages:
            raise InvalidRequestError("send at least one message", param="messages")
        for index, message in enumerate(messages):
            if not isinstance(message, dict):
                raise InvalidRequestError("a message is an object", param=f"messages.{index}")
            self._turn(message)

    def _turn(self, message: Json) -> None:
        role = message.get("role")
        texts: list[str] = []
        results: list[str] = []
        for kind, text in self._parts(message.get("content")):
            self.words += count_words(text)
            (results if kind == "result" else texts).append(text)
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict) and isinstance(call.get("function"), dict):
                self.count(call["function"].get("arguments"))
        if role == "user" and texts:
            self.user_text, self.tool_result = "\n".join(texts), None
        elif role == "tool" or results:
            self.tool_result = "\n".join(results or texts)

    def _parts(self, content: Any, *, inside_result: bool = False) -> Iterator[tuple[str, str]]:
        if isinstance(content, str):
            yield "text", content
            return
        for part in content if isinstance(content, list) else ():
            if not isinstance(part, dict):
                continue
            match part.get("type"):
                case "text" | "refusal" | "thinking":
                    text = part.get("text") or part.get("refusal") or part.get("thinking")
                    if isinstance(text, str):
                        yield "text", text
                case "tool_result" if not inside_result:
                    # Results do not nest; one inside another is left out rather than followed down.
                    inside = self._parts(part.get("content"), inside_result=True)
                    yield "result", "\n".join(text for _, text in inside)
                case "tool_use":
                    self.count(orjson.dumps(part.get("input")).decode())
                case "image_url" | "image" | "input_audio" | "file" | "document":
                    self.attachments += 1

    def tools(self, declared: list[Tool], described: list[Any]) -> tuple[Tool, ...]:
        for description in described:
            self.count(description)
        return tuple(declared)

    @property
    def prompt_words(self) -> int:
        return max(1, self.words + self.attachments * TOKENS_PER_ATTACHMENT)


def _read_openai(body: Json, reader: _Reader) -> Prompt:
    reader.turns(body.get("messages"))
    functions = [
        tool["function"]
        for tool in _list(body, "tools")
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict)
    ]
    tools = reader.tools(
        [Tool(str(one.get("name")), one.get("parameters")) for one in functions],
        [one.get("description") for one in functions],
    )
    choice = body.get("tool_choice")
    must_call: str | None = None
    if choice == "required":
        must_call = ""
    elif isinstance(choice, Mapping):
        if isinstance(choice.get("function"), Mapping):
            must_call = str(choice["function"].get("name"))
        elif choice.get("type") == "allowed_tools" and isinstance(choice.get("allowed_tools"), Mapping):
            must_call = "" if choice["allowed_tools"].get("mode") == "required" else None
    form = body.get("response_format")
    kind = form.get("type") if isinstance(form, dict) else None
    wrapper = form.get("json_schema") if isinstance(form, dict) and kind == "json_schema" else None
    options = body.get("stream_options")
    options = options if isinstance(options, dict) else {}
    most = body.get("max_completion_tokens")
    wants_logprobs = body.get("logprobs") is True
    return Prompt(
        model=body["model"],
        words=reader.prompt_words,
        directives=parse_directives(reader.user_text),
        stream=body.get("stream") is True,
        max_tokens=_limit(body, "max_completion_tokens" if most is not None else "max_tokens"),
        choices=_positive(body, "n", MAX_CHOICES) or 1,
        stops=_stops(body, "stop"),
        seed=body["seed"] if isinstance(body.get("seed"), int) else None,
        tools=tools if choice != "none" else (),
        must_call=must_call,
        schema=wrapper.get("schema") if isinstance(wrapper, dict) else None,
        json=kind in {"json_object", "json_schema"},
        tool_result=reader.tool_result,
        top_logprobs=min(20, _whole(body.get("top_logprobs"))) if wants_logprobs else None,
        include_usage=options.get("include_usage") is True,
        continuous_usage=options.get("continuous_usage_stats") is True,
        attachments=reader.attachments,
    )


def _read_anthropic(body: Json, reader: _Reader) -> Prompt:
    system = body.get("system")
    if isinstance(system, str):
        reader.count(system)
    for block in system if isinstance(system, list) else ():
        reader.count(block.get("text") if isinstance(block, dict) else None)
    reader.turns(body.get("messages"))
    declared = [tool for tool in _list(body, "tools") if isinstance(tool, dict)]
    tools = reader.tools(
        [Tool(str(one.get("name")), one.get("input_schema")) for one in declared],
        [one.get("description") for one in declared],
    )
    choice = body.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, dict) else None
    must_call = {"any": "", "tool": str(choice.get("name")) if isinstance(choice, dict) else ""}.get(
        str(kind)
    )
    config = body.get("output_config")
    form = config.get("format") if isinstance(config, dict) else body.get("output_format")
    if body.get("max_tokens") is None:
        raise InvalidRequestError("max_tokens is required", param="max_tokens")
    return Prompt(
        model=body["model"],
        words=reader.prompt_words,
        directives=parse_directives(reader.user_text),
        stream=body.get("stream") is True,
        max_tokens=_limit(body, "max_tokens"),
        stops=_stops(body, "stop_sequences"),
        tools=tools if kind != "none" else (),
        must_call=must_call,
        schema=form.get("schema") if isinstance(form, dict) else None,
        json=isinstance(form, dict),
        tool_result=reader.tool_result,
        include_usage=True,
        attachments=reader.attachments,
    )


def _list(body: Json, name: str) -> list[Any]:
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRequestError(f"{name} is a list", param=name)
    return value


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _limit(body: Json, name: str) -> int | None:
    """As `_positive`; zero too, which asks for an answer of nothing."""
    value = body.get(name)
    return 0 if value == 0 and type(value) is int else _positive(body, name)


def _positive(body: Json, name: str, most: int | None = None) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    number = _whole(value)
    if not number or (most is not None and number > most):
        raise InvalidRequestError(
            f"{name} is a positive integer" + (f" up to {most}" if most else ""), param=name
        )
    return number


def _stops(body: Json, name: str) -> tuple[str, ...]:
    value = body.get(name)
    given = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    if len(given) > MAX_STOPS:
        raise InvalidRequestError(f"at most {MAX_STOPS} stop sequences", param=name)
    return tuple(one for one in given if isinstance(one, str) and one)
