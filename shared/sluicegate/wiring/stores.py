"""Where documents are kept: in a SQLite file of the data folder, or in Firestore.

Everything that keeps documents is made here. Firestore's adapters are imported only where they are chosen,
and the library below them only with the first document.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.adapters.gcp.firestore.client import Firestore
from sluicegate.adapters.local.events import SqliteEventStore
from sluicegate.adapters.local.keys import SqliteKeyStore
from sluicegate.adapters.local.overrides import SqliteOverrideStore
from sluicegate.adapters.local.sqlite import Database
from sluicegate.adapters.local.usage_rows import SqliteUsageStore
from sluicegate.kernel.clock import Clock, SystemClock
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.settings import DocumentStore, Settings
from sluicegate.wiring.places import AUDIT_INDEX_NAME, DATA_KEYS_NAME, DATABASE_NAME

if TYPE_CHECKING:
    from sluicegate.adapters.gcp.firestore.audit_index import FirestoreEntryIndex
    from sluicegate.adapters.gcp.firestore.data_keys import FirestoreDataKeys
    from sluicegate.adapters.gcp.firestore.events import FirestoreEventStore
    from sluicegate.adapters.gcp.firestore.keys import FirestoreKeyStore
    from sluicegate.adapters.gcp.firestore.overrides import FirestoreOverrideStore
    from sluicegate.adapters.gcp.firestore.usage_rows import FirestoreUsageStore
    from sluicegate.adapters.local.audit_index import SqliteEntryIndex
    from sluicegate.adapters.local.data_keys import SqliteDataKeys
    from sluicegate.audit.ports import PersonalData, Plans

Documents = Database | Firestore
"""What the stores below are made on. It opens on first use, and is to be closed."""


def documents(config: Settings, data: Path) -> Documents:
    """The documents of this process: Firestore's where the settings say so, else those of the folder `data`.

    DOCUMENT_STORE says it. Where it is `auto`, GCP_PROJECT_ID does, in development only together with
    FIRESTORE_EMULATOR_HOST: whoever tries a Vertex model on a laptop means no database by it.

    Raises:
        ConfigurationError: Firestore is asked for without a project.
    """
    if not _in_firestore(config):
        return Database(data / DATABASE_NAME)
    if config.gcp_project_id is None:
        raise ConfigurationError("DOCUMENT_STORE is firestore: set GCP_PROJECT_ID, too")
    return Firestore(config.gcp_project_id, emulator=config.firestore_emulator_host)


def _in_firestore(config: Settings) -> bool:
    if config.document_store is not DocumentStore.AUTO:
        return config.document_store is DocumentStore.FIRESTORE
    chosen = not config.embedded or config.firestore_emulator_host is not None
    return config.gcp_project_id is not None and chosen


def key_store(kept: Documents) -> "SqliteKeyStore | FirestoreKeyStore":
    """API keys."""
    if isinstance(kept, Database):
        return SqliteKeyStore(kept)
    from sluicegate.adapters.gcp.firestore.keys import FirestoreKeyStore  # noqa: PLC0415 - where it is chosen

    return FirestoreKeyStore(kept)


def override_store(kept: Documents) -> "SqliteOverrideStore | FirestoreOverrideStore":
    """Budgets set at run time."""
    if isinstance(kept, Database):
        return SqliteOverrideStore(kept)
    from sluicegate.adapters.gcp.firestore.overrides import FirestoreOverrideStore  # noqa: PLC0415 - where it is chosen

    return FirestoreOverrideStore(kept)


def usage_store(kept: Documents) -> "SqliteUsageStore | FirestoreUsageStore":
    """The ledger's rows."""
    if isinstance(kept, Database):
        return SqliteUsageStore(kept)
    from sluicegate.adapters.gcp.firestore.usage_rows import FirestoreUsageStore  # noqa: PLC0415 - where it is chosen

    return FirestoreUsageStore(kept)


def event_store(kept: Documents, clock: Clock | None = None) -> "SqliteEventStore | FirestoreEventStore":
    """Events other than usage."""
    if isinstance(kept, Database):
        return SqliteEventStore(kept)
    from sluicegate.adapters.gcp.firestore.events import FirestoreEventStore  # noqa: PLC0415 - where it is chosen

    return FirestoreEventStore(kept, clock or SystemClock())


def tenant_plans(kept: Documents) -> "Plans":
    """Plans of tenants."""
    if isinstance(kept, Database):
        from sluicegate.adapters.local.tenant_plans import KeyPlans  # noqa: PLC0415 - where it is chosen

        return KeyPlans(kept)
    from sluicegate.adapters.gcp.firestore.tenant_plans import FirestoreKeyPlans  # noqa: PLC0415 - where it is chosen

    return FirestoreKeyPlans(kept)


def person_records(kept: Documents, clock: Clock) -> "PersonalData":
    """What is known of people beside usage and events: owners of keys, budgets."""
    if isinstance(kept, Database):
        from sluicegate.adapters.local.person_records import SqlitePersonRecords  # noqa: PLC0415 - where it is chosen

        return SqlitePersonRecords(kept, clock)
    from sluicegate.adapters.gcp.firestore.person_records import FirestorePersonRecords  # noqa: PLC0415 - where it is chosen

    return FirestorePersonRecords(kept, clock)


def entry_index(kept: Documents, data: Path) -> "SqliteEntryIndex | FirestoreEntryIndex":
    """The transparency log's index: a file of its own in the folder `data`, unless in Firestore."""
    if isinstance(kept, Database):
        from sluicegate.adapters.local.audit_index import SqliteEntryIndex  # noqa: PLC0415 - where it is chosen

        return SqliteEntryIndex(data / AUDIT_INDEX_NAME)
    from sluicegate.adapters.gcp.firestore.audit_index import FirestoreEntryIndex  # noqa: PLC0415 - where it is chosen

    return FirestoreEntryIndex(kept)


def data_key_store(kept: Documents, data: Path) -> "SqliteDataKeys | FirestoreDataKeys":
    """Wrapped data keys: a file of their own in the folder `data`, unless in Firestore."""
    if isinstance(kept, Database):
        from sluicegate.adapters.local.data_keys import SqliteDataKeys  # noqa: PLC0415 - where it is chosen

        return SqliteDataKeys(data / DATA_KEYS_NAME)
    from sluicegate.adapters.gcp.firestore.data_keys import FirestoreDataKeys  # noqa: PLC0415 - where it is chosen

    return FirestoreDataKeys(kept)
