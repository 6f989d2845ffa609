"""Text, images, recordings and files in the parts of OpenAI responses, for the canonical form."""

import base64
import binascii

from sluicegate.completions import fields
from sluicegate.completions.canonical import Audio, CacheMark, Document, Image, Part, Refusal, Text
from sluicegate.completions.fields import invalid
from sluicegate.completions.openai_chat.media import split_data_url
from sluicegate.completions.types import Json


def decode_part(part: Json, path: str) -> Part:
    """A part of a message or of a tool's output.

    Raises:
        InvalidRequestError: it is of a kind that has no meaning outside of OpenAI responses.
    """
    kind = part["type"]
    cache = _cache(part)
    if kind in ("input_text", "output_text", "text"):
        return Text(part["text"], cache)
    if kind == "refusal":
        return Refusal(part["refusal"])
    if kind == "input_image":
        return _image(part, path, cache)
    if kind == "input_file":
        return _file(part, path, cache)
    if kind == "input_audio":
        holder = part["input_audio"]
        return Audio(holder["data"], fields.word(holder, "format", f"{path}.input_audio") or "wav", cache)
    raise invalid(f"{path}.type", f"is '{kind}', which has no meaning to this provider")


def _cache(part: Json) -> CacheMark | None:
    mark = part.get("prompt_cache_breakpoint")
    if type(mark) is not dict:
        return None
    return CacheMark(12 * 3600 if mark.get("ttl") == "12h" else None)


def _image(part: Json, path: str, cache: CacheMark | None) -> Image:
    detail = fields.word(part, "detail", path)
    url = part.get("image_url")
    if url is None:
        return Image(file_id=part["file_id"], detail=detail, cache=cache)
    if not url.startswith("data:"):
        return Image(url=url, detail=detail, cache=cache)
    media_type, data = split_data_url(url, f"{path}.image_url")
    return Image(data=data, media_type=media_type, detail=detail, cache=cache)


def _file(part: Json, path: str, cache: CacheMark | None) -> Document:
    title = fields.word(part, "filename", path)
    if part.get("file_data") is None:
        url = part.get("file_url")
        return Document(url=url, file_id=part["file_id"] if url is None else None, title=title, cache=cache)
    media_type, data = split_data_url(part["file_data"], f"{path}.file_data")
    if media_type != "text/plain":
        return Document(data=data, media_type=media_type, title=title, cache=cache)
    try:
        text = base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise invalid(f"{path}.file_data", "is not UTF-8 text in base64") from None
    return Document(text=text, media_type=media_type, title=title, cache=cache)
