"""Is this API key good? Look-ups are remembered shortly, shared, and limited in number at once."""

import asyncio
import hmac
from collections import OrderedDict
from dataclasses import dataclass

from sluicegate.identity.api_keys import ApiKey, KeySecret, parse_key
from sluicegate.identity.errors import RefusedCredentialError
from sluicegate.identity.policy import IdentityPolicy, RolesPolicy
from sluicegate.identity.ports import KeyStore
from sluicegate.identity.principal import Principal
from sluicegate.kernel.clock import Clock

_NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look-up found, and until when it is believed (monotonic seconds)."""

    key: ApiKey | None
    fresh_until: float


class KeyVerifier:
    """Verifies API keys against the store.

    What a prefix leads to, nothing included, is remembered for the policy's seconds, so repeated wrong
    keys cost no look-up; look-ups of one prefix at once are one.
    """

    def __init__(self, store: KeyStore, roles: RolesPolicy, policy: IdentityPolicy, clock: Clock) -> None:
        self._store = store
        self._roles = roles
        self._policy = policy
        self._clock = clock
        self._found: OrderedDict[str, _Found] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[_Found]] = {}
        self._slots = asyncio.Semaphore(policy.cache.lookups)

    async def verify(self, token: bytes) -> tuple[Principal, float]:
        """The key's principal, and until when to believe it without verifying again (epoch seconds).

        Raises:
            RefusedCredentialError: it is malformed, unknown, wrong, revoked or expired. Which of the
                last two is told only to a caller who knows the secret.
            ConfigurationError: the key has a role that the policy no longer knows.
            DependencyUnavailableError: the store cannot be reached.
        """
        parsed = parse_key(token)
        if parsed is None:
            raise RefusedCredentialError("the API key is malformed: was it copied whole?", "malformed")
        found = await self._look_up(parsed.prefix)
        key = found.key
        secret = None if key is None else key.secret(parsed.prefix)
        matches = hmac.compare_digest(parsed.digest, _NO_DIGEST if secret is None else secret.digest)
        if key is None or secret is None or not matches:
            if key is None:
                raise RefusedCredentialError("unknown API key", "unknown")
            raise RefusedCredentialError(
                "unknown API key", "unknown", prefix=parsed.prefix, tenant=key.tenant, key=key.id
            )
        return self._principal(key, secret, found.fresh_until)

    def forget(self) -> None:
        """Look every key up anew."""
        self._found.clear()
        # Those under way may have read the state before the change; nobody else may join them.
        self._under_way.clear()

    def _principal(self, key: ApiKey, secret: KeySecret, fresh_until: float) -> tuple[Principal, float]:
        now = self._clock.now()
        shown = f"sk-slg-{secret.prefix}-…"
        if key.revoked_at is not None:
            raise _ended(key, f"the API key {shown} was revoked", "revoked")
        if key.expires_at is not None and key.expires_at <= now:
            raise _ended(key, f"the API key {shown} has expired", "expired")
        ends = [end for end in (key.expires_at, secret.expires_at) if end is not None]
        if secret.expires_at is not None and secret.expires_at <= now:
            raise _ended(key, f"the API key {shown} was replaced by a rotation; use its successor", "rotated")
        if self._policy.keys.overdue == "refuse":
            due = secret.created_at + self._policy.keys.rotate_every_s
            if due <= now:
                raise _ended(
                    key, f"the API key {shown} is past its rotation date; have it rotated", "overdue"
                )
            ends.append(due)
        principal = Principal(
            tenant=key.tenant,
            workspace=key.workspace,
            user=key.user,
            key_id=key.id,
            roles=frozenset(key.roles),
            permissions=self._roles.permissions(key.roles, key.permissions),
            plan=key.plan,
            timezone=key.timezone,
            allowed_models=key.models,
            expires_at=min(ends, default=None),
        )
        return principal, min([*ends, now + fresh_until - self._clock.monotonic()])

    async def _look_up(self, prefix: str) -> _Found:
        found = self._found.get(prefix)
        if found is not None and found.fresh_until > self._clock.monotonic():
            return found
        task = self._under_way.get(prefix)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._fetch(prefix))
            self._under_way[prefix] = task
            task.add_done_callback(lambda done: self._finished(prefix, done))
        # A caller that goes away must not take the look-up from those who wait for it too.
        return await asyncio.shield(task)

    async def _fetch(self, prefix: str) -> _Found:
        async with self._slots:
            # From before the read: a change after this moment goes unnoticed for no longer than the ttl.
            fresh_until = self._clock.monotonic() + self._policy.cache.ttl_s
            return _Found(await self._store.find_by_prefix(prefix), fresh_until)

    def _finished(self, prefix: str, task: asyncio.Task[_Found]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if self._under_way.get(prefix) is not task:
            return
        del self._under_way[prefix]
        if failed:
            return
        self._found[prefix] = task.result()
        self._found.move_to_end(prefix)
        while len(self._found) > self._policy.cache.prefixes:
            self._found.popitem(last=False)


def _ended(key: ApiKey, message: str, reason: str) -> RefusedCredentialError:
    """The caller knows the secret, and may know what is wrong with the key."""
    return RefusedCredentialError(message, reason, guess=False, tenant=key.tenant, key=key.id, user=key.user)
