"""Access tokens for Google APIs, from Application Default Credentials, renewed off the hot path."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC
from typing import Any, Protocol

SCOPE = "https://www.googleapis.com/auth/cloud-platform"

# Google's libraries hand out a token until 3 min 45 s before its end; renewing earlier than that would
# only return the same one.
RENEW_BEFORE_S = 220.0
USE_UNTIL_BEFORE_S = 30.0
RETRY_AFTER_S = 5.0


class TokenError(Exception):
    """There is no token. The message says what to do and holds no secret."""


class TokenSource(Protocol):
    """Gives access tokens."""

    def problem(self) -> str | None:
        """Why the last attempt gave none, or None (also before any attempt)."""
        ...

    async def token(self, wait_s: float) -> bytes:
        """A token that is good for at least some seconds more, waited for at most `wait_s` seconds.

        Raises:
            TokenError: there is none.
        """
        ...

    def reject(self, token: bytes) -> None:
        """The API refused `token`: do not give it out again."""
        ...

    async def close(self) -> None: ...


class GoogleTokens:
    """Tokens of the account this process runs as (https://google.aip.dev/auth/4110).

    The first token is waited for; every later one is fetched in a thread while the one before is still
    good, so that calls do not wait. Concurrent callers share one fetch; after a failure, callers get
    that failure for a few seconds rather than one attempt each. Needs the extra `gcp` with `requests`.

    Args:
        load: finds the credentials; called in a thread, as is their `refresh`.
        now: seconds since the epoch.
    """

    def __init__(
        self, load: Callable[[], Any] | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._load = load or _default_credentials
        self._now = now
        self._credentials: Any = None
        self._token = b""
        self._expires = 0.0
        self._fetching: asyncio.Task[None] | None = None
        self._problem: str | None = None
        self._tried_at = float("-inf")

    def problem(self) -> str | None:
        return self._problem

    async def token(self, wait_s: float) -> bytes:
        now = self._now()
        left = self._expires - now
        if left > RENEW_BEFORE_S:
            return self._token
        usable = left > USE_UNTIL_BEFORE_S
        tried = 0 <= now - self._tried_at < RETRY_AFTER_S
        if not (tried and (usable or self._problem)):
            fetching = self._start()
            if not usable:
                await self._wait(fetching, wait_s)
        if self._expires > self._now():
            return self._token
        raise TokenError(self._problem or "Google gave a token that has already expired; check the clock")

    def reject(self, token: bytes) -> None:
        if token == self._token:
            self._token = b""
            self._expires = 0.0

    async def close(self) -> None:
        """Stop a fetch under way."""
        fetching, self._fetching = self._fetching, None
        if fetching is not None:
            fetching.cancel()
            await asyncio.wait([fetching])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    async def _wait(self, fetching: asyncio.Task[None], wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await asyncio.shield(fetching)
        except TimeoutError:
            raise TokenError(f"Google gave no token within {wait_s:g} s") from None

    def _start(self) -> asyncio.Task[None]:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.get_running_loop().create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            self._token, self._expires = await asyncio.to_thread(self._refresh)
        except Exception as error:  # noqa: BLE001 - the library's errors are many; each means no token
            self._problem = (
                f"no Google credentials ({type(error).__name__}); "
                "run `gcloud auth application-default login`, "
                "or give this service an account that may use Vertex AI"
            )
        else:
            self._problem = None
        self._tried_at = self._now()

    def _refresh(self) -> tuple[bytes, float]:
        """In a thread: find the credentials, renew them, return token and expiry."""
        # Imported here because it takes a tenth of a second, and only Vertex AI needs it.
        from google.auth.transport.requests import Request  # noqa: PLC0415

        if self._credentials is None:
            self._credentials = self._load()
        self._credentials.refresh(Request())
        expiry = self._credentials.expiry
        until = self._now() + 3600 if expiry is None else expiry.replace(tzinfo=UTC).timestamp()
        return self._credentials.token.encode(), until


def _default_credentials() -> Any:
    import google.auth  # noqa: PLC0415 - see _refresh

    credentials, _ = google.auth.default(scopes=[SCOPE])
    return credentials
