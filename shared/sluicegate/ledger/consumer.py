"""Applies events to the ledger: delivered at least once, in any order; applied once."""

from collections.abc import Sequence
from dataclasses import dataclass

from sluicegate.kernel.events import (
    AUDIT_ACTION,
    BUDGET_THRESHOLD,
    CACHE_INVALIDATED,
    USAGE_RECORDED,
    Event,
    EventFailure,
    UnusableEventError,
)
from sluicegate.ledger.decoding import decode_usage
from sluicegate.ledger.ports import EventStore, UsageStore
from sluicegate.ledger.usage import UsageRow

GROUP = "ledger"
"""The consumer group on the bus."""

_KEPT = frozenset({BUDGET_THRESHOLD, CACHE_INVALIDATED})
_PASSED_OVER = frozenset({AUDIT_ACTION})


@dataclass(slots=True)
class ConsumerCounts:
    """What a consumer did since it started, for metrics."""

    rows: int = 0
    duplicates: int = 0
    events: int = 0


class LedgerConsumer:
    """`kernel.events.EventHandler`: usage becomes rows, other events are kept to be asked for.

    What the transparency log alone keeps (`audit.action`, which may carry personal data) is passed over. A
    type that is not known here is refused: it comes from a newer release, and can be replayed when
    this one is as new.
    """

    def __init__(self, usage: UsageStore, events: EventStore) -> None:
        self._usage = usage
        self._events = events
        self.counts = ConsumerCounts()

    async def handle(self, events: Sequence[Event]) -> Sequence[EventFailure]:
        rows: list[UsageRow] = []
        others: list[Event] = []
        failures: list[EventFailure] = []
        for index, event in enumerate(events):
            if event.type == USAGE_RECORDED:
                try:
                    rows.append(decode_usage(event))
                except UnusableEventError as error:
                    failures.append(EventFailure(index, str(error), final=True))
            elif event.type in _KEPT:
                others.append(event)
            elif event.type not in _PASSED_OVER:
                failures.append(EventFailure(index, f"unknown type {event.type[:200]!r}", final=True))
        if rows:
            added = await self._usage.append(rows)
            self.counts.rows += added
            self.counts.duplicates += len(rows) - added
        if others:
            self.counts.events += await self._events.record(others)
        return failures
