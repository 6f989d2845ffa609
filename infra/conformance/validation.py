"""Whether a body is one that a Google API takes: fields, types, enumerations, formats, what is required."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.discovery import Schema
from conformance.rules import ALLOWED, BOUNDS, PATTERNS, Bound

_INT32 = (-(2**31), 2**31 - 1)
_FORMATS = {
    "google-duration": (re.compile(r"-?\d+(\.\d{1,9})?s"), "a duration in seconds such as 300s"),
    "google-datetime": (
        re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
        "a time such as 2027-01-01T00:00:00Z",
    ),
    "int64": (re.compile(r"-?\d{1,19}"), "a whole number"),
    "uint64": (re.compile(r"\d{1,20}"), "a whole number"),
}
_REQUIRED = re.compile(r"\[?Required\]?[.,]")
_OUTPUT = re.compile(r"(\[?Output[ -][Oo]nly\]?)")


def problems(body: Any, schema: Schema, given: frozenset[str] = frozenset()) -> list[str]:
    """All that is wrong with `body`; paths are the API's. `given`: required fields that the URL holds."""
    return list(_check(body, schema, "", given))


def _check(value: Any, schema: Schema, path: str, given: frozenset[str] = frozenset()) -> Iterator[str]:
    kind = schema.node.get("type", "object" if schema.properties else "any")
    yield from _extra(value, schema, path)
    match kind:
        case "object":
            yield from _object(value, schema, path, given)
        case "array":
            if not isinstance(value, list):
                yield f"{path}: must be a list"
                return
            for number, each in enumerate(value):
                yield from _check(each, schema.items(), f"{path}[{number}]")
        case "string":
            yield from _string(value, schema, path)
        case "boolean":
            if not isinstance(value, bool):
                yield f"{path}: must be true or false, not {value!r}"
        case "integer":
            if isinstance(value, bool) or not isinstance(value, int):
                yield f"{path}: must be a whole number, not {value!r}"
            elif not _INT32[0] <= value <= _INT32[1]:
                yield f"{path}: {value} does not fit into 32 bits"
        case "number":
            if isinstance(value, bool) or not isinstance(value, int | float):
                yield f"{path}: must be a number, not {value!r}"
        case _:
            pass


def _object(value: Any, schema: Schema, path: str, given: frozenset[str]) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path}: must be an object ({schema.name}), not {value!r}"
        return
    values = schema.values()
    for name, each in value.items():
        child, where = schema.child(name), f"{path}.{name}".removeprefix(".")
        if child is None and values is None:
            yield f"{where}: {schema.name} has no field {name}"
        elif child is not None and _is_output(child):
            yield f"{where}: is an output of {schema.name} and cannot be set"
        else:
            yield from _check(each, child or values or schema, where)
    for name, node in schema.properties.items():
        if _REQUIRED.match(node.get("description", "")) and name not in value and name not in given:
            yield f"{path}.{name}: is required by {schema.name}".removeprefix(".")


def _string(value: Any, schema: Schema, path: str) -> Iterator[str]:
    layout = schema.node.get("format")
    if layout in {"int64", "uint64"} and isinstance(value, int) and not isinstance(value, bool):
        return  # JSON has them as text; Pulumi as numbers, which it writes as text
    if not isinstance(value, str):
        yield f"{path}: must be text, not {value!r}"
        return
    allowed = schema.node.get("enum")
    if allowed is not None and (value not in allowed or value.endswith("_UNSPECIFIED")):
        yield f"{path}: {value!r} is none of {', '.join(allowed)}"
    if layout in _FORMATS:
        pattern, described = _FORMATS[layout]
        if pattern.fullmatch(value) is None:
            yield f"{path}: {value!r} is not {described}"
    if layout == "byte":
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error:
            yield f"{path}: is not base64"


def _extra(value: Any, schema: Schema, path: str) -> Iterator[str]:
    """What the documents say in prose only; see `rules`."""
    name = schema.name
    if name in ALLOWED and value not in ALLOWED[name]:
        yield f"{path}: {value!r} is none of {', '.join(map(str, ALLOWED[name]))}"
    if name in PATTERNS and (not isinstance(value, str) or PATTERNS[name].fullmatch(value) is None):
        yield f"{path}: {value!r} does not look like {PATTERNS[name].pattern}"
    if name in BOUNDS:
        yield from _bound(value, BOUNDS[name], path)


def _bound(value: Any, bound: Bound, path: str) -> Iterator[str]:
    number = value[:-1] if isinstance(value, str) and value.endswith("s") else value
    try:
        amount = float(number)
    except (TypeError, ValueError):
        return  # its type or format is wrong, which has been said
    if not bound.least <= amount <= bound.most:
        yield f"{path}: {value} is outside {bound.least:g} to {bound.most:g} {bound.unit}"


def _is_output(schema: Schema) -> bool:
    return bool(schema.node.get("readOnly")) or bool(_OUTPUT.match(schema.node.get("description", "")))
