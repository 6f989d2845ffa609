"""Who is this? From a request's headers to a principal, with a fast path for callers seen just now."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from sluicegate.identity.api_keys import KEY_START
from sluicegate.identity.attempts import (
    AttemptsObserver,
    Breach,
    FailedAttempt,
    FailedAttempts,
    SignIn,
    SilentObserver,
    address_source,
)
from sluicegate.identity.errors import RefusedCredentialError
from sluicegate.identity.key_verification import KeyVerifier
from sluicegate.identity.policy import IdentityPolicy
from sluicegate.identity.principal import Principal
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import AuthenticationError, RateLimitedError

MAX_CREDENTIAL_BYTES = 8_192
MAX_USER_AGENT = 512
_BEARER = b"bearer "


class TokenChecker(Protocol):
    """Verifies JSON Web Tokens (`identity.tokens.TokenVerifier`)."""

    async def verify(self, token: bytes) -> Principal:
        """The principal a token speaks for; raises RefusedCredentialError otherwise."""
        ...


@dataclass(slots=True)
class _Known:
    """A verified credential. `fresh_until` is monotonic seconds; after it, it is verified again."""

    principal: Principal
    fresh_until: float


class Authenticator:
    """Turns credentials into principals.

    A verified credential is remembered for a few seconds under its SHA-256, so that most requests need
    no look-up; `forget` drops a key at once. Memory is bounded whatever callers send.

    Args:
        keys: verifies API keys.
        tokens: verifies JWTs; None where none are trusted.
        observer: told of failures, breaches and new tokens.
    """

    def __init__(
        self, keys: KeyVerifier, policy: IdentityPolicy, clock: Clock, *,
        tokens: TokenChecker | None = None, observer: AttemptsObserver | None = None,
    ) -> None:  # fmt: skip
        self._keys = keys
        self._tokens = tokens
        self._clock = clock
        self._monotonic: Callable[[], float] = clock.monotonic
        self._ttl_s = policy.cache.ttl_s
        self._entries = policy.cache.entries
        self._observer = observer or SilentObserver()
        self._addresses = FailedAttempts(policy.failed_attempts)
        self._prefixes = FailedAttempts(policy.failed_attempts)
        self._known: dict[bytes, _Known] = {}
        self._epoch = 0

    def peek(self, credential: bytes) -> Principal | None:
        """The principal of a credential verified just now, or None: then `authenticate`.

        `credential` is the header's value as it came: that of `x-api-key` where there is one (it was
        remembered only if `authenticate` would choose it again), else that of `authorization`.
        """
        entry = self._known.get(sha256(credential).digest())
        if entry is None or entry.fresh_until <= self._monotonic():
            return None
        return entry.principal

    async def authenticate(
        self,
        authorization: bytes | None,
        x_api_key: bytes | None,
        client: str,
        user_agent: bytes | None = None,
    ) -> Principal:
        """The caller, from the two headers that may carry a credential and the client's address.

        `user_agent`, the header as it came, is for whoever looks into sign-ins later.

        With both headers, `x-api-key` counts if it looks like a credential of ours, else `authorization`:
        SDKs send another service's key along when the environment has one.

        Raises:
            AuthenticationError: no credential, or one that does not hold.
            RateLimitedError: too many wrong credentials from this address. One that held lately is
                still heard: a guesser never locks out a working neighbour.
            DependencyUnavailableError: the key store cannot be reached.
        """
        credential = _chosen(authorization, x_api_key)
        if credential is None:
            self._observer.failed(FailedAttempt("missing", client, address_source(client)))
            raise AuthenticationError(
                "no API key was given: send 'authorization: Bearer sk-slg-…' or 'x-api-key: sk-slg-…'"
            )
        digest = sha256(credential).digest()
        entry = self._known.get(digest)
        if entry is not None and entry.fresh_until > self._monotonic():
            return entry.principal
        source = address_source(client)
        if entry is None:
            self._refuse_blocked(client, source, user_agent)
        epoch = self._epoch
        try:
            principal, valid_until = await self._verified(credential)
        except RefusedCredentialError as refusal:
            self._known.pop(digest, None)
            self._count(refusal, client, source, user_agent)
            raise
        if entry is None and principal.method == "jwt":
            text = sha256(_token(credential)).digest()
            self._observer.signed_in(SignIn(principal, text, client, _shown(user_agent)))
        # Something was revoked meanwhile: what was read before that may be out of date.
        if epoch == self._epoch:
            self._remember(digest, principal, valid_until)
        return principal

    def forget(self, key_id: str) -> None:
        """Verify the key's credentials anew from now on (a revocation or rotation was announced)."""
        self._epoch += 1
        self._keys.forget()
        for digest in [d for d, entry in self._known.items() if entry.principal.key_id == key_id]:
            del self._known[digest]

    def forget_all(self) -> None:
        """Verify everyone anew: announcements may have been missed.

        Credentials stay known as having held once, so a blocked neighbour cannot shut them out.
        """
        self._epoch += 1
        self._keys.forget()
        for entry in self._known.values():
            entry.fresh_until = 0.0

    async def _verified(self, credential: bytes) -> tuple[Principal, float]:
        if len(credential) > MAX_CREDENTIAL_BYTES:
            raise RefusedCredentialError("the credential is too long to be one", "malformed")
        token = _token(credential)
        if token.startswith(KEY_START):
            return await self._keys.verify(token)
        if self._tokens is not None and token.count(b".") == 2:
            principal = await self._tokens.verify(token)
            return principal, principal.expires_at or float("inf")
        raise RefusedCredentialError(
            "the credential is not one of this gateway's: its API keys start with 'sk-slg-'", "malformed"
        )

    def _remember(self, digest: bytes, principal: Principal, valid_until: float) -> None:
        life_s = min(self._ttl_s, valid_until - self._clock.now())
        self._known.pop(digest, None)
        if len(self._known) >= self._entries:
            del self._known[next(iter(self._known))]
        self._known[digest] = _Known(principal, self._monotonic() + life_s)

    def _refuse_blocked(self, client: str, source: str, user_agent: bytes | None) -> None:
        left_s = self._addresses.blocked_for(source, self._monotonic())
        if left_s > 0:
            attempt = FailedAttempt("blocked", client, source, user_agent=_shown(user_agent))
            self._observer.failed(attempt)
            raise _too_many("address", left_s)

    def _count(
        self, refusal: RefusedCredentialError, client: str, source: str, user_agent: bytes | None
    ) -> None:
        self._observer.failed(
            FailedAttempt(
                refusal.reason,
                client,
                source,
                tenant=refusal.tenant,
                key=refusal.key,
                user=refusal.user,
                user_agent=_shown(user_agent),
            )
        )
        if not refusal.guess:
            return
        now = self._monotonic()
        self._note(self._addresses, "address", source, now)
        if refusal.prefix is not None:
            # A prefix under attack is answered with 429 only where the secret was wrong, so the
            # key's owner never notices.
            left_s = self._prefixes.blocked_for(refusal.prefix, now)
            self._note(self._prefixes, "prefix", refusal.prefix, now)
            if left_s > 0:
                raise _too_many("key", left_s) from None

    def _note(self, attempts: FailedAttempts, kind: str, source: str, now: float) -> None:
        failures = attempts.record(source, now)
        if failures is not None:
            self._observer.breached(Breach(kind, source, failures, self._clock.now()))


def _chosen(authorization: bytes | None, x_api_key: bytes | None) -> bytes | None:
    if authorization is not None and not _token(authorization):
        authorization = None
    if not x_api_key:
        return authorization
    if authorization is None or _plausible(_token(x_api_key)):
        return x_api_key
    return authorization


def _plausible(token: bytes) -> bool:
    """Whether it has the shape of a key or token of ours; another service's key has not."""
    return token.startswith(KEY_START) or token.count(b".") == 2


def _token(credential: bytes) -> bytes:
    if credential[: len(_BEARER)].lower() == _BEARER:
        return credential[len(_BEARER) :].strip()
    return b"" if credential.strip().lower() == _BEARER.strip() else credential.strip()


def _shown(user_agent: bytes | None) -> str | None:
    return None if user_agent is None else user_agent[:MAX_USER_AGENT].decode("latin-1")


def _too_many(what: str, left_s: float) -> RateLimitedError:
    return RateLimitedError(
        f"too many failed sign-in attempts with this {what}; wait before you try another credential",
        retry_after=left_s,
        details={"scope": what},
    )
