"""State that a provider keeps between requests: shared by everyone who uses its account.

An id of a stored answer, file or container is good for whoever presents it with the gateway's credential,
whatever tenant it came from. So requests that refer to such state are refused unless policy says that this
deployment has one tenant only (`provider_state: allow`).
"""

from typing import Any

from sluicegate.completions.types import Json
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Dialect

REFERENCES = ("previous_response_id", "conversation", "prompt", "background")
"""Top-level fields of the Responses protocol."""

_IDS = frozenset({"file_id", "file_ids", "vector_store_ids", "container_id"})
_HOLDERS = frozenset({"container", "audio"})
# What a caller's own schemas and a model's arguments hold is no field of the protocol.
_FREE = frozenset({"parameters", "input_schema", "schema", "metadata"})


def refuse_references(dialect: Dialect, body: Json, raw: bytes) -> None:
    """Pass if the request `body`, parsed from `raw`, stands by itself.

    Raises:
        InvalidRequestError: it refers to state at the provider; `param` says where.
    """
    if dialect is Dialect.OPENAI_RESPONSES:
        for name in REFERENCES:
            if body.get(name):
                raise _refusal(name)
    # Each is one pass in C over the body; a loop over them would cost five times as much. A key may be
    # written with escapes, so those too call for a closer look.
    if (
        b'"file_id' in raw
        or b'"vector_store_ids"' in raw
        or b'"container' in raw
        or b'"audio"' in raw
        or b"item_reference" in raw
        or b"\\u" in raw
    ):
        _search(body)


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
        if kind == "item_reference":
            raise _refusal(path[:-1])
        for name, inner in value.items():
            if (name in _IDS and inner) or (name in _HOLDERS and _names_one(inner)):
                raise _refusal(path + name)
            if name in _FREE or (kind == "tool_use" and name == "input"):
                continue
            if type(inner) is dict or type(inner) is list:
                waiting.append((inner, f"{path}{name}."))


def _names_one(holder: Any) -> bool:
    """Whether a container or a recording that exists is meant, rather than what a new one shall be like."""
    if type(holder) is dict:
        return bool(holder.get("id"))
    return type(holder) is str and bool(holder)


def _refusal(param: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{param} refers to state kept at the provider, which tenants would share; send the whole "
        "conversation and its files, or set provider_state: allow in completions.yaml where there is one "
        "tenant only",
        param=param,
    )
