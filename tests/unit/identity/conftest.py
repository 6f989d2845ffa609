from dataclasses import dataclass, field

import pytest

from sluicegate.identity.administration import KeyAdministration, KeyRequest
from sluicegate.identity.attempts import Breach, FailedAttempt, SignIn
from sluicegate.identity.authenticator import Authenticator
from sluicegate.identity.key_verification import KeyVerifier
from sluicegate.identity.policy import IdentityPolicy, RolesPolicy
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.governed import Actor
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
    attempts: list[FailedAttempt] = field(default_factory=list)
    sign_ins: list[SignIn] = field(default_factory=list)
    breaches: list[Breach] = field(default_factory=list)

    def failed(self, attempt):
        self.attempts.append(attempt)

    def signed_in(self, sign_in):
        self.sign_ins.append(sign_in)

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


class Told:
    """Whatever was told, and whether anybody can be told; `watch` sees each batch before it counts."""

    def __init__(self):
        self.events = []
        self.error = None
        self.watch = None

    async def publish(self, events):
        if self.watch is not None:
            self.watch(events)
        if self.error is not None:
            raise self.error
        self.events += events

    @property
    def actions(self):
        return [(event.data["action"], event.data["result"]) for event in self.events]


class Keys:
    """`KeyAdministration`, with `ann` doing everything."""

    def __init__(self, administration):
        self._administration = administration
        self.by = Actor("cli:ann", "203.0.113.7", "sluicegate-cli")

    def __getattr__(self, name):
        return getattr(self._administration, name)

    async def create(self, request):
        return await self._administration.create(request, by=self.by)

    async def rotate(self, *args, **options):
        return await self._administration.rotate(*args, **options, by=self.by)

    async def revoke(self, *args):
        return await self._administration.revoke(*args, by=self.by)


class World:
    """Everything identity needs, on a clock that moves when told."""

    def __init__(self, **policy):
        self.roles = PolicySet().load("roles", RolesPolicy)
        self.policy = IdentityPolicy.model_validate(policy)
        self.clock = FixedClock()
        self.store = CountingStore()
        self.watcher = Watcher()
        self.board = Board()
        self.told = Told()
        self.keys = Keys(
            KeyAdministration(self.store, self.roles, self.policy.keys, self.clock, self.told, self.board)
        )
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

    async def sign_in(self, text, client="10.0.0.1", user_agent=None):
        return await self.authenticator.authenticate(f"Bearer {text}".encode(), None, client, user_agent)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def make_world():
    return World
