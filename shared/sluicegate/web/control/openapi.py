"""The OpenAPI description of the API."""

from collections.abc import Mapping, Sequence
from typing import Any

from sluicegate.audit.actions import Result
from sluicegate.audit.export.formats import NAMES as FORMATS
from sluicegate.audit.export.row import FIELDS
from sluicegate.audit.queries import MAX_PAGE, Privacy
from sluicegate.ledger.spending import MOST_LINES, PERIODS, GroupBy

_WHEN = "a date or a time, RFC 3339; UTC where it does not say"
_STRING: dict[str, Any] = {"type": "string"}
_NUMBER: dict[str, Any] = {"type": "integer", "minimum": 0}
_RESULT: dict[str, Any] = {"type": "string", "enum": [each.value for each in Result]}
_DIMENSIONS = [each.value for each in GroupBy]

_FILTER: Mapping[str, tuple[dict[str, Any], str]] = {
    "from": (_STRING, f"{_WHEN}; included"),
    "to": (_STRING, f"{_WHEN}; not included"),
    "user": (_STRING, "who did it: a name, or a pseudonym as leaves show it"),
    "workspace": (_STRING, "where it was done"),
    "action": (_STRING, "a name such as key.created, or key.* for all of its kind"),
    "domain": (_STRING, "the area of work"),
    "result": (_RESULT, "how it ended"),
}
_PERIOD = {name: _FILTER[name] for name in ("from", "to")}

_PROOF: dict[str, Any] = {"type": "array", "items": {"type": "string", "format": "byte"}}


def document(version: str) -> dict[str, Any]:
    """The description as an OpenAPI 3.1 object."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluicegate control plane",
            "version": version,
            "summary": "The transparency log, its exports and proofs, and what was spent",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"bearer": []}, {"apiKey": []}],
        "paths": {**_log_paths(), **_entry_paths(), **_spend_paths(), **_own_paths()},
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
            "schemas": {"Entry": _entry(), "Problem": _problem(), "Sums": _sums()},
        },
    }


def _log_paths() -> dict[str, Any]:
    note = {"text/plain": {"schema": _STRING}}
    binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    tile = _operation("getTile", "A tile of hashes (C2SP tlog-tiles), or a bundle of entries", binary)
    tile["description"] = (
        "Hashes are public. Bundles, `entries/…`, have all tenants' entries: they are there for callers of "
        "the platform's tenant with the permission view_all_logs, and 404 for everybody else."
    )
    tile["security"] = [{}, {"bearer": []}, {"apiKey": []}]
    cosign = _public("addCosignatures", "Keep cosignatures of known witnesses", _json({"added": _NUMBER}))
    cosign["requestBody"] = {"required": True, "content": note}
    consistency = _public(
        "proveConsistency",
        "That one published log is the start of another (RFC 6962, section 2.1.2)",
        _json({"from": _NUMBER, "to": _NUMBER, "proof": _PROOF}),
    )
    consistency["parameters"] = [
        _query("from", _NUMBER, "a size; 0"),
        _query("to", _NUMBER, "a size; the newest"),
    ]
    return {
        "/audit/checkpoint": {
            "get": _public("getCheckpoint", "The newest checkpoint (C2SP tlog-checkpoint)", note),
            "post": cosign,
        },
        "/audit/checkpoints/{size}": {
            "parameters": [_path("size", _NUMBER)],
            "get": _public("getCheckpointOfSize", "The checkpoint that was published for a size", note),
        },
        "/audit/key": {"get": _public("getLogKey", "The log's verifier key (C2SP signed-note)", note)},
        "/audit/keys": {"get": _public("getKeys", "The keys that the log's key vouches for, signed", note)},
        "/audit/tile/{path}": {"parameters": [_path("path", _STRING)], "get": tile},
        "/audit/proofs/consistency": {"get": consistency},
    }


def _entry_paths() -> dict[str, Any]:
    entry = {"$ref": "#/components/schemas/Entry"}
    page = _operation(
        "listEntries",
        "Entries of the caller's tenant",
        _json({"entries": {"type": "array", "items": entry}, "next": {"type": ["string", "null"]}}),
    )
    page["parameters"] = [
        *_queries(_FILTER),
        _query("cursor", _STRING, "`next` of the page before"),
        _query("limit", {**_NUMBER, "minimum": 1, "maximum": MAX_PAGE}, "entries of a page; 100"),
        _query("order", {"type": "string", "enum": ["newest", "oldest"]}, "newest first, or oldest"),
    ]
    inclusion = _operation(
        "proveInclusion",
        "That an entry is in the log (RFC 6962, section 2.1.1)",
        _json({
            "index": _NUMBER, "size": _NUMBER, "leaf": _STRING, "leafHash": _PROOF["items"], "proof": _PROOF,
            "checkpoint": {"type": ["string", "null"]},
        }),
    )  # fmt: skip
    inclusion["parameters"] = [
        _query("entry", _STRING, "the entry's id; or"),
        _query("index", _NUMBER, "its index"),
        _query("size", _NUMBER, "of the tree that the proof is for; the newest checkpoint's"),
    ]
    binary = {"schema": {"type": "string", "format": "binary"}}
    export = _operation(
        "exportEntries",
        "Entries as a file: an archive that proves itself, or the rows alone",
        {
            "application/zip": binary, "application/x-ndjson": binary, "text/csv": binary,
            "application/vnd.apache.parquet": binary,
        },
    )  # fmt: skip
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "format": {"type": "string", "enum": list(FORMATS), "default": "jsonl"},
            "contents": {"type": "string", "enum": ["archive", "rows"], "default": "archive"},
            **{name: {**kind, "description": text} for name, (kind, text) in _FILTER.items()},
        },
    }
    export["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return {
        "/audit/entries": {"get": page},
        "/audit/entries/{id}": {
            "parameters": [_path("id", _STRING)],
            "get": _operation("getEntry", "One entry", {"application/json": {"schema": entry}}),
        },
        "/audit/proofs/inclusion": {"get": inclusion},
        "/audit/exports": {"post": export},
    }


def _spend_paths() -> dict[str, Any]:
    head = {"tenant": _STRING, "from": _STRING, "to": _STRING}
    sums = {"$ref": "#/components/schemas/Sums"}
    lines = {"type": "array", "items": sums}
    report = _operation(
        "getSpend",
        "Sums by up to four dimensions",
        _json({
            **head, "by": {"type": "array", "items": _STRING}, "total": sums, "lines": lines,
            "truncated": {"type": "boolean"}, "overlaps": {"type": "boolean"},
        }),
    )  # fmt: skip
    report["parameters"] = [
        *_queries(_PERIOD),
        _query("by", _STRING, f"some of {', '.join(_DIMENSIONS)}, with commas; model"),
        _query("limit", {**_NUMBER, "minimum": 1, "maximum": MOST_LINES}, "sums at most; 1000"),
        *(_query(each.value, _STRING, "only this") for each in GroupBy if each not in PERIODS),
    ]
    tasks = _operation("getCostPerTask", "What each task cost", _json({**head, "tasks": lines}))
    tasks["parameters"] = _queries(_PERIOD)
    models = _operation(
        "getModelDistribution", "Which models answered", _json({**head, "per": _STRING, "models": lines})
    )
    per = {"type": "string", "enum": [each.value for each in PERIODS]}
    models["parameters"] = [*_queries(_PERIOD), _query("per", per, "hour")]
    return {"/spend": {"get": report}, "/spend/tasks": {"get": tasks}, "/spend/models": {"get": models}}


def _own_paths() -> dict[str, Any]:
    return {"/openapi.json": {"get": _public("getDescription", "This description", _json({}))}}


def _operation(name: str, summary: str, content: Mapping[str, Any]) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": dict(content)},
            "default": {"description": "why not", "content": problem},
        },
    }


def _public(name: str, summary: str, content: Mapping[str, Any]) -> dict[str, Any]:
    return {**_operation(name, summary, content), "security": []}


def _json(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": {"type": "object", "properties": dict(properties)}}}


def _query(name: str, schema: Mapping[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "schema": dict(schema)}


def _queries(known: Mapping[str, tuple[dict[str, Any], str]]) -> list[dict[str, Any]]:
    return [_query(name, schema, text) for name, (schema, text) in known.items()]


def _path(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": dict(schema)}


def _object(properties: Mapping[str, Any], required: Sequence[str]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(required)}


def _entry() -> dict[str, Any]:
    text: dict[str, Any] = {"type": ["string", "null"]}
    properties: dict[str, Any] = {"index": _NUMBER, **dict.fromkeys(FIELDS, text)}
    properties["payload"] = {"type": ["object", "null"]}
    properties["result"] = _RESULT
    properties["privacy"] = {"type": "string", "enum": [each.value for each in Privacy]}
    return _object(properties, list(properties))


def _problem() -> dict[str, Any]:
    properties: dict[str, Any] = dict.fromkeys(("type", "title", "code", "detail", "request_id"), _STRING)
    properties["status"] = _NUMBER
    return _object(properties, list(properties))


def _sums() -> dict[str, Any]:
    names = ("requests", "failures", "tokens", "cost_nano", "estimated_nano", "held_nano", "mean_cost_nano")
    return _object({**dict.fromkeys(names, _NUMBER), "cost_usd": _STRING}, [*names, "cost_usd"])
