"""Making, rotating and revoking API keys, each told to the transparency log."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from sluicegate.identity.api_keys import ApiKey, KeySecret, MintedKey, mint_key
from sluicegate.identity.policy import KeyPolicy, RolesPolicy
from sluicegate.identity.ports import KeyStore, RevocationBoard
from sluicegate.identity.principal import Plan
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import (
    DependencyUnavailableError,
    InvalidRequestError,
    NotFoundError,
    SluicegateError,
)
from sluicegate.kernel.events import Event, EventPublisher
from sluicegate.kernel.governed import (
    KEY_CREATED,
    KEY_REVOKED,
    KEY_ROTATED,
    Actor,
    governed_action,
    told_first,
)
from sluicegate.kernel.tenancy import checked_name

SOURCE = "/sluicegate/identity"

_TRIES = 5
_MAX_NAME = 120


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What a new key shall be. `roles` None takes the policy's default; `life_s` None never expires."""

    tenant: str
    workspace: str
    user: str
    name: str = ""
    roles: tuple[str, ...] | None = None
    permissions: tuple[str, ...] | None = None
    models: tuple[str, ...] = ()
    plan: Plan = "free"
    timezone: str = "UTC"
    life_s: float | None = None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key with its secret text, which exists nowhere else and is to be shown once.

    `announced` is False where other instances could not be told of a rotation at once.
    """

    key: ApiKey
    text: str = field(repr=False)
    announced: bool = True


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revoked key. `announced` is False where instances could not be told at once (see the port)."""

    key: ApiKey
    announced: bool


class _PrefixTakenError(Exception):
    """Another key has this prefix."""


class KeyAdministration:
    """The life of API keys. A key is made or rotated only once the log has been told.

    Args:
        events: where the log hears of it.
        board: tells running instances; None where there are none to tell.
    """

    def __init__(
        self, store: KeyStore, roles: RolesPolicy, policy: KeyPolicy, clock: Clock, events: EventPublisher,
        board: RevocationBoard | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._roles = roles
        self._policy = policy
        self._clock = clock
        self._events = events
        self._board = board

    async def create(self, request: KeyRequest, *, by: Actor) -> IssuedKey:
        """A new key.

        Raises:
            InvalidRequestError: a name, time zone or life that cannot be.
            ConfigurationError: an unknown role or permission.
            DependencyUnavailableError: the store or the log's bus is away; no key was made.
        """
        roles = self._policy.default_roles if request.roles is None else request.roles
        self._check(request, roles)
        now = self._clock.now()
        for _ in range(_TRIES):
            minted = mint_key()
            key = ApiKey(
                id=f"key_{minted.prefix}",
                tenant=request.tenant,
                workspace=request.workspace,
                user=request.user,
                name=request.name,
                roles=roles,
                permissions=request.permissions,
                models=request.models,
                plan=request.plan,
                timezone=request.timezone,
                created_at=now,
                expires_at=None if request.life_s is None else now + request.life_s,
                secrets=(_secret(minted, now),),
            )
            event = self._event(KEY_CREATED, key, by, key.id, _shown(key))
            try:
                async with told_first(self._events, event):
                    await self._add(key)
            except _PrefixTakenError:
                continue
            return IssuedKey(key, minted.text)
        raise DependencyUnavailableError("no free key prefix was found; try again", retry_after=1.0)

    async def keys(self, tenant: str) -> Sequence[ApiKey]:
        """All of `tenant`'s keys, oldest first."""
        return await self._store.keys(tenant)

    async def rotate(
        self, tenant: str, key_id: str, overlap_s: float | None = None, *, by: Actor
    ) -> IssuedKey:
        """A new secret for the key; the one before works on for `overlap_s` (policy's where None).

        Raises:
            NotFoundError: no such key.
            InvalidRequestError: it is revoked or expired, or the overlap is negative.
            DependencyUnavailableError: the store or the log's bus is away; nothing changed.
        """
        overlap = self._policy.overlap_s if overlap_s is None else overlap_s
        if overlap < 0:
            raise InvalidRequestError("the overlap cannot be negative", param="overlap")
        now = self._clock.now()
        minted = mint_key()

        def change(key: ApiKey) -> ApiKey:
            if key.revoked_at is not None:
                raise InvalidRequestError(f"{key.id} is revoked; create a new key")
            if key.expires_at is not None and key.expires_at <= now:
                raise InvalidRequestError(f"{key.id} has expired; create a new key")
            # A secret never regains life by a later rotation with a longer overlap.
            ends = [now + overlap if s.expires_at is None else min(s.expires_at, now + overlap)
                    for s in key.secrets]  # fmt: skip
            kept = [replace(s, expires_at=end) for s, end in zip(key.secrets, ends, strict=True) if end > now]
            return replace(key, secrets=(*kept, _secret(minted, now)))

        before = await self._existing(tenant, key_id)
        change(before)  # what cannot be is refused before anything is told
        payload = {"key": key_id, "prefix": minted.prefix, "overlap_s": overlap}
        event = self._event(KEY_ROTATED, before, by, f"{key_id}:{minted.prefix}", payload)
        async with told_first(self._events, event):
            key = await self._change(tenant, key_id, change)
        return IssuedKey(key, minted.text, announced=await self._announce_change(key_id))

    async def revoke(self, tenant: str, key_id: str, reason: str | None = None, *, by: Actor) -> Revocation:
        """End the key now, all its secrets included. Revoking twice keeps the first time and reason.

        It ends even where the log cannot be told: to wait would leave a lost key open. Announcement and entry
        are repeated each time, so a second call mends what did not get through.

        Raises:
            NotFoundError: no such key.
            DependencyUnavailableError: the store is away; or the key is revoked, but the log does not know.
        """
        now = self._clock.now()

        def change(key: ApiKey) -> ApiKey:
            return key if key.revoked_at is not None else replace(key, revoked_at=now, revoked_reason=reason)

        key = await self._change(tenant, key_id, change)
        # The store first: whoever looks the key up after the announcement must find it revoked.
        announced = await self._announce_revocation(tenant, key_id)
        try:
            await self._events.publish([self._revoked(key, by)])
        except SluicegateError as error:
            raise DependencyUnavailableError(
                f"{key_id} is revoked, but the transparency log could not be told; revoke it again: "
                f"{error.message}",
                retry_after=error.retry_after,
            ) from error
        return Revocation(key, announced)

    def rotate_by(self, key: ApiKey) -> float:
        """When the key's current secret should be replaced, epoch seconds."""
        return key.current.created_at + self._policy.rotate_every_s

    def _event(
        self, action: str, key: ApiKey, by: Actor, about: str, payload: dict[str, Any], **more: Any
    ) -> Event:
        return governed_action(
            key.tenant,
            action,
            source=SOURCE,
            at=more.pop("at", self._clock.now()),
            user=by.user,
            workspace=key.workspace,
            payload=payload,
            ip=by.ip,
            user_agent=by.user_agent,
            # Names of keys and their owners are the owner's personal data, and end with it.
            subject=key.user,
            event_id=f"{action}:{about}",
            **more,
        )

    def _revoked(self, key: ApiKey, by: Actor) -> Event:
        # The same id and time whenever it is told: however often it is repeated, it is one entry.
        payload = {"key": key.id, "name": key.name, "owner": key.user}
        reason = key.revoked_reason
        return self._event(KEY_REVOKED, key, by, key.id, payload, at=key.revoked_at, reason=reason)

    async def _announce_revocation(self, tenant: str, key_id: str) -> bool:
        if self._board is None:
            return False
        try:
            await self._board.revoked(tenant, key_id)
        except DependencyUnavailableError:
            return False
        return True

    async def _announce_change(self, key_id: str) -> bool:
        if self._board is None:
            return False
        try:
            await self._board.changed(key_id)
        except DependencyUnavailableError:
            return False
        return True

    async def _change(self, tenant: str, key_id: str, change: Callable[[ApiKey], ApiKey]) -> ApiKey:
        for _ in range(_TRIES):
            before = await self._existing(tenant, key_id)
            after = change(before)
            if after is before:
                return before
            after = replace(after, revision=before.revision + 1)
            if await self._store.replace(after):
                return after
        raise DependencyUnavailableError(f"{key_id} is being changed elsewhere; try again", retry_after=1.0)

    async def _add(self, key: ApiKey) -> None:
        if not await self._store.add(key):
            raise _PrefixTakenError

    async def _existing(self, tenant: str, key_id: str) -> ApiKey:
        found = await self._store.find(tenant, key_id)
        if found is None:
            raise NotFoundError(f"there is no key {key_id[:80]} in {tenant}")
        return found

    def _check(self, request: KeyRequest, roles: tuple[str, ...]) -> None:
        try:
            checked_name(request.tenant, "tenant")
            checked_name(request.workspace, "workspace")
            checked_name(request.user, "user")
        except ValueError as error:
            raise InvalidRequestError(str(error)) from None
        if len(request.name) > _MAX_NAME or not request.name.isprintable():
            raise InvalidRequestError(
                f"a key's name is at most {_MAX_NAME} printable characters", param="name"
            )
        try:
            ZoneInfo(request.timezone)
        except (ValueError, OSError, KeyError):
            raise InvalidRequestError(
                f"{request.timezone[:80]!r} is not a time zone; take one like Europe/Berlin", param="timezone"
            ) from None
        if request.life_s is not None and request.life_s <= 0:
            raise InvalidRequestError("a key must live longer than that", param="expires")
        if not roles:
            raise InvalidRequestError("a key needs at least one role", param="roles")
        self._roles.permissions(roles, request.permissions)


def _shown(key: ApiKey) -> dict[str, Any]:
    """What the log keeps of a new key: what it may, and who has it."""
    return {
        "key": key.id,
        "prefix": key.current.prefix,
        "name": key.name,
        "owner": key.user,
        "roles": list(key.roles),
        "permissions": None if key.permissions is None else list(key.permissions),
        "models": list(key.models),
        "plan": key.plan,
        "expires_at": None if key.expires_at is None else round(key.expires_at),
    }


def _secret(minted: MintedKey, now: float) -> KeySecret:
    return KeySecret(minted.prefix, minted.digest, now)
