"""The transparency log of a data folder, put together."""

import os
from base64 import b32encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate import settings
from sluicegate.adapters.local.log_files import LogFiles
from sluicegate.adapters.local.root_key import FileRootKey
from sluicegate.adapters.local.signing_key import FileSigningKey
from sluicegate.adapters.redis.client import RedisClient
from sluicegate.audit.cosignature import CosignatureVerifier
from sluicegate.audit.errors import MalformedError
from sluicegate.audit.export.service import AuditExport
from sluicegate.audit.keys import Ed25519Verifier
from sluicegate.audit.policy import AuditPolicy
from sluicegate.audit.service import AuditLog, AuditParts
from sluicegate.audit.verify.trusted_keys import TrustedKeys, keep_keys
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.privacy.masking import PayloadFilter
from sluicegate.wiring.events import Bus, arrival
from sluicegate.wiring.places import KEYS_FOLDER_NAME, LOG_FOLDER_NAME, ORIGIN_NAME
from sluicegate.wiring.stores import (
    Documents,
    data_key_store,
    entry_index,
    event_store,
    person_records,
    tenant_plans,
    usage_store,
)

if TYPE_CHECKING:
    from sluicegate.adapters.gcp.firestore.audit_index import FirestoreEntryIndex
    from sluicegate.adapters.gcp.firestore.data_keys import FirestoreDataKeys
    from sluicegate.adapters.local.audit_index import SqliteEntryIndex
    from sluicegate.adapters.local.data_keys import SqliteDataKeys


@dataclass(frozen=True, slots=True)
class LocalLog:
    """The log of a data folder. Everything opens on first use; `close` ends it."""

    log: AuditLog
    exports: AuditExport
    blobs: LogFiles
    index: "SqliteEntryIndex | FirestoreEntryIndex"
    data_keys: "SqliteDataKeys | FirestoreDataKeys"
    keys: TrustedKeys
    log_signer: FileSigningKey

    @property
    def verifier(self) -> Ed25519Verifier:
        """The log's public key."""
        return self.log.publisher.verifier

    async def start(self) -> int:
        """As `AuditLog.start`, and say which keys sign entries and exports; for whoever writes the log.

        Raises:
            As `AuditLog.start`.
        """
        await keep_keys(self.blobs, self.keys, self.log_signer)
        return await self.log.start()

    async def close(self) -> None:
        """Close the files."""
        for each in (self.blobs, self.index, self.data_keys):
            await each.close()


def local_log(
    data: Path,
    policies: PolicySet,
    clock: Clock,
    database: Documents,
    bus: Bus,
    redis: RedisClient | None = None,
) -> LocalLog:
    """The log of the folder `data`.

    Args:
        data: the folder.
        policies: of which `audit` is read.
        clock: what time it is.
        database: the folder's documents: API keys, usage rows.
        bus: the folder's bus, where what the log itself does is told.
        redis: where outboxes are, if that is known: an erasure waits for what is in them.

    Raises:
        ConfigurationError: a setting, a policy or a key file is wrong.
    """
    config: settings.AuditSettings = settings.load(settings.AuditSettings)
    policy = policies.load("audit", AuditPolicy)
    origin = config.audit_log_origin or _own_origin(data)
    folder = data / KEYS_FOLDER_NAME
    blobs, index = LogFiles(data / LOG_FOLDER_NAME), entry_index(database, data)
    data_keys = data_key_store(database, data)
    entry_signer = FileSigningKey(folder / "audit-entries.key")
    log_signer = FileSigningKey(folder / "audit-log.key")
    export_signer = FileSigningKey(folder / "audit-exports.key")
    parts = AuditParts(
        blobs=blobs,
        index=index,
        keys=data_keys,
        root=FileRootKey(folder / "audit-root.key"),
        entry_signer=entry_signer,
        log_signer=log_signer,
        origin=origin,
        mask=PayloadFilter(policy.identifiers),
        events=bus.publisher,
        plans=tenant_plans(database),
        policy=policy,
        clock=clock,
        holders=(
            usage_store(database),
            event_store(database, clock),
            person_records(database, clock),
            bus.bus,
        ),
        arrived=arrival(bus, redis),
        witnesses=_witnesses(config),
    )
    log = AuditLog(parts)
    exporter = f"{origin}/exports"
    keys = TrustedKeys(
        origin,
        (Ed25519Verifier(f"{origin}/entries", entry_signer.public_key),),
        (Ed25519Verifier(exporter, export_signer.public_key),),
    )
    exports = AuditExport(blobs, log.queries, exporter, export_signer, clock)
    return LocalLog(log, exports, blobs, index, data_keys, keys, log_signer)


@asynccontextmanager
async def open_log(
    data: Path,
    policies: PolicySet,
    clock: Clock,
    database: Documents,
    bus: Bus,
    redis: RedisClient | None = None,
) -> AsyncIterator[LocalLog]:
    """As `local_log`, open until the end."""
    log = local_log(data, policies, clock, database, bus, redis)
    try:
        yield log
    finally:
        await log.close()


def _witnesses(config: settings.AuditSettings) -> tuple[CosignatureVerifier, ...]:
    try:
        return tuple(map(CosignatureVerifier.from_key, config.audit_witnesses))
    except MalformedError as error:
        raise ConfigurationError(f"AUDIT_WITNESSES: {error.message}") from None


def _own_origin(data: Path) -> str:
    """A name for this folder's log: made up once, and kept."""
    path = data / ORIGIN_NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            name = b32encode(os.urandom(10)).decode().lower()
            draft = path.with_name(f".{ORIGIN_NAME}-{os.getpid()}")
            draft.write_text(f"sluicegate.local/{name}\n", "ascii")
            try:
                path.hardlink_to(draft)  # whoever is second takes the first one's name
            except FileExistsError:
                pass
            finally:
                draft.unlink(missing_ok=True)
        origin = path.read_text("ascii").strip()
    except OSError as error:
        raise ConfigurationError(f"{path}: the log's name cannot be kept: {error.strerror}") from None
    if not origin:
        raise ConfigurationError(f"{path} is empty: put the log's name back, or set AUDIT_LOG_ORIGIN")
    return origin
