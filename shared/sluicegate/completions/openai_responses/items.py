"""The items of a request's input: what they hold, and whether they are items at all."""

from typing import Any

from sluicegate.completions import bounds, capabilities
from sluicegate.completions.fields import invalid
from sluicegate.completions.types import Json

_ROLES = frozenset({"system", "developer", "user", "assistant"})
# Text fields that must be there, by the kind of item.
_TEXTS = {
    "function_call": ("call_id", "name", "arguments"),
    "custom_tool_call": ("call_id", "name", "input"),
    "function_call_output": ("call_id",),
    "custom_tool_call_output": ("call_id",),
}
_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})


class Media:
    """What the items' parts add up to.

    `refers` says that an item stands for one that the provider keeps.
    """

    __slots__ = ("bits", "bytes", "images", "refers", "tokens")

    def __init__(self) -> None:
        self.bits = 0
        self.bytes = 0
        self.images = 0
        self.refers = False
        self.tokens = 0


def inspect_items(items: list[Any]) -> Media:
    """Check the items that are known here; what their parts add up to.

    Kinds not known here (a provider's own tools) hold all their content, so size bounds them.

    Raises:
        InvalidRequestError: an item is not one.
    """
    media = Media()
    for index, item in enumerate(items):
        path = f"input.{index}"
        if type(item) is not dict:
            raise invalid(path, "must be an object")
        kind = item.get("type")
        if kind is None and "role" not in item and "id" in item:
            kind = "item_reference"
        if kind is None or kind == "message":
            _message(item, path, media)
        elif type(kind) is not str:
            raise invalid(f"{path}.type", "must be a string")
        elif kind in _TEXTS:
            for name in _TEXTS[kind]:
                if type(item.get(name)) is not str:
                    raise invalid(f"{path}.{name}", "is required and must be a string")
            if kind in _OUTPUTS:
                _parts(item.get("output"), f"{path}.output", media)
        elif kind == "item_reference":
            media.refers = True
    return media


def _message(item: Json, path: str, media: Media) -> None:
    role = item.get("role")
    if type(role) is not str or role not in _ROLES:
        raise invalid(f"{path}.role", f"must be one of {', '.join(sorted(_ROLES))}")
    _parts(item.get("content"), f"{path}.content", media)


def _parts(content: Any, path: str, media: Media) -> None:
    if type(content) is str:
        return
    if type(content) is not list:
        raise invalid(path, "is required and must be a string or a list of parts")
    for index, part in enumerate(content):
        _part(part, f"{path}.{index}", media)


def _part(part: Any, path: str, media: Media) -> None:
    kind = part.get("type") if type(part) is dict else None
    if kind in ("input_text", "output_text", "text"):
        _required(part, "text", path)
    elif kind == "refusal":
        _required(part, "refusal", path)
    elif kind == "input_image":
        media.images += 1
        media.bits |= capabilities.VISION
        if part.get("image_url") is None:
            _required(part, "file_id", path, "needs 'image_url' or 'file_id', a string")
        # Anything else in a data URL is not bounded as a picture is, so it counts as text.
        elif _required(part, "image_url", path).startswith("data:image/"):
            media.bytes += len(part["image_url"])
    elif kind == "input_file":
        media.bits |= capabilities.DOCUMENTS
        if part.get("file_data") is not None:
            length = len(_required(part, "file_data", path))
            media.bytes += length
            media.tokens += bounds.document_tokens(length)
        else:
            name = "file_id" if part.get("file_url") is None else "file_url"
            _required(part, name, path, "needs 'file_data', 'file_url' or 'file_id', a string")
            media.tokens += bounds.DOCUMENT_TOKENS
    elif kind == "input_audio":
        holder = part.get("input_audio")
        if type(holder) is not dict:
            raise invalid(f"{path}.input_audio", "is required and must be an object")
        length = len(_required(holder, "data", f"{path}.input_audio"))
        media.bits |= capabilities.AUDIO
        media.bytes += length
        media.tokens += bounds.audio_tokens(length)
    elif type(kind) is not str:
        raise invalid(f"{path}.type", "is required and must be a string")


def _required(holder: Json, name: str, path: str, problem: str = "") -> str:
    value = holder.get(name)
    if type(value) is not str:
        if problem:
            raise invalid(path, problem)
        raise invalid(f"{path}.{name}", "is required and must be a string")
    return value
