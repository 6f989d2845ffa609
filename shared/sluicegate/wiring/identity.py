"""Who may call: keys from SQLite, tokens from a key set, failures to metrics and log."""

import asyncio
import logging
from pathlib import Path

from sluicegate.adapters.local.keys import SqliteKeyStore
from sluicegate.adapters.web.http_client import HttpClient
from sluicegate.identity.attempts import AttemptsObserver, Breach
from sluicegate.identity.authenticator import Authenticator
from sluicegate.identity.key_sets import KeySet
from sluicegate.identity.key_verification import KeyVerifier
from sluicegate.identity.policy import IdentityPolicy, RolesPolicy
from sluicegate.identity.tokens import TokenVerifier
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.kernel.telemetry import metrics
from sluicegate.settings import GatewaySettings

log = logging.getLogger(__name__)

TOKEN_KEY_NAME = "token-key.pem"  # noqa: S105 - the name of a file, not its content


def authenticator(
    config: GatewaySettings,
    policies: PolicySet,
    keys: SqliteKeyStore,
    data: Path,
    http: HttpClient,
    clock: Clock,
) -> Authenticator:
    """The authenticator over `keys` and, where configured, tokens."""
    roles = policies.load("roles", RolesPolicy)
    identity = policies.load("identity", IdentityPolicy)
    identity.check(roles)
    return Authenticator(
        KeyVerifier(keys, roles, identity, clock),
        identity,
        clock,
        tokens=_tokens(config, data, http, roles, identity, clock),
        observer=_SignIns(),
    )


def _tokens(
    config: GatewaySettings,
    data: Path,
    http: HttpClient,
    roles: RolesPolicy,
    identity: IdentityPolicy,
    clock: Clock,
) -> TokenVerifier | None:
    """Verifies JWTs by the key set of `JWT_JWKS_URL`; in development by the local issuer's key."""
    if config.jwt_jwks_url is not None:
        endpoint = http.endpoint("GET", config.jwt_jwks_url)

        async def fetch() -> bytes:
            reply = await endpoint.send([], b"", connect_s=5, first_byte_s=5, idle_s=5, total_s=10)
            try:
                body = await reply.read()
            finally:
                reply.close()
            if reply.status != 200:
                raise ConnectionError(f"the key set's server answered {reply.status}")
            return body

    elif config.embedded:
        import json  # noqa: PLC0415 - only with local tokens

        from sluicegate.identity.issuing import TokenIssuer, load_or_create_key  # noqa: PLC0415 - likewise

        async def fetch() -> bytes:
            key = await asyncio.to_thread(load_or_create_key, data / TOKEN_KEY_NAME)
            issuer = TokenIssuer(key, roles, identity.tokens, clock)
            return json.dumps(issuer.public_jwks()).encode()

    else:
        return None
    return TokenVerifier(KeySet(fetch, identity.tokens, clock), roles, identity.tokens, clock)


class _SignIns(AttemptsObserver):
    """Failed sign-ins go to the metrics, breaches also to the log, where an alert watches for them."""

    def failed(self, reason: str) -> None:
        metrics.FAILED_SIGN_INS.inc()
        log.info("a sign-in failed", extra={"reason": reason})

    def breached(self, breach: Breach) -> None:
        metrics.SECURITY_BREACHES.inc()
        log.error(
            "security_breach: repeated failed sign-ins",
            extra={"source_kind": breach.kind, "source": breach.source, "failures": breach.failures},
        )
