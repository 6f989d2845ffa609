from contextlib import asynccontextmanager

import httpx
import pytest
from audit_rig.logs import EveryPlan, Told, done, usage
from verification_rig.files import EXPORT_KEY, KEYS, Log

from sluicegate.adapters.local.keys import SqliteKeyStore
from sluicegate.adapters.local.sqlite import Database
from sluicegate.adapters.local.usage_rows import SqliteUsageStore
from sluicegate.audit.export.service import AuditExport
from sluicegate.identity.administration import KeyAdministration, KeyRequest
from sluicegate.identity.authenticator import Authenticator
from sluicegate.identity.key_verification import KeyVerifier
from sluicegate.identity.policy import IdentityPolicy, RolesPolicy
from sluicegate.kernel.clock import SystemClock
from sluicegate.kernel.governed import Actor
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.ledger.service import SpendReports
from sluicegate.web.control.application import control_application
from sluicegate.web.control.services import ControlServices


class Api:
    """The control plane's application in this process, a log in memory behind it, keys and rows in SQLite."""

    def __init__(self, folder, **changes):
        self.database = Database(folder / "sluicegate.db")
        clock = SystemClock()
        policies = PolicySet()
        roles, identity = policies.load("roles", RolesPolicy), policies.load("identity", IdentityPolicy)
        store = SqliteKeyStore(self.database)
        self.log = Log(plans=EveryPlan(), **changes)
        self._keys = KeyAdministration(store, roles, identity.keys, clock, Told())
        self.usage = SqliteUsageStore(self.database)
        exports = AuditExport(
            self.log.blobs, self.log.log.queries, KEYS.exports[0].name, EXPORT_KEY, self.log.clock
        )
        self.services = ControlServices(
            authenticator=Authenticator(KeyVerifier(store, roles, identity, clock), identity, clock),
            events=self.log.told,
            clock=self.log.clock,
            blobs=self.log.blobs,
            publisher=self.log.log.publisher,
            queries=self.log.log.queries,
            exports=exports,
            spend=SpendReports(self.usage),
            platform_tenant="platform",
        )
        self.application = control_application(self.services)
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.application, raise_app_exceptions=False),
            base_url="http://control.test/api/v1",
        )
        self._known = {}

    async def key(self, tenant="acme", *roles, user="ann"):
        """A key of the tenant with these roles; the same one each time."""
        asked = (tenant, roles or ("auditor",), user)
        if asked not in self._known:
            request = KeyRequest(tenant=tenant, workspace="team", user=user, name="test", roles=asked[1])
            self._known[asked] = (await self._keys.create(request, by=Actor("system"))).text
        return self._known[asked]

    async def ask(self, method, path, key=None, **options):
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return await self._client.request(method, path, headers=headers, **options)

    async def get(self, path, key=None, **params):
        return await self.ask("GET", path, key, params=params)

    async def json(self, path, key=None, **params):
        answer = await self.get(path, key, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def told(self):
        """Action, user, result and payload of what was told to the log since the last time."""
        events, self.log.told.events = self.log.told.events, []
        return [
            (e.data["action"], e.data["user"], e.data["result"], e.data.get("payload", {})) for e in events
        ]

    async def close(self):
        await self._client.aclose()
        await self.database.close()


@pytest.fixture
def open_api(tmp_path):
    @asynccontextmanager
    async def opened(**changes):
        api = Api(tmp_path, **changes)
        await api.log.start()
        try:
            yield api
        finally:
            await api.close()

    return opened


@pytest.fixture
async def api(open_api):
    """One with 292 entries, 147 of them acme's."""
    async with open_api() as opened:
        await opened.log.append(
            *(usage(n, tenant=("acme", "zeta")[n % 2], user=f"user-{n % 3}") for n in range(290)),
            done("key.created", 1, "acme", payload={"key_id": "key_9"}, ip="192.0.2.1"),
            done("key.revoked", 1, "acme", payload={"key_id": "key_9"}),
        )
        yield opened
