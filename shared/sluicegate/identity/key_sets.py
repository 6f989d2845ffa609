"""JSON Web Key Sets: the public keys that tokens are verified with (RFC 7517)."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.identity.policy import TokenPolicy
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import ConfigurationError, DependencyUnavailableError

if TYPE_CHECKING:
    from jwt import PyJWK

_KEY_TYPES = {"EdDSA": ("OKP", "Ed25519"), "RS256": ("RSA", None)}
Fetch = Callable[[], Awaitable[bytes]]
MAX_KEYS = 100
MIN_RSA_BITS = 2048

_log = logging.getLogger(__name__)


class KeySet:
    """Public keys by id, read when first needed and again when they grow old or a key is unknown.

    With the source away the keys read before stay in use; without any, tokens cannot be verified.

    Args:
        fetch: reads the key set's JSON. May raise whatever it likes; it is logged.
    """

    def __init__(self, fetch: Fetch, policy: TokenPolicy, clock: Clock) -> None:
        self._fetch = fetch
        self._policy = policy
        self._clock = clock
        self._keys: list[tuple[str | None, str, PyJWK]] | None = None
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()

    async def find(self, key_id: str | None, algorithm: str) -> "PyJWK | None":
        """The key `key_id` for `algorithm`; without an id, the only key there is for it.

        Raises:
            DependencyUnavailableError: no key set could be read yet.
        """
        await self._refresh(self._policy.refresh_s)
        key = self._pick(key_id, algorithm)
        if key is None:
            # A new signing key is used before we hear of it. Bounded, or anyone could make us ask.
            await self._refresh(self._policy.unknown_key_every_s)
            key = self._pick(key_id, algorithm)
        return key

    async def _refresh(self, older_than_s: float) -> None:
        if self._due(older_than_s):
            async with self._lock:
                if self._due(older_than_s):
                    await self._read()
        if self._keys is None:
            raise DependencyUnavailableError(
                "tokens cannot be verified now: their key set cannot be read",
                retry_after=self._policy.unknown_key_every_s,
            )

    def _due(self, older_than_s: float) -> bool:
        now = self._clock.monotonic()
        waited = now - self._tried_at >= self._policy.unknown_key_every_s
        return waited and now - self._read_at >= older_than_s

    async def _read(self) -> None:
        self._tried_at = self._clock.monotonic()
        try:
            self._keys = parse_key_set(await self._fetch())
        except asyncio.CancelledError:
            if self._keys is None:
                self._tried_at = float("-inf")  # the next caller must not wait for one who went away
            raise
        except Exception as error:  # noqa: BLE001 - any fetch may fail in any way; the old keys hold
            _log.warning("the token key set could not be read: %s", error)
        else:
            self._read_at = self._tried_at

    def _pick(self, key_id: str | None, algorithm: str) -> "PyJWK | None":
        matching = [
            key
            for kid, alg, key in self._keys or ()
            if alg == algorithm and (key_id is None or kid == key_id)
        ]
        return matching[0] if len(matching) == 1 else None


def parse_key_set(text: bytes) -> "list[tuple[str | None, str, PyJWK]]":
    """The usable keys of a key set: id, algorithm, key. Others (encryption, curves) are passed over.

    Raises:
        ValueError: not a key set, or one with a symmetric or private key: it was leaked or mistaken.
    """
    from jwt import PyJWK  # noqa: PLC0415 - cryptography takes long to import; only tokens need it
    from jwt.exceptions import PyJWTError  # noqa: PLC0415

    content = json.loads(text)
    keys = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise ValueError("not a JSON Web Key Set: an object with a list of 'keys' is expected")
    found = []
    for key in keys:
        if not isinstance(key, dict):
            raise ValueError("a key of the set is not an object")  # noqa: TRY004 - one kind for all
        if "k" in key or "d" in key:
            raise ValueError("a key of the set is secret; publish public keys only")
        algorithm = _algorithm(key)
        if algorithm is None:
            continue
        try:
            parsed = PyJWK(key, algorithm=algorithm)
        except PyJWTError as error:
            raise ValueError(f"a key of the set cannot be used: {error}") from None
        if algorithm == "RS256" and parsed.key.key_size < MIN_RSA_BITS:
            raise ValueError(f"an RSA key of the set has less than {MIN_RSA_BITS} bits")
        kid = key.get("kid")
        found.append((kid if isinstance(kid, str) else None, algorithm, parsed))
    return found


def fixed(key_set: Mapping[str, Any]) -> Fetch:
    """A source that always gives `key_set`."""
    text = json.dumps(key_set).encode()

    async def fetch() -> bytes:
        return text

    return fetch


def file(path: Path) -> Fetch:
    """A source that reads `path` each time.

    Raises:
        ConfigurationError: it is not there now.
    """
    if not path.is_file():
        raise ConfigurationError(f"{path}: the token key set (identity.yaml, tokens.jwks_file) is missing")
    return lambda: asyncio.to_thread(path.read_bytes)


def _algorithm(key: Mapping[str, Any]) -> str | None:
    if key.get("use", "sig") != "sig":
        return None
    for algorithm, (kind, curve) in _KEY_TYPES.items():
        fits = key.get("kty") == kind and (curve is None or key.get("crv") == curve)
        if fits and key.get("alg", algorithm) == algorithm:
            return algorithm
    return None
