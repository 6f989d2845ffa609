"""State that a provider keeps between requests: shared by everyone who uses its account.

An id of a stored answer, file or container is good for whoever presents it with the gateway's credential,
whatever tenant it came from; so is an address that only the provider's own account can read. Requests that
refer to such state are refused unless policy says that this deployment has one tenant only
(`provider_state: allow`).
"""

import re
from typing import Any

from sluicegate.completions.openai_responses.reasoning import without_kept_reasoning
from sluicegate.completions.types import Json
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Dialect

REFERENCES = ("previous_response_id", "conversation", "prompt", "background")
"""Top-level fields of the Responses protocol."""

# By name, wherever they stand. `cached_content` is Vertex AI's, `kv_transfer_params` vLLM's.
_IDS = frozenset(
    {
        "file_id",
        "file_ids",
        "vector_store_ids",
        "container_id",
        "skill_id",
        "tunnel_id",
        "connector_id",
        "comparison_response_id",
        "previous_message_id",
        "cached_content",
        "cachedContent",
        "kv_transfer_params",
    }
)
# Names of one that exists, or else of what a new one shall be like.
_HOLDERS = frozenset({"container", "audio", "voice"})
# Top-level fields that may hold one of the above; those of messages and tools are found by their bytes.
_SUSPECTS = frozenset(
    {
        "prompt_cache_options",
        "diagnostics",
        "thread",
        "container",
        "google",
        "extra_body",
        "kv_transfer_params",
    }
)
_ADDRESSES = frozenset({"image_url", "file_url", "audio_url", "video_url", "url", "file_data", "data"})
# Parts that vLLM remembers by the `uuid` beside them, whoever sent them first.
_MEDIA = frozenset({"image_url", "input_audio", "audio_url", "video_url", "file"})
# What a caller's own schemas and a model's arguments hold is no field of the protocol.
_FREE = frozenset(
    {"parameters", "input_schema", "output_schema", "schema", "metadata", "arguments", "input_examples"}
)
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
# `gs://`, `s3://`, `file:`: read with the account or on the machine of the provider. `data:` and plain base64
# are no addresses; everybody reads `http(s)` alike.
# Possessive and bounded: the text may be megabytes long.
_OWN_ADDRESS = re.compile(r"\s*+(?!https?:)(?:[a-z][a-z0-9+.-]{0,31}+:/|file:)", re.IGNORECASE)


def stand_alone(dialect: Dialect, body: Json, raw: bytes) -> Json:
    """The request `body`, parsed from `raw`, if it stands by itself.

    Reasoning of OpenAI's that is named but not enclosed is left out: it would be looked up.

    Raises:
        InvalidRequestError: it refers to state at the provider; `param` says where.
    """
    if dialect is Dialect.OPENAI_RESPONSES:
        for name in REFERENCES:
            if body.get(name):
                raise _refusal(name)
        _search(body)
        given = body.get("input")
        if type(given) is list:
            _refuse_stored(given)
            return without_kept_reasoning(body)
    elif not _SUSPECTS.isdisjoint(body) or _suspicious(dialect, raw):
        thread = body.get("thread")
        if type(thread) is dict and thread.get("type") != "create":
            raise _refusal("thread")
        _search(body)
    return body


def _suspicious(dialect: Dialect, raw: bytes) -> bool:
    """Whether a closer look is called for. Each test is one pass in C; a loop would cost five times as much.

    A key may be written with escapes, so those too are suspicious.
    """
    if dialect is Dialect.ANTHROPIC_MESSAGES:
        return b'"file_id' in raw or b'"url"' in raw or b"\\u" in raw
    return b'"file' in raw or b'_url"' in raw or b'audio"' in raw or b"\\u" in raw


def _refuse_stored(items: list[Any]) -> None:
    """Refuse items of a response's input that stand for what the provider has."""
    for index, item in enumerate(items):
        kind = item.get("type")
        # The type of a reference may be left out.
        untyped = kind is None and "role" not in item
        picture = kind == "image_generation_call" and not item.get("result")
        if kind == "item_reference" or ((untyped or picture) and item.get("id")):
            raise _refusal(f"input.{index}")


def _search(body: Json) -> None:
    """Look at every field; a loop, since the body may be nested as deep as its limits allow."""
    waiting: list[tuple[Any, str]] = [(body, "")]
    while waiting:
        value, path = waiting.pop()
        if type(value) is list:
            waiting += [
                (item, f"{path}{index}.")
                for index, item in enumerate(value)
                if type(item) is dict or type(item) is list
            ]
            continue
        kind = value.get("type")
        for name, inner in value.items():
            if type(inner) is str and name in _ADDRESSES:
                if _OWN_ADDRESS.match(inner) and not _unread(name, kind, value):
                    raise _unreadable(path + name)
            elif _refers(name, inner, kind, value):
                raise _refusal(path + name)
            elif name in _FREE or (name == "input" and type(kind) is str and kind in _CALLS):
                continue
            elif type(inner) is dict or type(inner) is list:
                waiting.append((inner, f"{path}{name}."))


def _refers(name: str, inner: Any, kind: object, holder: Json) -> bool:
    if name in _IDS:
        return bool(inner) and not _public(name, holder)
    if name in _HOLDERS:
        return _names_one(inner, name)
    return name == "uuid" and bool(inner) and type(kind) is str and kind in _MEDIA


def _public(name: str, holder: Json) -> bool:
    """Whether the id names something that every account has, or brings the caller's own credential."""
    if name == "skill_id":
        return holder.get("type") == "anthropic"
    return name == "connector_id" and bool(holder.get("authorization"))


def _unread(name: str, kind: object, holder: Json) -> bool:
    """Whether the text only looks like an address to be read: a document's own, a browser's tab."""
    return (name == "data" and kind == "text") or (name == "url" and "tab_id" in holder)


def _names_one(holder: Any, name: str) -> bool:
    """Whether one that exists is meant, rather than what a new one shall be like."""
    if type(holder) is dict:
        return bool(holder.get("id"))
    return type(holder) is str and bool(holder) and name != "voice"


def _refusal(param: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{param} refers to state kept at the provider, which tenants would share; send the whole "
        "conversation and its files, or set provider_state: allow in completions.yaml where there is one "
        "tenant only",
        param=param,
    )


def _unreadable(param: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{param} is an address that the provider would read with the gateway's own account; give an http(s) "
        "or data address, or set provider_state: allow in completions.yaml where there is one tenant only",
        param=param,
    )
