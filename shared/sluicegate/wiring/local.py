"""What the command line works on: a data folder, and the running server's Redis if there is one."""

import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sluicegate import settings
from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.adapters.redis.announcements import RedisAnnouncements
from sluicegate.adapters.redis.cache import RedisTagGenerations
from sluicegate.adapters.redis.client import RedisClient
from sluicegate.adapters.redis.local_server import LocalRedis, start_local_redis
from sluicegate.admission.ports import OverrideStore
from sluicegate.identity.administration import KeyAdministration
from sluicegate.identity.policy import IdentityPolicy, RolesPolicy
from sluicegate.identity.ports import KeyStore
from sluicegate.kernel.clock import SystemClock
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.ledger.ports import UsageStore
from sluicegate.wiring.events import Bus, event_bus
from sluicegate.wiring.places import DEFAULT_DATA, ENVIRONMENT_NAME
from sluicegate.wiring.stores import Documents, documents, key_store, override_store, usage_store

__all__ = ["Local", "LocalRedis", "ServerRedis", "open_local", "private_redis", "read_environment"]


@dataclass(frozen=True, slots=True)
class ServerRedis:
    """The running server's Redis, as commands use it."""

    client: RedisClient
    announcements: RedisAnnouncements
    budgets: RedisAdmissionStore
    tags: RedisTagGenerations


@dataclass(frozen=True, slots=True)
class Local:
    """An open data folder. `server` is None where no server's Redis is known, `own_tenant` the operator's."""

    data: Path
    policies: PolicySet
    roles: RolesPolicy
    identity: IdentityPolicy
    clock: SystemClock
    database: Documents
    key_store: KeyStore
    keys: KeyAdministration
    overrides: OverrideStore
    usage: UsageStore
    bus: Bus
    own_tenant: str
    server: ServerRedis | None

    @property
    def redis(self) -> RedisClient | None:
        """The client of the running server's Redis."""
        return None if self.server is None else self.server.client


@asynccontextmanager
async def open_local(data: Path | None) -> AsyncIterator[Local]:
    """The data folder `data` (the settings' one, or `.sluicegate`, where None), open until the end.

    Raises:
        ConfigurationError: a policy or a setting is wrong.
    """
    config = settings.load(settings.Settings)
    folder = data or config.sluicegate_data_dir or DEFAULT_DATA
    policies = PolicySet(config.sluicegate_policy_dir)
    roles = policies.load("roles", RolesPolicy)
    identity = policies.load("identity", IdentityPolicy)
    identity.check(roles)
    clock = SystemClock()
    database = documents(config, folder)
    url = config.redis_url.get_secret_value() if config.redis_url is not None else _server_redis(folder)
    server = None if url is None else _connected(url)
    kept_keys = key_store(database)
    bus = event_bus(folder, clock)
    announcements = None if server is None else server.announcements
    try:
        yield Local(
            data=folder,
            policies=policies,
            roles=roles,
            identity=identity,
            clock=clock,
            database=database,
            key_store=kept_keys,
            keys=KeyAdministration(kept_keys, roles, identity.keys, clock, bus.publisher, announcements),
            overrides=override_store(database),
            usage=usage_store(database),
            bus=bus,
            own_tenant=config.own_tenant,
            server=server,
        )
    finally:
        await bus.database.close()
        await database.close()
        if server is not None:
            await server.client.close()


def private_redis(data: Path, *, prefer: Literal["auto", "server", "embedded"]) -> LocalRedis:
    """A Redis of its own for the folder `data`, as `start_local_redis` starts it."""
    return start_local_redis(data, prefer=prefer)


def _connected(url: str) -> ServerRedis:
    client = RedisClient.from_url(url, connections=1)
    return ServerRedis(
        client=client,
        announcements=RedisAnnouncements(client),
        budgets=RedisAdmissionStore(client),
        tags=RedisTagGenerations(client),
    )


def _server_redis(data: Path) -> str | None:
    """REDIS_URL as the local server wrote it to `dev.env`."""
    return read_environment(data / ENVIRONMENT_NAME).get("REDIS_URL") or None


def read_environment(path: Path) -> dict[str, str]:
    """The variables in a file of `NAME=value` lines, as a shell reads it; empty without the file."""
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip().removeprefix("export "): _unquoted(value.strip()) for name, _, value in pairs}


def _unquoted(value: str) -> str:
    try:
        return "".join(shlex.split(value))
    except ValueError:
        return value
