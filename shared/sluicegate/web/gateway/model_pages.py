"""`/v1/models` in the protocols of OpenAI and Anthropic."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

import orjson

from sluicegate.completions.types import Answer
from sluicegate.identity.principal import Principal
from sluicegate.kernel.errors import InvalidRequestError, ModelNotFoundError
from sluicegate.kernel.models import Model
from sluicegate.routing.service import Router
from sluicegate.web.exchange import Exchange

MOST_PER_PAGE = 1_000

_JSON = (b"content-type", b"application/json")
_MOST_FIELDS = 50
_LIFECYCLES = frozenset({"active", "deprecated", "retired"})

Authenticate = Callable[[Exchange], Awaitable[Principal]]


class ModelPages:
    """`/v1/models` in the caller's protocol: Anthropic's when it says `anthropic-version`, else OpenAI's."""

    def __init__(self, router: Router, authenticate: Authenticate) -> None:
        self._router = router
        self._authenticate = authenticate

    async def models(self, exchange: Exchange) -> Answer:
        """All models that the caller may use; for Anthropic's clients in pages, if they ask for them.

        Raises:
            InvalidRequestError: a page is asked for that cannot be.
        """
        principal = await self._authenticate(exchange)
        models = self._router.models(principal.allowed_models)
        if exchange.header(b"anthropic-version") is not None:
            body = _page([_anthropic(model) for model in models], exchange.query)
        else:
            body = {"object": "list", "data": [_openai(model) for model in models]}
        return Answer(200, [_JSON], orjson.dumps(body))

    async def model(self, exchange: Exchange) -> Answer:
        """One model by id or alias, if the caller may use it.

        Raises:
            ModelNotFoundError: there is none of that name for this caller.
        """
        principal = await self._authenticate(exchange)
        name = exchange.path.removeprefix("/v1/models/")
        found = self._router.resolve(name)
        if found is None or not _allowed(found, self._router.models(principal.allowed_models)):
            raise ModelNotFoundError(f"there is no model {name[:200]!r}", param="model")
        shape = _anthropic if exchange.header(b"anthropic-version") is not None else _openai
        return Answer(200, [_JSON], orjson.dumps(shape(found)))


def _allowed(model: Model, models: Sequence[Model]) -> bool:
    return any(model.id == each.id for each in models)


def _openai(model: Model) -> dict[str, Any]:
    return {"id": model.id, "object": "model", "created": 0, "owned_by": model.provider}


def _anthropic(model: Model) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        # Anthropic's word for a date that is not known.
        "created_at": "1970-01-01T00:00:00Z",
        # What is in the catalogue can be used, by new callers too.
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "capabilities": None,
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.output_tokens_limit,
    }


def _page(entries: list[dict[str, Any]], query: bytes) -> dict[str, Any]:
    """The page of `entries` that `query` asks for; all of them where it does not ask."""
    try:
        asked = parse_qs(query.decode("latin-1"), max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise InvalidRequestError(f"the query has more than {_MOST_FIELDS} fields") from None
    if "active" not in _lifecycles(asked):
        entries = []
    limit, after, before = _limit(asked), _cursor(asked, "after_id"), _cursor(asked, "before_id")
    if after is not None and before is not None:
        raise InvalidRequestError("send after_id or before_id, not both", param="before_id")
    if before is not None:
        end = _place(entries, before, "before_id")
        start = max(0, end - limit)
        more = start > 0
    else:
        start = 0 if after is None else _place(entries, after, "after_id") + 1
        end = start + limit
        more = end < len(entries)
    page = entries[start:end]
    return {
        "data": page,
        "has_more": more,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def _limit(asked: dict[str, list[str]]) -> int:
    text = asked.get("limit", [str(MOST_PER_PAGE)])[-1]
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MOST_PER_PAGE):
        raise InvalidRequestError(f"limit must be an integer from 1 to {MOST_PER_PAGE}", param="limit")
    return int(text)


def _cursor(asked: dict[str, list[str]], name: str) -> str | None:
    return asked[name][-1] if name in asked else None


def _place(entries: list[dict[str, Any]], model: str, param: str) -> int:
    for index, entry in enumerate(entries):
        if entry["id"] == model:
            return index
    raise InvalidRequestError(f"{param} names no model of this list", param=param)


def _lifecycles(asked: dict[str, list[str]]) -> set[str]:
    """The stages asked for, however the client writes a list; those in use where it asks for none."""
    given = [text for name in ("lifecycle", "lifecycle[]") for text in asked.get(name, [])]
    stages = {stage for text in given for stage in text.split(",")}
    if not stages <= _LIFECYCLES:
        raise InvalidRequestError(
            f"lifecycle must be some of {', '.join(sorted(_LIFECYCLES))}", param="lifecycle"
        )
    return stages or {"active", "deprecated"}
