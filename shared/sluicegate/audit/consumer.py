"""Takes events into the log: what they say was done becomes entries, each event once."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sluicegate.audit.actions import AuditAction, action_of
from sluicegate.audit.errors import (
    CorruptLogError,
    CorruptTileError,
    MissingTileError,
    SigningError,
    UnreadableError,
)
from sluicegate.audit.sequencer import Sequencer
from sluicegate.audit.usage_actions import notice_action, usage_action
from sluicegate.kernel.errors import DependencyUnavailableError
from sluicegate.kernel.events import (
    AUDIT_ACTION,
    BUDGET_THRESHOLD,
    CACHE_INVALIDATED,
    USAGE_RECORDED,
    Event,
    EventFailure,
    UnusableEventError,
)

_log = logging.getLogger(__name__)

_ACTIONS: Mapping[str, Callable[[Event], AuditAction]] = MappingProxyType({
    AUDIT_ACTION: action_of,
    USAGE_RECORDED: usage_action,
    BUDGET_THRESHOLD: notice_action("budget.threshold"),
    CACHE_INVALIDATED: notice_action("cache.invalidated"),
})  # fmt: skip


@dataclass(slots=True)
class AuditCounts:
    """What a consumer did since it started, for metrics."""

    entries: int = 0
    duplicates: int = 0
    refused: int = 0
    size: int = 0


class AuditConsumer:
    """The bus's consumer group `audit` (`kernel.events.EventHandler`)."""

    def __init__(self, sequencer: Sequencer) -> None:
        self._sequencer = sequencer
        self.counts = AuditCounts()

    async def handle(self, events: Sequence[Event]) -> Sequence[EventFailure]:
        """Put the events into the log. All that are not among the failures are in it, under a checkpoint.

        Events of a type that says nothing of a governed action are passed over.

        Raises:
            DependencyUnavailableError: a store is away, or the log cannot be built upon (the message says
                why, and an operator has to look); nothing is lost, the same events may come again.
        """
        actions: list[AuditAction] = []
        failures: list[EventFailure] = []
        for place, event in enumerate(events):
            read = _ACTIONS.get(event.type)
            if read is None:
                continue
            try:
                actions.append(read(event))
            except UnusableEventError as error:
                failures.append(EventFailure(place, str(error), final=True))
        self.counts.refused += len(failures)
        if actions:
            try:
                appended = await self._sequencer.append(actions)
            except (
                CorruptLogError,
                CorruptTileError,
                MissingTileError,
                SigningError,
                UnreadableError,
            ) as error:
                # No event is to blame, so none may become a dead letter: they wait for the operator.
                _log.exception("the transparency log cannot be built upon")
                raise DependencyUnavailableError(
                    f"the transparency log cannot be built upon: {error.message}", retry_after=30.0
                ) from error
            self.counts.entries += appended.added
            self.counts.duplicates += appended.duplicates
            self.counts.size = appended.size
        return failures
