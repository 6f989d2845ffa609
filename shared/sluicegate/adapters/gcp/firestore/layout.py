"""Names of collections, as `ledger/indexes.py` declares them for this package and for infra."""

from sluicegate.ledger.indexes import (
    API_KEYS,
    BUDGETS,
    DEAD_LETTERS,
    DIMENSIONS,
    ENTRIES,
    EVENTS,
    PACKS,
    SHARDS,
    SPEND,
    USAGE,
    document_id,
    shard,
)

__all__ = [
    "ALL_SHARDS", "API_KEYS", "BUDGETS", "DEAD_LETTERS", "DIMENSIONS", "ENTRIES", "EVENTS", "PACKS", "SHARDS",
    "SPEND", "USAGE", "document_id", "shard",
]  # fmt: skip

ALL_SHARDS = tuple(range(SHARDS))
"""What a query by time asks for."""
