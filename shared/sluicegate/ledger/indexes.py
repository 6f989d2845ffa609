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
    """A composite index of one collection; where `group`, of all collections of that name together."""

    collection: str
    fields: tuple[IndexField, ...]
    group: bool = False


@dataclass(frozen=True, slots=True)
class Unindexed:
    """Fields of a collection that get no index of their own."""

    collection: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupIndexed:
    """Fields whose own indexes are over all collections of that name together, too (`COLLECTION_GROUP`)."""

    collection: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expiry:
    """Documents of a collection are deleted some time after the moment in `field` (a TTL policy)."""

    collection: str
    field: str


USAGE = "usage"
"""`tenants/{tenant}/usage/{document_id}`: one document per request."""

SPEND = "spend"
"""`tenants/{tenant}/spend/{random id}`: what the rows of one commit add to the sums of an hour."""

EVENTS = "events"
"""`tenants/{tenant}/events/{document_id}`: events other than usage."""

ENTRIES = "entries"
"""`tenants/{tenant}/entries/{entry id}`: what the transparency log has, to be searched."""

PACKS = "packs"
"""`tenants/{tenant}/packs/{digest}`: where sealed parts of entries lie."""

DEAD_LETTERS = "dead_letters"
"""`tenants/{tenant}/dead_letters/{id}`: events that could not be applied."""

API_KEYS = "api_keys"
"""`tenants/{tenant}/api_keys/{id}`."""

BUDGETS = "budget_overrides"
"""`tenants/{tenant}/budget_overrides/{digest}`: limits set at run time."""

_SCOPES = ("workspace", "user", "key", "agent", "mission", "tools", "model", "provider")

DIMENSIONS = (
    "workspace", "user", "key", "agent", "mission", "task", "tools", "model", "provider", "version",
    "requested_model", "cache", "outcome",
)  # fmt: skip
"""What rows are asked for by, and summed by."""

_SUMMED = ("cost_nano", "tokens")
"""What `spent` sums: a sum is read from an index, so that index must have it, after all else."""

_ENTRY_FILTERS = ("user", "workspace", "actions", "domain", "result")


def _index(collection: str, *names: str, falling: bool = False, group: bool = False) -> CompositeIndex:
    """An index of these fields; `tools`, `actions`, `users` are lists. Times and places fall where asked."""
    return CompositeIndex(
        collection,
        tuple(
            IndexField(
                name,
                "CONTAINS"
                if name in {"tools", "actions", "users"}
                else "DESCENDING"
                if falling and name in {"at", "at_ms", "index", "first"}
                else "ASCENDING",
            )
            for name in names
        ),
        group,
    )


COMPOSITE_INDEXES: tuple[CompositeIndex, ...] = (
    _index(USAGE, "shard", "at"),
    _index(USAGE, "shard", "at", *_SUMMED),
    *(_index(USAGE, name, "shard", "at") for name in DIMENSIONS),
    *(_index(USAGE, name, "shard", "at", *_SUMMED) for name in _SCOPES),
    _index(SPEND, "shard", "hour"),
    _index(SPEND, "users", "shard", "hour"),
    _index(EVENTS, "shard", "at", falling=True),
    _index(EVENTS, "type", "shard", "at", falling=True),
    *(
        _index(ENTRIES, *names, "shard", "at_ms", "index", falling=falling)
        for names in ((), *((name,) for name in _ENTRY_FILTERS))
        for falling in (False, True)
    ),
    _index(PACKS, "day", "first", falling=True),
    *(
        _index(DEAD_LETTERS, *names, "shard", "last_at", "id", group=group)
        for names in ((), ("group",))
        for group in (False, True)
    ),
)

UNINDEXED: tuple[Unindexed, ...] = (
    # A single-field index on a time that only grows is written at one end: some 500 writes a second at most.
    Unindexed(
        USAGE,
        (
            "at", "request_id", "shard", *DIMENSIONS, "input_tokens", "cached_input_tokens",
            "cache_write_tokens", "output_tokens", "reasoning_tokens", "cost_nano", "held_nano", "estimated",
            "latency_ms", "first_byte_ms", "error", "attempts", "streamed", "reaped", "tokens",
        ),
    ),
    Unindexed(SPEND, ("cells", "hour", "shard", "users")),
    Unindexed(EVENTS, ("at", "data", "expires_at", "id", "shard", "source", "subject", "type")),
    Unindexed(
        ENTRIES, ("at_ms", "index", "user", "workspace", "action", "actions", "domain", "result", "shard")
    ),
    Unindexed(
        DEAD_LETTERS,
        (
            "attempts", "body", "expires_at", "first_at", "group", "id", "last_at", "reason", "shard",
            "tenant",
        ),
    ),
    # Looked up by its name; texts that people wrote are asked for by nobody.
    Unindexed(
        API_KEYS, ("created_at", "expires_at", "mark", "name", "revoked_at", "revoked_reason", "secrets")
    ),
)  # fmt: skip

GROUP_INDEXED: tuple[GroupIndexed, ...] = (
    # What the log's writer asks of all tenants at once: which entries it has.
    GroupIndexed(ENTRIES, ("id", "place")),
)

EXPIRIES: tuple[Expiry, ...] = (Expiry(EVENTS, "expires_at"), Expiry(DEAD_LETTERS, "expires_at"))


def document_id(tenant: str, request_id: str) -> str:
    """The document of a request's row: the same at each delivery, spread evenly over the key space.

    32 characters of a SHA-256, so that ids that grow with time, as request ids do, hit no single range.
    """
    digest = sha256(f"{tenant}\0{request_id}".encode()).digest()
    return b32encode(digest[:_ID_BYTES]).decode().lower()


def shard(document: str) -> int:
    """Which of the `SHARDS` ranges a document's index entries lie in."""
    return b32decode(document.upper())[-1] % SHARDS
