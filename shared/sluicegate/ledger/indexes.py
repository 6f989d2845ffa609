"""The ledger in Firestore: where rows lie, which indexes find them. Data, for the adapter and for infra.

docs/ledger.md tells the reasons.
"""

from base64 import b32decode, b32encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

SHARDS = 16
"""Ranges that rows written at the same time are spread over, in every index that has a time."""

_ID_BYTES = 20


@dataclass(frozen=True, slots=True)
class IndexField:
    """One field of a composite index."""

    name: str
    order: Literal["ASCENDING", "DESCENDING", "CONTAINS"] = "ASCENDING"


@dataclass(frozen=True, slots=True)
class CompositeIndex:
    """A composite index of one collection."""

    collection: str
    fields: tuple[IndexField, ...]


@dataclass(frozen=True, slots=True)
class Unindexed:
    """Fields of a collection that get no index of their own."""

    collection: str
    fields: tuple[str, ...]


USAGE = "usage"
"""`tenants/{tenant}/usage/{document_id}`: one document per request."""

SPEND = "spend"
"""`tenants/{tenant}/spend/{hour}-{shard}`: sums of an hour by dimension, added to as rows are."""

EVENTS = "events"
"""`tenants/{tenant}/events/{document_id}`: events other than usage."""

_DIMENSIONS = (
    "workspace", "user", "key", "agent", "mission", "task", "tools", "model", "provider", "version",
    "requested_model", "cache", "outcome",
)  # fmt: skip

COMPOSITE_INDEXES: tuple[CompositeIndex, ...] = (
    CompositeIndex(USAGE, (IndexField("shard"), IndexField("at"))),
    *(
        CompositeIndex(
            USAGE,
            (
                IndexField(name, "CONTAINS" if name == "tools" else "ASCENDING"),
                IndexField("shard"),
                IndexField("at"),
            ),
        )
        for name in _DIMENSIONS
    ),
    CompositeIndex(EVENTS, (IndexField("type"), IndexField("shard"), IndexField("at", "DESCENDING"))),
)

UNINDEXED: tuple[Unindexed, ...] = (
    # A single-field index on a time that only grows is written at one end: some 500 writes a second at most.
    Unindexed(
        USAGE,
        (
            "at", "request_id", "shard", *_DIMENSIONS, "input_tokens", "cached_input_tokens",
            "cache_write_tokens", "output_tokens", "reasoning_tokens", "cost_nano", "held_nano", "estimated",
            "latency_ms", "first_byte_ms", "error", "attempts", "streamed", "reaped",
        ),
    ),
    Unindexed(SPEND, ("sums",)),
    Unindexed(EVENTS, ("at", "data", "shard", "source", "subject", "type")),
)  # fmt: skip


def document_id(tenant: str, request_id: str) -> str:
    """The document of a request's row: the same at each delivery, spread evenly over the key space.

    32 characters of a SHA-256, so that ids that grow with time, as request ids do, hit no single range.
    """
    digest = sha256(f"{tenant}\0{request_id}".encode()).digest()
    return b32encode(digest[:_ID_BYTES]).decode().lower()


def shard(document: str) -> int:
    """Which of the `SHARDS` ranges a document's index entries lie in."""
    return b32decode(document.upper())[-1] % SHARDS
