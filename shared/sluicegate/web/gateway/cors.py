"""Cross-origin access from browsers: denied, unless an origin is named in `CORS_ORIGINS`."""

from collections.abc import Iterable

from sluicegate.web.exchange import Headers

_ALLOWED_HEADERS = (
    b"authorization, content-type, x-api-key, anthropic-version, anthropic-beta, openai-beta, "
    b"idempotency-key, prefer, traceparent, x-sluicegate-workspace, x-sluicegate-mission, "
    b"x-sluicegate-agent, x-sluicegate-task, x-sluicegate-quality, x-sluicegate-max-cost-usd, "
    b"x-sluicegate-priority, x-sluicegate-cache, x-sluicegate-approval, x-sluicegate-strategy, "
    b"x-sluicegate-debug, "
    # What the vendors' SDKs send of their own accord from a browser.
    b"openai-organization, openai-project, anthropic-dangerous-direct-browser-access, x-stainless-arch, "
    b"x-stainless-async, x-stainless-helper, x-stainless-helper-method, x-stainless-lang, x-stainless-os, "
    b"x-stainless-package-version, x-stainless-poll-helper, x-stainless-retry-count, x-stainless-runtime, "
    b"x-stainless-runtime-version, x-stainless-timeout"
)
_EXPOSED_HEADERS = (
    b"x-sluicegate-request-id, x-sluicegate-model, x-sluicegate-provider, x-sluicegate-cost-usd, "
    b"x-sluicegate-cache, x-sluicegate-budget-remaining-usd, x-sluicegate-debug, x-request-id, request-id, "
    b"retry-after, x-should-retry, "
    b"x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    b"x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens"
)
MAX_AGE_S = b"600"


class Cors:
    """The CORS headers for allowed origins; none at all for others, so the browser refuses."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode("latin-1") for origin in origins)
        self._any = b"*" in self._origins

    def headers(self, origin: bytes) -> Headers:
        """What an answer to `origin` carries."""
        if not self._allows(origin):
            return [(b"vary", b"origin")] if self._origins else []
        return [
            (b"access-control-allow-origin", b"*" if self._any else origin),
            (b"access-control-expose-headers", _EXPOSED_HEADERS),
            (b"vary", b"origin"),
        ]

    def preflight(self, origin: bytes) -> Headers:
        """What the answer to a preflight request of `origin` carries."""
        if not self._allows(origin):
            return self.headers(origin)
        return [
            *self.headers(origin),
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", _ALLOWED_HEADERS),
            (b"access-control-max-age", MAX_AGE_S),
        ]

    def _allows(self, origin: bytes) -> bool:
        return self._any or origin in self._origins
