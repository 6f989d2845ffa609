"""Budget overrides in Firestore: `tenants/{tenant}/budget_overrides/{digest of scope, name and period}`."""

from collections.abc import Sequence

from sluicegate.adapters.gcp.firestore.client import Firestore
from sluicegate.adapters.gcp.firestore.documents import Put, Query, Remove, Write, digest_id, tenant_path
from sluicegate.adapters.gcp.firestore.layout import BUDGETS
from sluicegate.adapters.gcp.firestore.session import Session
from sluicegate.admission.ports import BudgetOverride


class FirestoreOverrideStore:
    """`admission.ports.OverrideStore` on Firestore."""

    def __init__(self, firestore: Firestore) -> None:
        self._firestore = firestore

    async def overrides(self, tenant: str) -> Sequence[BudgetOverride]:
        asked = Query(tenant_path(tenant, BUDGETS))
        found = await self._firestore.run(lambda session: session.find(asked))
        overrides = [
            BudgetOverride(
                each.fields["scope"], each.fields["name"], each.fields["period"], each.fields["limit_nano"]
            )
            for each in found
        ]
        return sorted(overrides, key=lambda each: (each.scope, each.name, each.period))

    async def set_override(self, tenant: str, override: BudgetOverride) -> None:
        path = tenant_path(tenant, BUDGETS, digest_id(override.scope, override.name, override.period))
        fields = {
            "scope": override.scope,
            "name": override.name,
            "period": override.period,
            "limit_nano": override.limit_nano,
        }
        write: Write = Remove(path) if override.limit_nano is None else Put(path, fields)

        async def work(session: Session) -> None:
            await session.commit([write])

        await self._firestore.run(work)
