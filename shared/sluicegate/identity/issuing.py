"""Issuing tokens with a local Ed25519 key: for trying things out, and where no identity provider is."""

import base64
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.identity.policy import RolesPolicy, TokenPolicy
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import ConfigurationError, InvalidRequestError
from sluicegate.kernel.events import EventPublisher
from sluicegate.kernel.governed import TOKEN_ISSUED, Actor, governed_action, told_first
from sluicegate.kernel.ids import random_id
from sluicegate.kernel.tenancy import checked_name

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


SOURCE = "/sluicegate/identity"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What a new token shall say. `roles` None takes the policy's default, `life_s` None its longest."""

    tenant: str
    workspace: str
    user: str
    roles: tuple[str, ...] | None = None
    life_s: float | None = None
    plan: str = "free"
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A signed token; `id` is its `jti`, `expires_at` in epoch seconds."""

    id: str
    text: str = field(repr=False)
    roles: tuple[str, ...]
    expires_at: int


class TokenIssuing:
    """Issues tokens, each told to the transparency log before anybody has it."""

    def __init__(self, issuer: "TokenIssuer", clock: Clock, events: EventPublisher) -> None:
        self._issuer = issuer
        self._clock = clock
        self._events = events

    async def issue(self, request: TokenRequest, *, by: Actor) -> IssuedToken:
        """A token.

        Raises:
            InvalidRequestError: a name or a life that cannot be.
            ConfigurationError: an unknown role.
            DependencyUnavailableError: the log cannot be told; there is no token.
        """
        token = self._issuer.sign(request)
        event = governed_action(
            request.tenant,
            TOKEN_ISSUED,
            source=SOURCE,
            at=self._clock.now(),
            user=by.user,
            workspace=request.workspace,
            payload={
                "jti": token.id,
                "owner": request.user,
                "roles": list(token.roles),
                "plan": request.plan,
                "expires_at": token.expires_at,
            },
            ip=by.ip,
            user_agent=by.user_agent,
            subject=request.user,
            event_id=f"{TOKEN_ISSUED}:{token.id}",
        )
        async with told_first(self._events, event):
            return token


class TokenIssuer:
    """Signs tokens with one Ed25519 key and publishes its public half."""

    def __init__(
        self, key: "Ed25519PrivateKey", roles: RolesPolicy, policy: TokenPolicy, clock: Clock
    ) -> None:
        self._key = key
        self._roles = roles
        self._policy = policy
        self._clock = clock
        self._public = _public_jwk(key)

    def sign(self, request: TokenRequest) -> IssuedToken:
        """A token, told to nobody: what is handed out comes from `TokenIssuing`.

        Raises:
            InvalidRequestError: a name or a life that cannot be.
            ConfigurationError: an unknown role.
        """
        import jwt  # noqa: PLC0415 - cryptography takes long to import; only tokens need it

        life = self._policy.max_life_s if request.life_s is None else request.life_s
        if not 0 < life <= self._policy.max_life_s:
            raise InvalidRequestError(f"a token lives up to {self._policy.max_life_s:.0f} seconds")
        try:
            for what in ("tenant", "workspace", "user"):
                checked_name(getattr(request, what), what)
        except ValueError as error:
            raise InvalidRequestError(str(error)) from None
        granted = self._policy.default_roles if request.roles is None else request.roles
        self._roles.permissions(granted)
        now = int(self._clock.now())
        claims = self._policy.claims
        token, expires_at = random_id("tok_"), now + int(life)
        text = jwt.encode(
            {
                "iss": self._policy.issuer,
                "aud": self._policy.audience,
                "sub": request.user,
                "iat": now,
                "exp": expires_at,
                "jti": token,
                claims.tenant: request.tenant,
                claims.workspace: request.workspace,
                claims.roles: list(granted),
                claims.plan: request.plan,
                claims.timezone: request.timezone,
            },
            self._key,
            algorithm="EdDSA",
            headers={"kid": self._public["kid"]},
        )
        return IssuedToken(token, text, tuple(granted), expires_at)

    def public_jwks(self) -> dict[str, Any]:
        """The JSON Web Key Set to publish: public keys only."""
        return {"keys": [self._public]}


def load_or_create_key(path: Path) -> "Ed25519PrivateKey":
    """The Ed25519 key in `path` (PEM, readable by its owner only), made on first use.

    Raises:
        ConfigurationError: the file holds something else or cannot be used.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    try:
        if not path.exists():
            pem = Ed25519PrivateKey.generate().private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            )
            _create(path, pem)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: the token key cannot be used: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{path}: the token key must be an Ed25519 private key")
    return key


def _create(path: Path, pem: bytes) -> None:
    """Write `pem` whole or not at all; of several who try at once the first wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{random_id('')}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(pem)
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _public_jwk(key: "Ed25519PrivateKey") -> dict[str, Any]:
    """The key's public half, named by its thumbprint (RFC 7638)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    members = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return {**members, "kid": _base64url(hashlib.sha256(canonical).digest()), "alg": "EdDSA", "use": "sig"}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
