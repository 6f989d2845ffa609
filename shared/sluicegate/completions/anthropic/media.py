"""Images and documents in Anthropic's blocks, both ways."""

from collections.abc import Callable
from typing import Any

from sluicegate.completions import fields
from sluicegate.completions.canonical import CacheMark, Document, Image, Part
from sluicegate.completions.fields import invalid
from sluicegate.completions.types import Json

_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF = "application/pdf"


def decode_image(block: Json, path: str, cache: CacheMark | None) -> Image | None:
    """An image block; None if its source is of a kind not known here."""
    source = block["source"]
    at = f"{path}.source"
    if source["type"] == "base64":
        return Image(data=source["data"], media_type=_media_type(source, at), cache=cache)
    if source["type"] == "url":
        return Image(url=_required(source, "url", at), cache=cache)
    if source["type"] == "file":
        return Image(file_id=_required(source, "file_id", at), cache=cache)
    return None


def decode_document(
    block: Json, path: str, cache: CacheMark | None, parts: Callable[[Any, str], list[Part]]
) -> Document | None:
    """A document block; None if its source is of a kind not known here. `parts` decodes nested content."""
    source = block["source"]
    at = f"{path}.source"
    citations = fields.mapping(block, "citations") or {}
    document = Document(
        title=fields.word(block, "title", path),
        context=fields.word(block, "context", path),
        citations=citations.get("enabled") is True,
        cache=cache,
    )
    kind = source["type"]
    if kind == "base64":
        document.data, document.media_type = source["data"], _media_type(source, at)
    elif kind == "text":
        document.text, document.media_type = _required(source, "data", at), "text/plain"
    elif kind == "url":
        document.url = _required(source, "url", at)
    elif kind == "file":
        document.file_id = _required(source, "file_id", at)
    elif kind == "content":
        document.parts = parts(source.get("content"), f"{at}.content")
    else:
        return None
    return document


def _media_type(source: Json, path: str) -> str:
    return _required(source, "media_type", path)


def _required(holder: Json, name: str, path: str) -> str:
    value = fields.word(holder, name, path)
    if value is None:
        raise invalid(f"{path}.{name}", "is required and must be a string")
    return value


def encode_image(image: Image, path: str, *, own: bool) -> Json:
    """An image block without its cache mark. `own`: the client spoke Anthropic too."""
    if image.file_id is not None:
        if not own:
            raise invalid(path, "names a file that only its own provider knows; send the image itself")
        return {"type": "image", "source": {"type": "file", "file_id": image.file_id}}
    if image.url is not None:
        return {"type": "image", "source": {"type": "url", "url": image.url}}
    media_type = "image/jpeg" if image.media_type == "image/jpg" else image.media_type
    if media_type not in _IMAGE_TYPES:
        raise invalid(path, f"has an image of type {media_type}; this provider takes JPEG, PNG, GIF and WebP")
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": image.data}}


def encode_document(
    document: Document, path: str, blocks: Callable[[list[Part], str], list[Json]], *, own: bool
) -> Json:
    """A document block without its cache mark. `blocks` encodes nested content."""
    source: Json
    if document.file_id is not None:
        if not own:
            raise invalid(path, "names a file that only its own provider knows; send the document itself")
        source = {"type": "file", "file_id": document.file_id}
    elif document.url is not None:
        source = {"type": "url", "url": document.url}
    elif document.text is not None:
        source = {"type": "text", "media_type": "text/plain", "data": document.text}
    elif document.parts is not None:
        source = {"type": "content", "content": blocks(document.parts, path)}
    elif document.media_type == _PDF:
        source = {"type": "base64", "media_type": _PDF, "data": document.data}
    else:
        raise invalid(
            path, f"has a file of type {document.media_type}; this provider takes PDF and plain text"
        )
    block: Json = {"type": "document", "source": source}
    if document.title:
        block["title"] = document.title
    if document.context:
        block["context"] = document.context
    if document.citations:
        block["citations"] = {"enabled": True}
    return block
