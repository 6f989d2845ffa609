"""Images, recordings and files in OpenAI chat's parts, both ways."""

import base64
import binascii
import re

from sluicegate.completions import fields
from sluicegate.completions.canonical import Audio, CacheMark, Document, Image
from sluicegate.completions.fields import invalid
from sluicegate.completions.types import Json

_DATA_URL = re.compile(r"data:([a-zA-Z0-9.+-]+/[a-zA-Z0-9.+-]+)?(;[^,;]*)*?;base64,")


def split_data_url(url: str, path: str) -> tuple[str, str]:
    """Media type and base64 data of a data URL (RFC 2397)."""
    match = _DATA_URL.match(url, 0, 512)
    if match is None or match[1] is None:
        raise invalid(path, "must be a base64 data URL with a media type")
    return match[1].lower(), url[match.end() :]


def data_url(media_type: str | None, data: str) -> str:
    """The data URL of base64 `data`."""
    return f"data:{media_type or 'application/octet-stream'};base64,{data}"


def decode_media(part: Json, path: str, cache: CacheMark | None) -> Image | Audio | Document:
    """An `image_url`, `input_audio` or `file` part."""
    if part["type"] == "image_url":
        holder = part["image_url"]
        detail = fields.word(holder, "detail", f"{path}.image_url")
        if not holder["url"].startswith("data:"):
            return Image(url=holder["url"], detail=detail, cache=cache)
        media_type, data = split_data_url(holder["url"], f"{path}.image_url.url")
        return Image(data=data, media_type=media_type, detail=detail, cache=cache)
    if part["type"] == "input_audio":
        kind = fields.word(part["input_audio"], "format", f"{path}.input_audio")
        return Audio(part["input_audio"]["data"], kind or "wav", cache)
    file = part["file"]
    title = fields.word(file, "filename", f"{path}.file")
    if file.get("file_data") is None:
        return Document(file_id=file["file_id"], title=title, cache=cache)
    media_type, data = split_data_url(file["file_data"], f"{path}.file.file_data")
    if media_type != "text/plain":
        return Document(data=data, media_type=media_type, title=title, cache=cache)
    try:
        text = base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise invalid(f"{path}.file.file_data", "is not UTF-8 text in base64") from None
    return Document(text=text, media_type=media_type, title=title, cache=cache)


def encode_image(image: Image, path: str) -> Json:
    """An `image_url` part."""
    if image.file_id is not None:
        raise invalid(path, "names a file that only its own provider knows; send the image itself")
    url = image.url if image.url is not None else data_url(image.media_type, image.data or "")
    return {
        "type": "image_url",
        "image_url": {"url": url, **({"detail": image.detail} if image.detail else {})},
    }


def encode_audio(audio: Audio) -> Json:
    """An `input_audio` part."""
    return {"type": "input_audio", "input_audio": {"data": audio.data, "format": audio.format}}


def encode_file(document: Document, path: str, *, own: bool) -> Json:
    """A `file` part, or a text part for a document that is text. `own`: the client spoke OpenAI too."""
    if document.file_id is not None and own:
        return {"type": "file", "file": {"file_id": document.file_id}}
    if document.data is not None:
        name = document.title or f"document.{(document.media_type or 'application/pdf').partition('/')[2]}"
        url = data_url(document.media_type, document.data)
        return {"type": "file", "file": {"file_data": url, "filename": name}}
    if document.text is not None:
        about = [line for line in (document.title, document.context) if line]
        return {"type": "text", "text": "\n\n".join([*about, document.text])}
    raise invalid(path, "has a document by address or id, which this provider cannot read; send its content")
