from dataclasses import dataclass, field

import pytest

from sluicegate.identity.administration import KeyAdministration, KeyRequest
from sluicegate.identity.attempts import Breach
from sluicegate.identity.authenticator import Authenticator
from sluicegate.identity.key_verification import KeyVerifier
from sluicegate.identity.policy import IdentityPolicy, RolesPolicy
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.policy_files import PolicySet


class CountingStore:
    """A key store in memory that counts look-ups, and can be held up or broken."""

    def __init__(self):
        self.by_id = {}
        self.look_ups = 0
        self.gate = None
        self.error = None

    async def find_by_prefix(self, prefix):
        self.look_ups += 1
        found = next((key for key in self.by_id.values() if key.secret(prefix)), None)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return found

    async def find(self, tenant, key_id):
        key = self.by_id.get(key_id)
        return key if key is not None and key.tenant == tenant else None

    async def keys(self, tenant):
        return [key for key in self.by_id.values() if key.tenant == tenant]

    async def add(self, key):
        return self.by_id.setdefault(key.id, key) is key

    async def replace(self, key):
        if self.by_id[key.id].revision != key.revision - 1:
            return False
        self.by_id[key.id] = key
        return True


@dataclass
class Watcher:
    reasons: list[str] = field(default_factory=list)
    breaches: list[Breach] = field(default_factory=list)

    def failed(self, reason):
        self.reasons.append(reason)

    def breached(self, breach):
        self.breaches.append(breach)


@dataclass
class Board:
    told: list[tuple[str, ...]] = field(default_factory=list)
    error: Exception | None = None

    async def revoked(self, tenant, key_id):
        if self.error:
            raise self.error
        self.told.append(("revoked", tenant, key_id))

    async def changed(self, key_id):
        if self.error:
            raise self.error
        self.told.append(("changed", key_id))


class World:
    """Everything identity needs, on a clock that moves when told."""

    def __init__(self, **policy):
        self.roles = PolicySet().load("roles", RolesPolicy)
        self.policy = IdentityPolicy.model_validate(policy)
        self.clock = FixedClock()
        self.store = CountingStore()
        self.watcher = Watcher()
        self.board = Board()
        self.keys = KeyAdministration(self.store, self.roles, self.policy.keys, self.clock, self.board)
        self.verifier = KeyVerifier(self.store, self.roles, self.policy, self.clock)
        self.tokens = None
        self.authenticator = self.build()

    def build(self, tokens=None):
        self.authenticator = Authenticator(
            self.verifier, self.policy, self.clock, tokens=tokens, observer=self.watcher
        )
        return self.authenticator

    async def new_key(self, **fields):
        request = {"tenant": "acme", "workspace": "growth", "user": "kim", **fields}
        return await self.keys.create(KeyRequest(**request))

    async def sign_in(self, text, client="10.0.0.1"):
        return await self.authenticator.authenticate(f"Bearer {text}".encode(), None, client)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def make_world():
    return World
