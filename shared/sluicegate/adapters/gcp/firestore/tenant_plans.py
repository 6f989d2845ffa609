"""Tenants' plans, as their API keys in Firestore tell them."""

from sluicegate.adapters.gcp.firestore.client import Firestore
from sluicegate.adapters.gcp.firestore.documents import Query, tenant_path
from sluicegate.adapters.gcp.firestore.layout import API_KEYS

_RANKS = ("free", "pro", "studio", "enterprise")


class FirestoreKeyPlans:
    """`audit.ports.Plans` from the keys that are not revoked: the highest plan among them.

    What was promised once is kept: the longest retention that any key of the tenant was sold with.
    """

    def __init__(self, firestore: Firestore) -> None:
        self._firestore = firestore

    async def plan(self, tenant: str) -> str | None:
        asked = Query(tenant_path(tenant, API_KEYS), [("revoked", "==", False)], select=["plan"])
        found = await self._firestore.run(lambda session: session.find(asked))
        plans = {each.fields["plan"] for each in found}
        return max(plans, key=lambda plan: _RANKS.index(plan) if plan in _RANKS else 0, default=None)
