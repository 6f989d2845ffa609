"""Making, rotating and revoking API keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
)
from sluicegate.kernel.tenancy import checked_name

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


class KeyAdministration:
    """The life of API keys.

    Args:
        board: tells running instances; None where there are none to tell.
    """

    def __init__(
        self, store: KeyStore, roles: RolesPolicy, policy: KeyPolicy, clock: Clock,
        board: RevocationBoard | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._roles = roles
        self._policy = policy
        self._clock = clock
        self._board = board

    async def create(self, request: KeyRequest) -> IssuedKey:
        """A new key.

        Raises:
            InvalidRequestError: a name, time zone or life that cannot be.
            ConfigurationError: an unknown role or permission.
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
            if await self._store.add(key):
                return IssuedKey(key, minted.text)
        raise DependencyUnavailableError("no free key prefix was found; try again", retry_after=1.0)

    async def keys(self, tenant: str) -> Sequence[ApiKey]:
        """All of `tenant`'s keys, oldest first."""
        return await self._store.keys(tenant)

    async def rotate(self, tenant: str, key_id: str, overlap_s: float | None = None) -> IssuedKey:
        """A new secret for the key; the one before works on for `overlap_s` (policy's where None).

        Raises:
            NotFoundError: no such key.
            InvalidRequestError: it is revoked or expired, or the overlap is negative.
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

        key = await self._change(tenant, key_id, change)
        return IssuedKey(key, minted.text, announced=await self._announce_change(key_id))

    async def revoke(self, tenant: str, key_id: str, reason: str | None = None) -> Revocation:
        """End the key now, all its secrets included. Revoking twice keeps the first time and reason.

        The announcement is repeated each time, so a second call mends one that did not get through.

        Raises:
            NotFoundError: no such key.
        """
        now = self._clock.now()

        def change(key: ApiKey) -> ApiKey:
            return key if key.revoked_at is not None else replace(key, revoked_at=now, revoked_reason=reason)

        key = await self._change(tenant, key_id, change)
        # The store first: whoever looks the key up after the announcement must find it revoked.
        if self._board is None:
            return Revocation(key, announced=False)
        try:
            await self._board.revoked(tenant, key_id)
        except DependencyUnavailableError:
            return Revocation(key, announced=False)
        return Revocation(key, announced=True)

    def rotate_by(self, key: ApiKey) -> float:
        """When the key's current secret should be replaced, epoch seconds."""
        return key.current.created_at + self._policy.rotate_every_s

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
            before = await self._store.find(tenant, key_id)
            if before is None:
                raise NotFoundError(f"there is no key {key_id[:80]} in {tenant}")
            after = change(before)
            if after is before:
                return before
            after = replace(after, revision=before.revision + 1)
            if await self._store.replace(after):
                return after
        raise DependencyUnavailableError(f"{key_id} is being changed elsewhere; try again", retry_after=1.0)

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


def _secret(minted: MintedKey, now: float) -> KeySecret:
    return KeySecret(minted.prefix, minted.digest, now)
