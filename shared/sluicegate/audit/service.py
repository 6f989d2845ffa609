"""The log as others use it: one object of all its parts, made from adapters that wiring chooses."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sluicegate.audit.consumer import AuditConsumer, AuditCounts
from sluicegate.audit.cosignature import CosignatureVerifier
from sluicegate.audit.erasure import Arrived, Erasure
from sluicegate.audit.keyring import Keyring
from sluicegate.audit.keys import Signer
from sluicegate.audit.log_reader import fill_index
from sluicegate.audit.policy import AuditPolicy
from sluicegate.audit.ports import (
    BlobStore,
    DataKeyStore,
    EntryIndex,
    KeyWrapper,
    PayloadMask,
    PersonalData,
    Plans,
)
from sluicegate.audit.publishing import CheckpointPublisher
from sluicegate.audit.queries import AuditQueries
from sluicegate.audit.retention import Retention
from sluicegate.audit.sealer import Sealer
from sluicegate.audit.sequencer import Sequencer
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.events import EventPublisher

__all__ = ["AuditConsumer", "AuditCounts", "AuditLog", "AuditParts"]


@dataclass(frozen=True, slots=True)
class AuditParts:
    """What a log is made of.

    Attributes:
        origin: the log's name, for ever (tlog-checkpoint, "origin line").
        entry_signer: signs entries.
        log_signer: signs checkpoints, and nothing else.
        holders: who keeps personal data outside the log.
        arrived: returns when all events that were told before the call are applied; None: at once.
    """

    blobs: BlobStore
    index: EntryIndex
    keys: DataKeyStore
    root: KeyWrapper
    entry_signer: Signer
    log_signer: Signer
    origin: str
    mask: PayloadMask
    events: EventPublisher
    plans: Plans
    policy: AuditPolicy
    clock: Clock
    holders: Sequence[PersonalData] = ()
    arrived: Arrived | None = None
    witnesses: Sequence[CosignatureVerifier] = field(default=())


class AuditLog:
    """One log: what takes entries in, what reads them, what lets go of them."""

    def __init__(self, parts: AuditParts) -> None:
        self._parts = parts
        keyring = Keyring(parts.keys, parts.root)
        self.publisher = CheckpointPublisher(parts.blobs, parts.origin, parts.log_signer, parts.witnesses)
        sealer = Sealer(keyring, parts.entry_signer, parts.mask, parts.policy, parts.clock)
        self.sequencer = Sequencer(
            parts.blobs, parts.index, sealer, self.publisher, most=parts.policy.batch.entries
        )
        self.consumer = AuditConsumer(self.sequencer)
        self.queries = AuditQueries(parts.blobs, parts.index, keyring, self.publisher)
        self.retention = Retention(
            parts.blobs, parts.index, parts.plans, parts.events, parts.policy, parts.clock
        )
        self.erasure = Erasure(keyring, parts.events, parts.holders, parts.clock, parts.arrived)

    async def start(self) -> int:
        """Finish what another left, start the log where there is none; its size.

        Raises:
            CorruptLogError, MissingTileError, CorruptTileError: what is stored cannot be built upon.
            DependencyUnavailableError: a store is away.
        """
        return (await self.sequencer.settle()).size

    async def reindex(self) -> int:
        """Make the index anew from the log; the number of entries. Entries may be appended meanwhile.

        Raises:
            As `start`.
        """
        size = await self.start()
        await self._parts.index.clear()
        return await fill_index(self._parts.blobs, self._parts.index, size)
