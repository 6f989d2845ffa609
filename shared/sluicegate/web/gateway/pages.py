"""The gateway's pages: models, health, readiness, metrics, OpenAPI."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from sluicegate.completions.types import Answer
from sluicegate.identity.principal import Principal
from sluicegate.kernel.errors import ModelNotFoundError
from sluicegate.kernel.models import Model
from sluicegate.kernel.telemetry import metrics
from sluicegate.routing.service import Router
from sluicegate.web.exchange import Exchange
from sluicegate.web.gateway.openapi import document
from sluicegate.web.gateway.scraping import ScrapeGuard

JSON = (b"content-type", b"application/json")

Authenticate = Callable[[Exchange], Awaitable[Principal]]
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


class ModelPages:
    """`/v1/models` in the caller's protocol: Anthropic's when it says `anthropic-version`, else OpenAI's."""

    def __init__(self, router: Router, authenticate: Authenticate) -> None:
        self._router = router
        self._authenticate = authenticate

    async def models(self, exchange: Exchange) -> Answer:
        """All models that the caller may use."""
        principal = await self._authenticate(exchange)
        models = self._router.models(principal.allowed_models)
        if exchange.header(b"anthropic-version") is not None:
            entries = [_anthropic(model) for model in models]
            body: dict[str, Any] = {
                "data": entries,
                "has_more": False,
                "first_id": entries[0]["id"] if entries else None,
                "last_id": entries[-1]["id"] if entries else None,
            }
        else:
            body = {"object": "list", "data": [_openai(model) for model in models]}
        return Answer(200, [JSON], orjson.dumps(body))

    async def model(self, exchange: Exchange) -> Answer:
        """One model by id or alias, if the caller may use it."""
        principal = await self._authenticate(exchange)
        name = exchange.path.removeprefix("/v1/models/")
        found = self._router.resolve(name)
        if found is None or not _allowed(found, self._router.models(principal.allowed_models)):
            raise ModelNotFoundError(f"there is no model {name[:200]!r}", param="model")
        shape = _anthropic if exchange.header(b"anthropic-version") is not None else _openai
        return Answer(200, [JSON], orjson.dumps(shape(found)))


def _allowed(model: Model, models: Sequence[Model]) -> bool:
    return any(model.id == each.id for each in models)


def _openai(model: Model) -> dict[str, Any]:
    return {"id": model.id, "object": "model", "created": 0, "owned_by": model.provider}


def _anthropic(model: Model) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": datetime.fromtimestamp(0, UTC).isoformat().replace("+00:00", "Z"),
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.output_tokens_limit,
    }
