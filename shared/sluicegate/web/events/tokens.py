"""Who pushes: the OpenID Connect token that Pub/Sub and Eventarc send along."""

from collections.abc import Collection, Mapping
from typing import Any

from sluicegate.identity.key_sets import KeySet
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import AuthenticationError, PermissionDeniedError

ISSUERS = frozenset({"https://accounts.google.com", "accounts.google.com"})
KEYS_URL = "https://www.googleapis.com/oauth2/v3/certs"
ALGORITHM = "RS256"
SKEW_S = 60.0
MOST_LIFE_S = 3_600.0 + SKEW_S

_SCHEME = b"bearer "
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


class PushTokens:
    """Verifies tokens as https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions says.

    Args:
        keys: Google's, from KEYS_URL; it keeps them for a while.
        audience: as the subscription is configured; the service's URL.
        accounts: e-mail addresses of the service accounts that may push.
    """

    def __init__(self, keys: KeySet, audience: str, accounts: Collection[str], clock: Clock) -> None:
        if not audience or not accounts:
            raise ValueError("pushes need an audience and the accounts that may push")
        self._keys = keys
        self._audience = audience
        self._accounts = frozenset(accounts)
        self._clock = clock

    async def check(self, authorization: bytes | None) -> str:
        """The e-mail address of who pushes, by the request's Authorization header.

        Raises:
            AuthenticationError: there is no token, or not one of Google's for us, or it is over.
            PermissionDeniedError: it is somebody else's.
            DependencyUnavailableError: Google's keys cannot be read.
        """
        import jwt  # noqa: PLC0415 - cryptography takes long to import; only pushes need it

        if authorization is None or authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise AuthenticationError("a push needs an OpenID Connect token")
        token = authorization[len(_SCHEME) :].strip()
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise AuthenticationError("the token is malformed") from None
        key_id = header.get("kid")
        if header.get("alg") != ALGORITHM or "crit" in header or not isinstance(key_id, str):
            raise AuthenticationError("the token is not signed as Google signs")
        key = await self._keys.find(key_id, ALGORITHM)
        if key is None:
            raise AuthenticationError("the token is not signed by Google")
        try:
            claims = jwt.decode(token, key, algorithms=[ALGORITHM], options=_SIGNATURE_ONLY)
        except jwt.PyJWTError:
            raise AuthenticationError("the token is not signed by Google") from None
        return self._checked(claims)

    def _checked(self, claims: Mapping[str, Any]) -> str:
        now = self._clock.now()
        issued, expires = _time(claims.get("iat")), _time(claims.get("exp"))
        if claims.get("iss") not in ISSUERS:
            raise AuthenticationError("the token's issuer is not Google")
        if claims.get("aud") != self._audience:
            raise AuthenticationError("the token is for another service")
        if issued is None or expires is None or expires - issued > MOST_LIFE_S:
            raise AuthenticationError("the token has no times, or lives too long")
        if expires <= now - SKEW_S or issued > now + SKEW_S:
            raise AuthenticationError("the token is over, or not valid yet")
        email = claims.get("email")
        if claims.get("email_verified") is not True or email not in self._accounts:
            raise PermissionDeniedError("this account may not push here")
        return str(email)


def _time(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
