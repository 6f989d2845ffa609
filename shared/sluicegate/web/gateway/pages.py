"""The gateway's pages: health, readiness, metrics, OpenAPI."""

from collections.abc import Awaitable, Callable, Mapping

import orjson

from sluicegate.completions.types import Answer
from sluicegate.kernel.telemetry import metrics
from sluicegate.web.exchange import Exchange
from sluicegate.web.gateway.model_pages import ModelPages
from sluicegate.web.gateway.openapi import document
from sluicegate.web.gateway.scraping import ScrapeGuard

__all__ = ["ModelPages", "Pages"]

JSON = (b"content-type", b"application/json")

Check = Callable[[], Awaitable[str | None]]


class Pages:
    """The answers of the gateway's GET routes.

    Args:
        checks: by the name of a dependency; each returns what is wrong with it, or None.
        scrapers: who may read the metrics.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        version: str,
        scrapers: ScrapeGuard,
    ) -> None:
        self._checks = checks
        self._scrapers = scrapers
        self._version = version
        self._openapi = b""

    async def healthz(self, _exchange: Exchange) -> Answer:
        """Alive: the process answers. Never looks at a dependency, so that none can have it restarted."""
        return Answer(200, [JSON], orjson.dumps({"status": "ok", "version": self._version}))

    async def readyz(self, _exchange: Exchange) -> Answer:
        """Ready: every dependency answers; 503 with what is wrong otherwise."""
        problems = {name: await check() for name, check in self._checks.items()}
        failing = {name: problem for name, problem in problems.items() if problem is not None}
        body = {"status": "unavailable" if failing else "ready", "problems": failing}
        return Answer(503 if failing else 200, [JSON], orjson.dumps(body))

    async def metrics(self, exchange: Exchange) -> Answer:
        """Prometheus metrics.

        Raises:
            AuthenticationError, PermissionDeniedError: as `ScrapeGuard.check`.
        """
        self._scrapers.check(exchange)
        return Answer(200, [(b"content-type", metrics.CONTENT_TYPE.encode())], metrics.exposition())

    async def openapi(self, _exchange: Exchange) -> Answer:
        """The OpenAPI description of the gateway."""
        if not self._openapi:
            self._openapi = orjson.dumps(document(self._version))
        return Answer(200, [JSON], self._openapi)
