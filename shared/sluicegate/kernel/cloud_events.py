"""CloudEvents in the forms that others send them in, brought to the one we read: structured JSON with `data`.

Sources: CloudEvents 1.0.2, "JSON Event Format", "HTTP Protocol Binding"; its Google Cloud Pub/Sub binding has
the same attributes as message attributes that HTTP has as headers.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import orjson

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"

ENCLOSED = "dev.sluicegate.enclosed.v1"
"""The type of an event whose data is something that is no event of ours, whole."""

_PREFIX = "ce-"
_JSON = re.compile(r"(application|text)/([^;]+\+)?json\s*(;.*)?", re.IGNORECASE)


def plain(attributes: Mapping[str, str], data: bytes) -> bytes:
    """The event of one message or request, in structured mode.

    `attributes` are headers or message attributes, their names in lower case. What is no CloudEvent is given
    as it came, for its consumers to refuse.
    """
    kind = attributes.get("content-type", "")
    if kind.lower().startswith(STRUCTURED):
        return opened(data)
    if f"{_PREFIX}specversion" in attributes:
        return _from_binary(attributes, kind, data)
    return data


def batch(data: bytes) -> list[bytes]:
    """The events of a batch (BATCHED), each in structured mode; what is no batch as it is."""
    try:
        events = orjson.loads(data)
    except orjson.JSONDecodeError:
        return [data]
    if not isinstance(events, list):
        return [data]
    return [opened(orjson.dumps(event)) for event in events]


def opened(event: bytes) -> bytes:
    """A structured event with `data` in the place of `data_base64`; what was enclosed comes out whole."""
    try:
        content: dict[str, Any] = orjson.loads(event)
        inner = base64.b64decode(content.pop("data_base64"), validate=True)
        if content["type"] == ENCLOSED:
            return inner
        return orjson.dumps({**content, "data": orjson.loads(inner)})
    except (ValueError, KeyError, TypeError, AttributeError):
        return event


def _from_binary(attributes: Mapping[str, str], kind: str, data: bytes) -> bytes:
    event: dict[str, Any] = {
        name.removeprefix(_PREFIX): unquote(value)
        for name, value in attributes.items()
        if name.startswith(_PREFIX)
    }
    if kind:
        event["datacontenttype"] = kind
    if _JSON.fullmatch(kind) or not kind:
        try:
            event["data"] = orjson.loads(data) if data else {}
        except orjson.JSONDecodeError:
            event["data_base64"] = base64.b64encode(data).decode()
    else:
        event["data_base64"] = base64.b64encode(data).decode()
    return orjson.dumps(event)
