"""What commands work on: the local data folder, and the running server's Redis if there is one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sluicegate import settings
from sluicegate.adapters.local.keys import SqliteKeyStore
from sluicegate.adapters.local.overrides import SqliteOverrideStore
from sluicegate.adapters.local.sqlite import Database
from sluicegate.adapters.local.usage_rows import SqliteUsageStore
from sluicegate.adapters.redis.announcements import RedisAnnouncements
from sluicegate.adapters.redis.client import RedisClient
from sluicegate.identity.administration import KeyAdministration
from sluicegate.identity.policy import IdentityPolicy, RolesPolicy
from sluicegate.kernel.clock import SystemClock
from sluicegate.kernel.policy_files import PolicySet

DATABASE_NAME = "sluicegate.db"
DEFAULT_DATA = Path(".sluicegate")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Local:
    """An open data folder. `redis` and `announcements` are None where no server's Redis is known."""

    data: Path
    policies: PolicySet
    roles: RolesPolicy
    identity: IdentityPolicy
    clock: SystemClock
    database: Database
    key_store: SqliteKeyStore
    keys: KeyAdministration
    overrides: SqliteOverrideStore
    usage: SqliteUsageStore
    redis: RedisClient | None
    announcements: RedisAnnouncements | None


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
    database = Database(folder / DATABASE_NAME)
    url = config.redis_url.get_secret_value() if config.redis_url is not None else _server_redis(folder)
    redis = None if url is None else RedisClient.from_url(url, connections=1)
    announcements = None if redis is None else RedisAnnouncements(redis)
    key_store = SqliteKeyStore(database)
    try:
        yield Local(
            data=folder,
            policies=policies,
            roles=roles,
            identity=identity,
            clock=clock,
            database=database,
            key_store=key_store,
            keys=KeyAdministration(key_store, roles, identity.keys, clock, announcements),
            overrides=SqliteOverrideStore(database),
            usage=SqliteUsageStore(database),
            redis=redis,
            announcements=announcements,
        )
    finally:
        await database.close()
        if redis is not None:
            await redis.close()


def run(data: Path | None, work: Callable[[Local], Awaitable[T]]) -> T:
    """What `work` makes of the open data folder."""

    async def opened() -> T:
        async with open_local(data) as local:
            return await work(local)

    return asyncio.run(opened())


def _server_redis(data: Path) -> str | None:
    """REDIS_URL as the local server wrote it to `dev.env`."""
    try:
        lines = (data / "dev.env").read_text("utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        name, found, value = line.strip().removeprefix("export ").partition("=")
        if found and name.strip() == "REDIS_URL":
            return value.strip().strip("'\"") or None
    return None
