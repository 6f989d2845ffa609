"""From the canonical form to Anthropic's JSON."""

import hashlib
import re

from sluicegate.completions.anthropic.media import encode_document, encode_image
from sluicegate.completions.anthropic.usage import encode_usage
from sluicegate.completions.canonical import (
    CacheMark,
    ChoiceMode,
    Document,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Response,
    Role,
    Sampling,
    Stop,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from sluicegate.completions.fields import invalid
from sluicegate.completions.sse import json_object
from sluicegate.completions.types import Json
from sluicegate.kernel.models import Dialect, Usage

_DIALECT = Dialect.ANTHROPIC_MESSAGES
_CALL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NO_ARGUMENTS: Json = {"type": "object", "properties": {}}
_TIERS = {"default": "standard_only"}
_CHOICES = {ChoiceMode.AUTO: "auto", ChoiceMode.REQUIRED: "any", ChoiceMode.NAMED: "tool"}
STOP_REASONS = {
    Stop.END: "end_turn",
    Stop.STOP_SEQUENCE: "stop_sequence",
    Stop.LENGTH: "max_tokens",
    Stop.TOOL_CALLS: "tool_use",
    Stop.REFUSAL: "refusal",
    Stop.PAUSE: "pause_turn",
}

DEFAULT_MAX_TOKENS = 4_096
"""`max_tokens`, which Anthropic requires, where neither the client nor the pipeline said one."""


def encode_request(request: Request, *, keep_system_turns: bool = False) -> Json:
    """`request` for a provider that speaks Anthropic messages.

    System and developer messages that stand after the first turn are moved behind the system prompt,
    in order, since most models take none later; `keep_system_turns` leaves them in their places.

    Raises:
        InvalidRequestError: it asks for something that has no place there; `param` says what.
    """
    own = request.dialect is _DIALECT
    keep = keep_system_turns or own
    body: Json = dict(request.extra_for(_DIALECT))
    if not own:
        _refuse(request)
    system: list[Json] = []
    asked: list[Json] = []
    messages: list[Json] = []
    for turn in request.turns:
        if turn.role in (Role.SYSTEM, Role.DEVELOPER) and not (keep and messages):
            asked = _blocks(turn.parts, f"{turn.path}.content", own=own)
            system += asked
            continue
        blocks = _turn_blocks(turn, own=own)
        role = {Role.ASSISTANT: "assistant", Role.SYSTEM: "system", Role.DEVELOPER: "system"}.get(
            turn.role, "user"
        )
        if not blocks:
            if role == "assistant":
                continue
            raise invalid(f"{turn.path}.content", "is empty, which this provider does not take")
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": role, "content": blocks})
    if not messages and asked and not own:
        # Nothing but instructions: OpenAI's models answer them, so here the last of them is the question.
        system, messages = system[: -len(asked)], [{"role": "user", "content": asked}]
    if not messages:
        raise invalid("messages", "needs at least one message from the user")
    if messages[-1]["role"] == "assistant" and not own:
        raise invalid(
            request.turns[-1].path, "is the assistant's; the last message must be the user's or a tool's"
        )
    for message in messages:
        message["content"] = _folded(message["content"])
    body["model"] = request.model
    body["max_tokens"] = (
        DEFAULT_MAX_TOKENS if request.max_output_tokens is None else request.max_output_tokens
    )
    body["messages"] = messages
    if system:
        body["system"] = _folded(system)
    body.update(_sampling(request.sampling))
    body.update(_tools(request.tools, request.tool_choice))
    _reasoning(body, request)
    if request.user is not None:
        body["metadata"] = {"user_id": request.user}
    tier = request.service_tier if own else _TIERS.get(request.service_tier or "")
    if tier is not None:
        body["service_tier"] = tier
    if request.stream:
        body["stream"] = True
    return body


def _refuse(request: Request) -> None:
    """Raise for what Anthropic has no field for and what would change the answer if it were left out."""
    sampling, wanted = request.sampling, request.response_format
    refused = (
        ("n", sampling.choices > 1),
        ("logprobs", sampling.logprobs),
        ("top_logprobs", bool(sampling.top_logprobs)),
        ("logit_bias", bool(sampling.logit_bias)),
        ("frequency_penalty", bool(sampling.frequency_penalty)),
        ("presence_penalty", bool(sampling.presence_penalty)),
        ("verbosity", request.verbosity not in (None, "medium")),
    )
    for param, asked in refused:
        if asked:
            raise invalid(param, "has no counterpart at this provider; leave it out or choose another model")
    if wanted is not None and wanted.kind == "json_object":
        raise invalid("response_format", "'json_object' is unknown to this provider; use 'json_schema'")


def _sampling(sampling: Sampling) -> Json:
    body: Json = {}
    if sampling.temperature is not None:
        # OpenAI's scale goes to 2, Anthropic's to 1; beyond 1 there is nothing hotter to ask for.
        body["temperature"] = min(1, sampling.temperature)
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.top_k is not None:
        body["top_k"] = sampling.top_k
    if sampling.stop:
        body["stop_sequences"] = sampling.stop
    return body


def _tools(tools: list[Tool], choice: ToolChoice) -> Json:
    if choice.allowed is not None:
        tools = [tool for tool in tools if tool.name in choice.allowed]
    if not tools:
        return {}
    body: Json = {"tools": [_tool(tool, f"tools.{index}") for index, tool in enumerate(tools)]}
    wanted: Json = {}
    if choice.mode is ChoiceMode.NONE:
        wanted = {"type": "none"}
    elif choice.mode is not None or choice.parallel is False:
        wanted = {"type": _CHOICES[choice.mode or ChoiceMode.AUTO]}
        if choice.mode is ChoiceMode.NAMED:
            wanted["name"] = choice.name
        if choice.parallel is not None:
            wanted["disable_parallel_tool_use"] = not choice.parallel
    if wanted:
        body["tool_choice"] = wanted
    return body


def _tool(tool: Tool, path: str) -> Json:
    if tool.raw is not None:
        if tool.dialect is not _DIALECT:
            raise invalid(path, f"is a tool ('{tool.name}') that only its own provider has")
        return tool.raw
    schema = _NO_ARGUMENTS if tool.schema is None else tool.schema
    if "type" not in schema:
        schema = {"type": "object", **schema}
    encoded: Json = {"name": tool.name, "input_schema": schema}
    if tool.description is not None:
        encoded["description"] = tool.description
    if tool.strict is not None:
        encoded["strict"] = tool.strict
    return encoded | _mark(tool.cache)


def _reasoning(body: Json, request: Request) -> None:
    """Set `thinking` and `output_config`: the effort, the answer's schema."""
    output: Json = {}
    reasoning = request.reasoning
    if reasoning is not None:
        thinking = _thinking(reasoning, body)
        if thinking is not None:
            body["thinking"] = thinking
        if reasoning.effort not in (None, "none"):
            output["effort"] = "low" if reasoning.effort == "minimal" else reasoning.effort
    wanted = request.response_format
    if wanted is not None and wanted.kind == "json_schema":
        output["format"] = {"type": "json_schema", "schema": wanted.schema}
    if output:
        body["output_config"] = output


def _thinking(reasoning: Reasoning, body: Json) -> Json | None:
    if reasoning.mode is not None:
        thinking: Json = {"type": reasoning.mode}
        if reasoning.budget_tokens is not None:
            thinking["budget_tokens"] = reasoning.budget_tokens
        if reasoning.display is not None:
            thinking["display"] = reasoning.display
        return thinking
    if reasoning.effort is None:
        return None
    if reasoning.effort == "none":
        return {"type": "disabled"}
    # While it thinks, Anthropic takes no temperature and no forced tool; models of OpenAI that reason
    # take no temperature either, and a forced tool is the stronger wish.
    if body.get("tool_choice", {}).get("type") in ("any", "tool"):
        return None
    body.pop("temperature", None)
    body.pop("top_p", None)
    return {"type": "adaptive"}


def _turn_blocks(turn: Turn, *, own: bool) -> list[Json]:
    return _blocks(turn.parts, f"{turn.path}.content", own=own)


def _blocks(parts: list[Part], path: str, *, own: bool) -> list[Json]:
    blocks = [_block(part, path, own=own) for part in parts]
    return [block for block in blocks if block is not None]


def _block(part: Part, path: str, *, own: bool) -> Json | None:
    """The block of `part`; None for what Anthropic does not take and nobody misses."""

    def nested(parts: list[Part], path: str) -> list[Json]:
        return _blocks(parts, path, own=own)

    if isinstance(part, Text):
        if not part.text:
            return None
        citations: Json = {"citations": part.citations} if part.citations and own else {}
        return {"type": "text", "text": part.text} | citations | _mark(part.cache)
    if isinstance(part, ToolCall):
        return _call(part, path)
    if isinstance(part, ToolResult):
        result: Json = {"type": "tool_result", "tool_use_id": safe_id(part.call_id)}
        content = nested(part.parts, path)
        if content:
            result["content"] = _folded(content)
        if part.is_error:
            result["is_error"] = True
        return result | _mark(part.cache)
    if isinstance(part, Image):
        return encode_image(part, path, own=own) | _mark(part.cache)
    if isinstance(part, Document):
        return encode_document(part, path, nested, own=own) | _mark(part.cache)
    if isinstance(part, Thinking):
        if part.redacted is not None:
            return {"type": "redacted_thinking", "data": part.redacted}
        # Reasoning without its provider's proof is refused, so that of other models is left out.
        if part.signature is None:
            return None
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}
    if isinstance(part, Refusal):
        return {"type": "text", "text": part.text} if part.text else None
    if isinstance(part, Opaque) and part.dialect is _DIALECT:
        return part.content
    raise invalid(
        path, "has a part that this provider does not take (a recording, or another provider's own)"
    )


def _call(call: ToolCall, path: str) -> Json:
    if call.custom:
        raise invalid(path, f"calls the free-form tool '{call.name}', which this provider does not know")
    arguments = json_object(call.arguments.encode()) if call.arguments.strip() else {}
    if arguments is None:
        raise invalid(path, f"calls '{call.name}' with arguments that are not a JSON object")
    block = {"type": "tool_use", "id": safe_id(call.id), "name": call.name, "input": arguments}
    return block | _mark(call.cache)


def safe_id(call_id: str) -> str:
    """`call_id` in the letters Anthropic takes; another id is replaced by a digest of it, always the same."""
    if _CALL_ID.fullmatch(call_id):
        return call_id
    return "call_" + hashlib.sha256(call_id.encode()).hexdigest()[:24]


def _mark(cache: CacheMark | None) -> Json:
    if cache is None:
        return {}
    mark: Json = {"type": "ephemeral"}
    if cache.ttl_s is not None:
        mark["ttl"] = "1h" if cache.ttl_s >= 3600 else "5m"
    return {"cache_control": mark}


def _folded(blocks: list[Json]) -> str | list[Json]:
    """The simplest content that says the same: plain text where there is nothing else to it."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    return blocks


def encode_response(response: Response, requested_model: str) -> Json:
    """`response` as a message; of several choices the first."""
    choice = response.choices[0] if response.choices else None
    blocks = [_answered(part) for part in choice.parts] if choice is not None else []
    stop = choice.stop if choice is not None else Stop.END
    return {
        "id": response.id,
        "type": "message",
        "role": "assistant",
        "model": requested_model,
        "content": [block for block in blocks if block is not None],
        "stop_reason": STOP_REASONS[stop],
        "stop_sequence": choice.stop_sequence if choice is not None else None,
        "usage": encode_usage(response.usage or Usage()),
    }


def _answered(part: Part) -> Json | None:
    if isinstance(part, Text | Refusal):
        return {"type": "text", "text": part.text}
    if isinstance(part, ToolCall):
        arguments = json_object(part.arguments.encode()) if part.arguments.strip() else {}
        if arguments is None:
            # A model may write anything; a block's input must be an object, and nothing may be lost.
            arguments = {"invalid_json": part.arguments}
        return {"type": "tool_use", "id": safe_id(part.id), "name": part.name, "input": arguments}
    if isinstance(part, Thinking):
        if part.redacted is not None:
            return {"type": "redacted_thinking", "data": part.redacted}
        return {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}
    return None
