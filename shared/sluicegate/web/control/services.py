"""What the API is made of."""

from dataclasses import dataclass

from sluicegate.audit.export.service import AuditExport
from sluicegate.audit.ports import BlobStore
from sluicegate.audit.publishing import CheckpointPublisher
from sluicegate.audit.queries import AuditQueries
from sluicegate.identity.authenticator import Authenticator
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.events import EventPublisher
from sluicegate.ledger.service import SpendReports


@dataclass(frozen=True, slots=True)
class ControlServices:
    """The services behind the API.

    Attributes:
        events: where reads and exports are told, before they are answered.
        blobs: the log's.
        platform_tenant: the one tenant whose people may be given sight of all tenants' leaves; None: nobody.
        trusted_proxies: as for `web.gateway.application.client_address`.
    """

    authenticator: Authenticator
    events: EventPublisher
    clock: Clock
    blobs: BlobStore
    publisher: CheckpointPublisher
    queries: AuditQueries
    exports: AuditExport
    spend: SpendReports
    platform_tenant: str | None
    trusted_proxies: int = 0
