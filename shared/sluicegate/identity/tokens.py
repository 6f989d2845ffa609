"""JSON Web Tokens: who a signed token speaks for (RFC 7519, RFC 8725)."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NoReturn, cast, get_args
from zoneinfo import ZoneInfo

from sluicegate.identity.errors import RefusedCredentialError
from sluicegate.identity.key_sets import KeySet
from sluicegate.identity.policy import RolesPolicy, TokenPolicy
from sluicegate.identity.principal import Plan, Principal
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.tenancy import NAME

_PLANS = frozenset(get_args(Plan))
_MAX_ROLES = 32


class TokenVerifier:
    """Verifies tokens: signature, issuer, audience, times, and the claims a principal is made of.

    Only the policy's asymmetric algorithms are ever tried, and with keys of their own type only, so a
    public key can never be abused as a shared secret. Keys named by the token itself are ignored.
    """

    def __init__(self, keys: KeySet, roles: RolesPolicy, policy: TokenPolicy, clock: Clock) -> None:
        self._keys = keys
        self._roles = roles
        self._policy = policy
        self._clock = clock

    async def verify(self, token: bytes) -> Principal:
        """The principal `token` speaks for.

        Raises:
            RefusedCredentialError: it does not hold. A wrong signature and a wrong shape sound alike;
                the rest is told only once the signature was right.
            DependencyUnavailableError: there are no keys to verify with.
        """
        import jwt  # noqa: PLC0415 - cryptography takes long to import; only tokens need it

        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            _refuse("the token is malformed", "malformed")
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self._policy.algorithms or "crit" in header:
            _refuse("the token is not signed as this gateway demands", "token_algorithm")
        key = await self._keys.find(kid, algorithm)
        if key is None:
            _refuse("the token is not signed by a known key", "token_signature")
        try:
            # Times, issuer and audience are checked below, on our clock and with our words.
            claims = jwt.decode(token, key, algorithms=[algorithm], options=_SIGNATURE_ONLY)
        except jwt.PyJWTError:
            _refuse("the token is not signed by a known key", "token_signature")
        self._check(claims)
        return self._principal(claims)

    def _check(self, claims: Mapping[str, Any]) -> None:
        policy, now = self._policy, self._clock.now()
        skew = policy.clock_skew_s
        if claims.get("iss") != policy.issuer:
            _stale(f"the token's issuer is not {policy.issuer!r}", "token_issuer")
        audience = claims.get("aud")
        if policy.audience not in (audience if isinstance(audience, list) else [audience]):
            _stale(f"the token is not for {policy.audience!r}", "token_audience")
        expires, issued = _time(claims, "exp"), _time(claims, "iat")
        if expires <= now - skew:
            _stale("the token has expired", "token_expired")
        if issued > now + skew or ("nbf" in claims and _time(claims, "nbf") > now + skew):
            _stale("the token is not valid yet: compare the clocks", "token_early")
        if expires - issued > policy.max_life_s:
            _stale(f"the token lives longer than {policy.max_life_s:.0f} seconds", "token_life")

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        names = self._policy.claims
        tenant = _name(claims, names.tenant)
        if self._policy.tenants and tenant not in self._policy.tenants:
            _stale("the token's issuer may not speak for this tenant", "token_claims")
        roles = self._roles_of(claims.get(names.roles))
        try:
            permissions = self._roles.permissions(roles)
        except ConfigurationError as error:
            _stale(f"the token cannot be used: {error.message}", "token_claims")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject:
            _stale("the token has no subject ('sub')", "token_claims")
        plan = claims.get(names.plan, "free")
        if not isinstance(plan, str) or plan not in _PLANS:
            _stale(f"the token's {names.plan!r} is not one of {', '.join(sorted(_PLANS))}", "token_claims")
        return Principal(
            tenant=tenant,
            workspace=_name(claims, names.workspace),
            user=name_of(subject),
            # Not the token's own id: a fresh token must not bring fresh limits with it.
            key_id=name_of(f"token.{name_of(subject)}"),
            roles=frozenset(roles),
            permissions=permissions,
            plan=cast("Plan", plan),
            timezone=_timezone(claims, names.timezone),
            expires_at=_time(claims, "exp") + self._policy.clock_skew_s,
            method="jwt",
        )

    def _roles_of(self, claim: Any) -> tuple[str, ...]:
        if claim is None:
            return self._policy.default_roles
        roles = claim.split() if isinstance(claim, str) else claim
        if (
            not isinstance(roles, list)
            or len(roles) > _MAX_ROLES
            or not all(isinstance(role, str) for role in roles)
        ):
            _stale("the token's roles are not a list of names", "token_claims")
        return tuple(roles)


_SIGNATURE_ONLY: Any = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


def name_of(value: str) -> str:
    """A valid name for any text: the text itself where it is one, else a readable part and a digest.

    Two texts never share a name but by a collision of 80 bits of SHA-256.
    """
    if NAME.fullmatch(value):
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:20]
    readable = re.sub(r"[^a-z0-9_.-]+", "-", value.lower())[:40].strip("-_.")
    return f"{readable}-{digest}" if readable else digest


def _name(claims: Mapping[str, Any], claim: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or NAME.fullmatch(value) is None:
        _stale(f"the token's claim {claim!r} is missing or not a valid name", "token_claims")
    return value


def _time(claims: Mapping[str, Any], claim: str) -> float:
    value = claims.get(claim)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        _stale(f"the token's claim {claim!r} is missing or not a time", "token_claims")
    return float(value)


def _timezone(claims: Mapping[str, Any], claim: str) -> str:
    value = claims.get(claim, "UTC")
    try:
        return ZoneInfo(value).key
    except (ValueError, OSError, KeyError, TypeError):
        _stale(f"the token's claim {claim!r} is not a time zone", "token_claims")


def _refuse(message: str, reason: str) -> NoReturn:
    raise RefusedCredentialError(message, reason) from None


def _stale(message: str, reason: str) -> NoReturn:
    """The signature was right, so the caller guesses nothing and may know what is wrong."""
    raise RefusedCredentialError(message, reason, guess=False) from None
