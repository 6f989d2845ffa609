"""Events as Pub/Sub messages, and back.

The data is the CloudEvent in structured mode (JSON), its own data in base64: the topic's schema
(infra/schemas/cloud_event.proto) has room for no other form. What is no event of ours is enclosed whole in
one, so that it comes to its consumers as it went. Attributes, by which subscriptions may filter:

    content-type  application/cloudevents+json
    tenant, type  of the event
    outbox        its place there
    recipient     the one group it is for; without it, it is for all
    attempt       the attempt that its next delivery counts as, where that is not the first
    since         when it came to the bus at first, epoch seconds
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from sluicegate.kernel.cloud_events import ENCLOSED, STRUCTURED, opened, plain
from sluicegate.kernel.event_decoding import decode_event
from sluicegate.kernel.events import Event, UnusableEventError
from sluicegate.kernel.ids import random_id

# Pub/Sub takes 1024 bytes a value.
_MOST_ATTRIBUTE_BYTES = 1_000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish. Messages of one `key` are delivered in order where a subscription asks for it."""

    data: bytes
    attributes: Mapping[str, str]
    key: str

    @property
    def size(self) -> int:
        """About the bytes it takes in a request."""
        return len(self.data) + sum(len(k) + len(v) * 2 for k, v in self.attributes.items()) + 100


def encode(
    tenant: str,
    body: bytes,
    origin: str | None = None,
    *,
    recipient: str | None = None,
    attempt: int = 1,
    since: float | None = None,
) -> Outgoing:
    """The message for the event `body` of `tenant`."""
    kind, data = _data(tenant, body)
    attributes = {"content-type": STRUCTURED, "tenant": tenant, "type": clipped(kind)}
    if origin is not None:
        attributes["outbox"] = origin
    if recipient is not None:
        attributes["recipient"] = recipient
    if attempt > 1:
        attributes["attempt"] = str(attempt)
    if since is not None:
        attributes["since"] = repr(since)
    return Outgoing(data, attributes, tenant)


def decode(attributes: Mapping[str, str], data: bytes) -> bytes:
    """The event's body, as it was published: byte for byte, or as an event that says the same.

    Others may publish to the topic in binary mode, too. What is no event is given as it is, for its consumers
    to refuse.
    """
    return plain(attributes, data)


def clipped(value: str) -> str:
    """`value`, cut to what an attribute can hold."""
    return value.encode("utf-8", "replace")[:_MOST_ATTRIBUTE_BYTES].decode("utf-8", "ignore")


def _data(tenant: str, body: bytes) -> tuple[str, bytes]:
    try:
        event = decode_event(body, tenant)
    except UnusableEventError:
        event = None
    if event is not None:
        data = orjson.dumps(_fields(event, orjson.dumps(event.data)))
        try:
            if decode_event(opened(data), tenant) == event:
                return event.type, data
        except UnusableEventError:
            pass
    enclosing = Event(random_id("enc_"), "sluicegate", ENCLOSED, 0.0, tenant)
    return ENCLOSED, orjson.dumps({**_fields(enclosing, body), "datacontenttype": "application/octet-stream"})


def _fields(event: Event, data: bytes) -> dict[str, str]:
    fields: dict[str, Any] = orjson.loads(replace(event, data={}).to_json())
    del fields["data"]
    return {**fields, "data_base64": base64.b64encode(data).decode()}
