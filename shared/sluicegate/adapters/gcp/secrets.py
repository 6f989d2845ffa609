"""Secrets in Secret Manager, kept for a while, and picked up anew without anybody waiting."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from sluicegate.adapters.gcp.checksums import check, crc32c
from sluicegate.adapters.gcp.clients import SECRETS, GoogleClients
from sluicegate.adapters.gcp.errors import AbsentError, ConflictError, GoogleError
from sluicegate.kernel.clock import Clock

_log = logging.getLogger(__name__)

TTL_S = 300.0
STALE_S = 6 * 3_600.0
# However often somebody's key is refused: no more questions than this, per secret.
REFUSED_EVERY_S = 5.0

_NAME = "Secret Manager"
_MOST_VERSIONS = 5
_CHANGES = frozenset(
    {
        "SECRET_VERSION_ADD", "SECRET_VERSION_ENABLE", "SECRET_VERSION_DISABLE", "SECRET_VERSION_DESTROY",
        "SECRET_UPDATE", "SECRET_DELETE",
    }
)  # fmt: skip


@dataclass(slots=True)
class _Known:
    """Versions as they were read at `at`, newest first; `due` when they are to be read again."""

    values: tuple[SecretStr, ...]
    at: float
    due: float


class SecretManagerSecrets:
    """`kernel.secrets.SecretSource` on Secret Manager.

    The first question for a secret is waited for. Later ones are answered from memory; when the answer has
    grown old, or a notice said that it changed, it is read again beside. With the service away, old answers
    hold for `stale_s`.

    Args:
        prefix: a variable's secret is `prefix-` and its name in lower case with hyphens, as infra has it.
    """

    def __init__(
        self, clients: GoogleClients, project: str, clock: Clock, *,
        prefix: str = "sluicegate", ttl_s: float = TTL_S, stale_s: float = STALE_S,
    ) -> None:  # fmt: skip
        self._clients = clients
        self._project = project
        self._clock = clock
        self._prefix = prefix
        self._ttl_s = ttl_s
        self._stale_s = stale_s
        self._known: dict[str, _Known] = {}
        self._reading: dict[str, asyncio.Task[_Known]] = {}

    async def value(self, name: str) -> SecretStr | None:
        values = await self.values(name)
        return values[0] if values else None

    async def values(self, name: str) -> Sequence[SecretStr]:
        known, now = self._known.get(name), self._clock.monotonic()
        if known is None or now - known.at >= self._ttl_s + self._stale_s:
            return (await self._read(name)).values
        if now >= known.due:
            self._read_beside(name)
        return known.values

    async def refused(self, name: str, value: SecretStr) -> SecretStr | None:
        known = self._known.get(name)
        if known is None or self._clock.monotonic() - known.at >= REFUSED_EVERY_S:
            known = await self._read(name)
        newest = known.values[0] if known.values else None
        return None if newest == value else newest

    def noticed(self, attributes: Mapping[str, str]) -> str | None:
        """A notice of Secret Manager's came over Pub/Sub, with these attributes.

        Returns the variable's name where the secret is one of ours that was changed.
        Source: https://cloud.google.com/secret-manager/docs/event-notifications.
        """
        secret = attributes.get("secretId", "").rpartition("/")[2]
        if attributes.get("eventType") not in _CHANGES or not secret.startswith(f"{self._prefix}-"):
            return None
        name = secret.removeprefix(f"{self._prefix}-").upper().replace("-", "_")
        known = self._known.get(name)
        if known is not None:
            known.due = self._clock.monotonic()
            self._read_beside(name)
        return name

    async def add(self, name: str, value: SecretStr) -> str:
        """Add a version, which is the newest from now on; its number."""
        content = value.get_secret_value().encode()
        request = {
            "parent": self._secret(name), "payload": {"data": content, "data_crc32c": crc32c(content)}
        }  # fmt: skip
        version = await self._clients.call(SECRETS, "add_secret_version", request)
        self._known.pop(name, None)
        return str(version.name.rpartition("/")[2])

    async def retire(self, name: str, keep: int = 1) -> int:
        """Disable all versions but the newest `keep`; how many were. They can be enabled again."""
        enabled = await self._enabled(name)
        for version in enabled[keep:]:
            await self._clients.call(SECRETS, "disable_secret_version", {"name": version})
        self._known.pop(name, None)
        return len(enabled[keep:])

    async def close(self) -> None:
        """End what is being read."""
        tasks = list(self._reading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _secret(self, name: str) -> str:
        return f"projects/{self._project}/secrets/{self._prefix}-{name.lower().replace('_', '-')}"

    async def _read(self, name: str) -> _Known:
        """Read now, together with whoever else asks for it."""
        return await asyncio.shield(self._start(name))

    def _read_beside(self, name: str) -> None:
        self._start(name).add_done_callback(lambda task: None if task.cancelled() else _note(name, task))

    def _start(self, name: str) -> "asyncio.Task[_Known]":
        task = self._reading.get(name)
        if task is None:
            task = self._reading[name] = asyncio.get_running_loop().create_task(self._fetch(name))
            task.add_done_callback(lambda _: self._reading.pop(name, None))
        return task

    async def _fetch(self, name: str) -> _Known:
        began = self._clock.monotonic()
        values = []
        for version in (await self._enabled(name))[:_MOST_VERSIONS]:
            try:
                answer = await self._clients.call(SECRETS, "access_secret_version", {"name": version})
            except (AbsentError, ConflictError):
                continue  # disabled or destroyed meanwhile
            content = check(_NAME, bytes(answer.payload.data), answer.payload.data_crc32c)
            values.append(SecretStr(content.decode().strip()))
        known = self._known[name] = _Known(tuple(values), began, began + self._ttl_s)
        return known

    async def _enabled(self, name: str) -> Sequence[str]:
        """The enabled versions, newest first."""
        request = {"parent": self._secret(name), "filter": "state:ENABLED"}
        try:
            versions = await self._clients.call_all(SECRETS, "list_secret_versions", request)
        except AbsentError:
            return []
        found = [version.name for version in versions if version.state.name == "ENABLED"]
        return sorted(found, key=lambda version: -int(version.rpartition("/")[2]))


def _note(name: str, task: "asyncio.Task[_Known]") -> None:
    error = task.exception()
    if isinstance(error, GoogleError):
        _log.warning("%s could not be read again; the value from before holds: %s", name, error.message)
    elif error is not None:
        _log.error("%s could not be read again", name, exc_info=error)
