"""Who may call: keys from SQLite, tokens from a key set, failures to metrics and log."""

import asyncio
import json
import logging
from pathlib import Path

from pydantic import ValidationError

from sluicegate.adapters.web.http_client import HttpClient
from sluicegate.identity.attempts import AttemptsObserver, Breach, FailedAttempt, SignIn
from sluicegate.identity.authenticator import Authenticator
from sluicegate.identity.key_sets import Fetch, KeySet, file, fixed
from sluicegate.identity.key_verification import KeyVerifier
from sluicegate.identity.policy import IdentityPolicy, RolesPolicy, TokenPolicy
from sluicegate.identity.ports import KeyStore
from sluicegate.identity.sign_in_log import SignInLog
from sluicegate.identity.tokens import TokenVerifier
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.events import EventPublisher
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.kernel.telemetry import metrics
from sluicegate.settings import SignInSettings
from sluicegate.wiring.places import TOKEN_KEY_NAME

log = logging.getLogger(__name__)


def authenticator(
    config: SignInSettings,
    policies: PolicySet,
    keys: KeyStore,
    data: Path,
    http: HttpClient,
    clock: Clock,
    sign_ins: SignInLog,
) -> Authenticator:
    """The authenticator over `keys` and, where configured, tokens; `sign_ins` hears of both."""
    roles = policies.load("roles", RolesPolicy)
    identity = policies.load("identity", IdentityPolicy)
    identity.check(roles)
    return Authenticator(
        KeyVerifier(keys, roles, identity, clock),
        identity,
        clock,
        tokens=_tokens(config, data, http, roles, identity, clock),
        observer=_SignIns(sign_ins),
    )


def sign_in_log(
    config: SignInSettings, policies: PolicySet, events: EventPublisher, clock: Clock
) -> SignInLog:
    """What tells the transparency log of sign-ins; to be started and stopped."""
    policy = policies.load("identity", IdentityPolicy).sign_in_log
    return SignInLog(events, policy, clock, config.own_tenant)


def _tokens(
    config: SignInSettings,
    data: Path,
    http: HttpClient,
    roles: RolesPolicy,
    identity: IdentityPolicy,
    clock: Clock,
) -> TokenVerifier | None:
    """Verifies JWTs by the key set that settings or policy name; in development also by the local key."""
    policy = token_policy(config, identity.tokens)
    fetch: Fetch
    if policy.jwks_url is not None:
        fetch = _remote(http, policy.jwks_url)
    elif policy.jwks_file is not None:
        fetch = file(Path(policy.jwks_file))
    elif policy.jwks is not None:
        fetch = fixed(policy.jwks)
    elif config.embedded:
        fetch = _local(data, roles, policy, clock)
    else:
        return None
    return TokenVerifier(KeySet(fetch, policy, clock), roles, policy, clock)


def token_policy(config: SignInSettings, policy: TokenPolicy) -> TokenPolicy:
    """`policy` with what the environment says over it: JWT_JWKS_URL and JWT_AUDIENCE.

    Raises:
        ConfigurationError: the address is not one that keys may come from.
    """
    changes: dict[str, str | None] = {}
    if config.jwt_audience is not None:
        changes["audience"] = config.jwt_audience
    if config.jwt_jwks_url is not None:
        changes |= {"jwks_url": config.jwt_jwks_url, "jwks_file": None, "jwks": None}
    try:
        return TokenPolicy.model_validate({**dict(policy), **changes})
    except ValidationError as error:
        problems = "; ".join(detail["msg"] for detail in error.errors(include_url=False))
        raise ConfigurationError(f"JWT_JWKS_URL or JWT_AUDIENCE: {problems}") from None


def _remote(http: HttpClient, url: str) -> Fetch:
    endpoint = http.endpoint("GET", url)

    async def fetch() -> bytes:
        reply = await endpoint.send([], b"", connect_s=5, first_byte_s=5, idle_s=5, total_s=10)
        try:
            body = await reply.read()
        finally:
            reply.close()
        if reply.status != 200:
            raise ConnectionError(f"the key set's server answered {reply.status}")
        return body

    return fetch


def _local(data: Path, roles: RolesPolicy, policy: TokenPolicy, clock: Clock) -> Fetch:
    async def fetch() -> bytes:
        # Imported here because cryptography takes long to import, and only local tokens need it.
        from sluicegate.identity.issuing import TokenIssuer, load_or_create_key  # noqa: PLC0415

        key = await asyncio.to_thread(load_or_create_key, data / TOKEN_KEY_NAME)
        return json.dumps(TokenIssuer(key, roles, policy, clock).public_jwks()).encode()

    return fetch


class _SignIns(AttemptsObserver):
    """Failed sign-ins go to the metrics, breaches also to the log, where an alert watches for them."""

    def __init__(self, sign_ins: SignInLog) -> None:
        self._sign_ins = sign_ins

    def failed(self, attempt: FailedAttempt) -> None:
        metrics.FAILED_SIGN_INS.inc()
        log.info("a sign-in failed", extra={"reason": attempt.reason})
        self._sign_ins.failed(attempt)

    def signed_in(self, sign_in: SignIn) -> None:
        self._sign_ins.signed_in(sign_in)

    def breached(self, breach: Breach) -> None:
        metrics.SECURITY_BREACHES.inc()
        log.error(
            "security_breach: repeated failed sign-ins",
            extra={"source_kind": breach.kind, "source": breach.source, "failures": breach.failures},
        )
