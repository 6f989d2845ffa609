"""The OpenAPI description of the gateway. Request and answer bodies are the providers' own protocols."""

from typing import Any

_PROTOCOLS: dict[str, tuple[str, str, list[str], dict[str, Any]]] = {
    "/v1/chat/completions": (
        "createChatCompletion",
        "Chat completion, OpenAI's protocol",
        ["model", "messages"],
        {
            "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
            "max_completion_tokens": {"type": ["integer", "null"], "minimum": 0},
            "max_tokens": {"type": ["integer", "null"], "minimum": 0},
            "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 128},
        },
    ),
    "/v1/messages": (
        "createMessage",
        "Message, Anthropic's protocol",
        ["model", "messages", "max_tokens"],
        {
            "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
            "max_tokens": {"type": "integer", "minimum": 0},
            "system": {"type": ["string", "array", "null"]},
        },
    ),
    "/v1/responses": (
        "createResponse",
        "Response, OpenAI's protocol",
        ["model", "input"],
        {
            "input": {"type": ["string", "array"]},
            "max_output_tokens": {"type": ["integer", "null"], "minimum": 1},
        },
    ),
    "/v1/embeddings": (
        "createEmbedding",
        "Embedding, OpenAI's protocol",
        ["model", "input"],
        {"input": {"type": ["string", "array"]}},
    ),
}

_REQUEST_HEADERS = {
    "x-sluicegate-workspace": "the workspace to charge, where the key may charge several",
    "x-sluicegate-mission": "the mission this is for",
    "x-sluicegate-agent": "the agent that asks; agents have limits of their own",
    "x-sluicegate-task": "the task, for quality per task when the model is `auto`",
    "x-sluicegate-quality": "the least quality, 0 to 1, when the model is `auto`",
    "x-sluicegate-max-cost-usd": "the most this request may cost",
    "x-sluicegate-priority": "critical, normal or background",
    "x-sluicegate-cache": "use, bypass or refresh",
    "x-sluicegate-approval": "the id of an approval for exactly this request",
    "x-sluicegate-strategy": "cost, latency, weighted or round_robin",
    "x-sluicegate-debug": "true: say which candidates fell at which test, in a header of the same name",
    "idempotency-key": "a retry with the same key and body gets the first answer again",
}

_ANSWER_HEADERS = {
    "x-sluicegate-request-id": "the id of this request, in every log and ledger",
    "x-sluicegate-model": "the model that answered",
    "x-sluicegate-provider": "the provider that ran it",
    "x-sluicegate-cost-usd": "what it cost (not on streams, whose head goes out first)",
    "x-sluicegate-cache": "none, or the level that had the answer",
    "x-sluicegate-budget-remaining-usd": "what the tightest budget has left",
    "x-ratelimit-limit-requests": "the tightest rate limit",
    "x-ratelimit-remaining-requests": "what is left of it",
    "x-ratelimit-reset-requests": "when it is whole again, as a duration",
}

_REFUSALS = {
    "400": "the request is malformed; `param` names the field",
    "401": "unknown caller",
    "402": "budget_exceeded",
    "403": "permission_denied, guardrail_blocked or approval_required",
    "404": "no such model",
    "408": "the request did not arrive in time",
    "409": "the idempotency key was used with another body, or its first request still runs",
    "413": "the body is larger than the limit",
    "429": "rate_limit_exceeded; `retry-after` says when to come back",
    "502": "the provider failed",
    "503": "overloaded, or a dependency is away; `retry-after` says when to come back",
    "504": "the provider did not answer in time",
}


def document(version: str) -> dict[str, Any]:
    """The description as an OpenAPI 3.1 object."""
    paths: dict[str, Any] = {
        path: {"post": _completion(*described)} for path, described in _PROTOCOLS.items()
    }
    paths["/v1/messages/count_tokens"] = {"post": _counting()}
    paths["/v1/models"] = {"get": _models()}
    paths["/v1/models/{model}"] = {
        "parameters": [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}],
        "get": _read("getModel", "One model by id or alias", "401", "403", "404", "503"),
    }
    for path, (summary, *refusals) in {
        "/healthz": ("Alive",),
        "/readyz": ("Every dependency answers", "503"),
        "/metrics": ("Prometheus metrics", "401", "403"),
        "/openapi.json": ("This description",),
    }.items():
        operation = _read(path.strip("/").replace(".", "_"), summary, *refusals)
        operation["security"] = [{}, {"bearer": []}] if path == "/metrics" else []
        paths[path] = {"get": operation}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluicegate gateway",
            "version": version,
            "summary": "OpenAI's and Anthropic's protocols, governed",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}, {"apiKey": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            }
        },
    }


def _completion(
    operation: str, summary: str, required: list[str], properties: dict[str, Any]
) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": required,
        "properties": {
            "model": {"type": "string", "description": "an id, an alias, or `auto`"},
            "stream": {"type": ["boolean", "null"]},
            **properties,
        },
        "additionalProperties": True,
    }
    answer = {
        "description": "the answer; server-sent events where `stream` is true",
        "headers": {name: _header(text) for name, text in _ANSWER_HEADERS.items()},
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "text/event-stream": {"schema": {"type": "string"}},
        },
    }
    return {
        "operationId": operation,
        "summary": summary,
        "parameters": [
            {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
            for name, text in _REQUEST_HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {"200": answer, **{status: _refusal(text) for status, text in _REFUSALS.items()}},
    }


def _counting() -> dict[str, Any]:
    """Counting is a message that is not run: nothing is streamed, cached or paid."""
    operation = _completion(
        "countMessageTokens", "Tokens of a message's prompt", *_PROTOCOLS["/v1/messages"][2:]
    )
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    schema["required"] = ["model", "messages"]
    del schema["properties"]["stream"], schema["properties"]["max_tokens"]
    count = {
        "type": "object",
        "required": ["input_tokens"],
        "properties": {"input_tokens": {"type": "integer", "minimum": 0}},
    }
    operation["responses"]["200"]["description"] = "how many tokens the prompt has"
    operation["responses"]["200"]["content"] = {"application/json": {"schema": count}}
    return operation


def _models() -> dict[str, Any]:
    operation = _read("listModels", "Models that the caller may use", "400", "401", "403", "503")
    operation["parameters"] = [
        {"name": name, "in": "query", "description": f"{text}; for Anthropic's clients", "schema": schema}
        for name, (text, schema) in {
            "limit": ("the most per page", {"type": "integer", "minimum": 1, "maximum": 1_000}),
            "after_id": ("the page after this model", {"type": "string"}),
            "before_id": ("the page before this model", {"type": "string"}),
        }.items()
    ]
    return operation


def _read(operation: str, summary: str, *refusals: str) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "responses": {
            "200": {"description": summary},
            **{status: _refusal(_REFUSALS[status]) for status in refusals},
        },
    }


def _header(text: str) -> dict[str, Any]:
    return {"description": text, "schema": {"type": "string"}}


def _refusal(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
