"""What a push holds, whichever way it was wrapped."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from sluicegate.kernel.cloud_events import BATCHED, batch, plain
from sluicegate.kernel.errors import InvalidRequestError

MESSAGE_PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
_METADATA = "x-goog-pubsub-"


@dataclass(frozen=True, slots=True)
class PushedEvent:
    """One event.

    Attributes:
        body: a CloudEvent in structured mode, or what else came in its place.
        attributes: of the message, or the request's headers; names in lower case.
        attempt: 1 at first; 1, too, where who pushes does not count.
        published_at: epoch seconds; None where it is not said.
    """

    body: bytes
    attributes: Mapping[str, str]
    attempt: int = 1
    published_at: float | None = None


def pushed_events(headers: Mapping[str, str], body: bytes) -> Sequence[PushedEvent]:
    """The events of a push request.

    Understood are: Pub/Sub's own envelope; messages without it (`noWrapper`), whose attributes are headers;
    Eventarc's events about Pub/Sub messages, of which the message is taken; and CloudEvents in binary,
    structured and batched mode. Names of `headers` are in lower case.

    Raises:
        InvalidRequestError: the envelope cannot be read.
    """
    kind = headers.get("content-type", "").lower()
    if kind.startswith(BATCHED):
        return [PushedEvent(each, headers) for each in batch(body)]
    if headers.get("ce-type") == MESSAGE_PUBLISHED:
        return [_from_envelope(body)]
    if f"{_METADATA}message-id" in headers:
        return [
            PushedEvent(
                plain(headers, body),
                headers,
                _attempt(headers.get(f"{_METADATA}delivery-attempt")),
                _time(headers.get(f"{_METADATA}publish-time")),
            )
        ]
    if kind.startswith("application/json") and "ce-specversion" not in headers:
        return [_from_envelope(body)]
    return [PushedEvent(plain(headers, body), headers)]


def _from_envelope(body: bytes) -> PushedEvent:
    try:
        envelope = orjson.loads(body)
        message = envelope["message"]
        given = message.get("attributes") or {}
        attributes = {str(name).lower(): str(value) for name, value in given.items()}
        data = base64.b64decode(message.get("data") or "", validate=True)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidRequestError("not an envelope of Pub/Sub's: {'message': {'data': …}}") from None
    return PushedEvent(
        plain(attributes, data),
        attributes,
        _attempt(envelope.get("deliveryAttempt")),
        _time(message.get("publishTime") or message.get("publish_time")),
    )


def _attempt(value: Any) -> int:
    try:
        return max(int(value), 1)
    except (TypeError, ValueError):
        return 1


def _time(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError):
        return None
