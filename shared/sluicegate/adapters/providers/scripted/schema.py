"""The least instance that satisfies a JSON Schema, for structured answers and tool arguments.

Covers what structured-output schemas use: type, enum, const, properties, required, items, prefixItems,
local $ref, allOf, anyOf, oneOf, formats, and bounds on numbers, strings and arrays. A `pattern` is not
solved; the string then only has the right length.
"""

import math
from collections.abc import Mapping
from typing import Any

from sluicegate.kernel.errors import InvalidRequestError

MAX_DEPTH = 32
MAX_NODES = 5_000
MAX_TEXT = 4_096

_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "scripted@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def minimal_instance(schema: Any) -> Any:
    """An instance of `schema` with only what is required in it.

    Raises:
        InvalidRequestError: the schema is recursive without end, deeper than 32 levels or larger
            than 5 000 values.
    """
    return _Instance(schema).of(schema, 0)


class _Instance:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = MAX_NODES

    def of(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            raise InvalidRequestError(
                "the schema requires an endless or too large instance; make a recursive part optional"
            )
        if not isinstance(schema, Mapping):
            return "scripted"
        if "$ref" in schema:
            return self.of(self._resolve(str(schema["$ref"])), depth + 1)
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return schema["enum"][0]
        if isinstance(schema.get("allOf"), list) and schema["allOf"]:
            return self.of(self._merged(schema, depth), depth + 1)
        for union in ("anyOf", "oneOf"):
            if isinstance(schema.get(union), list) and schema[union]:
                return self._first_possible(schema[union], depth)
        return self._typed(schema, depth)

    def _resolve(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise InvalidRequestError(f"$ref {reference[:80]!r} is not local to the schema")
        target = self._root
        for step in reference[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or name not in target:
                raise InvalidRequestError(f"$ref {reference[:80]!r} points to nothing in the schema")
            target = target[name]
        return target

    def _merged(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own = {key: value for key, value in schema.items() if key != "allOf"}
        for part in [own, *schema["allOf"]]:
            resolved = part
            hops = 0
            while isinstance(resolved, Mapping) and "$ref" in resolved:
                hops += 1
                if hops + depth > MAX_DEPTH:
                    raise InvalidRequestError("the schema refers to itself without end")
                resolved = self._resolve(str(resolved["$ref"]))
            if not isinstance(resolved, Mapping):
                continue
            for key, value in resolved.items():
                if key == "properties" and isinstance(value, Mapping):
                    merged[key] = {**merged.get(key, {}), **value}
                elif key in {"required", "allOf"} and isinstance(value, list):
                    merged[key] = [*merged.get(key, []), *value]
                else:
                    merged[key] = value
        return merged

    def _first_possible(self, options: list[Any], depth: int) -> Any:
        failure: InvalidRequestError | None = None
        for option in options:
            try:
                return self.of(option, depth + 1)
            except InvalidRequestError as error:
                failure = error
        raise failure or InvalidRequestError("the schema allows nothing")

    def _typed(self, schema: Mapping[str, Any], depth: int) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        if kind is None:
            kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer" | "number":
                try:
                    return _number(schema, whole=kind == "integer")
                except (OverflowError, ValueError):
                    raise InvalidRequestError("the schema's bounds on a number are beyond reach") from None
            case "boolean":
                return False
            case "null":
                return None
            case _:
                return _text(schema)

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        required = schema.get("required")
        known = properties if isinstance(properties, Mapping) else {}
        names = dict.fromkeys(str(name) for name in required) if isinstance(required, list) else {}
        return {name: self.of(known.get(name), depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        least = _whole(schema.get("minItems"), 0)
        if least > MAX_NODES:
            raise InvalidRequestError(f"minItems of {least} is more than {MAX_NODES}")
        ahead = schema.get("prefixItems")
        first = ahead[:least] if isinstance(ahead, list) else []
        items = [self.of(item, depth + 1) for item in first]
        items += [self.of(schema.get("items"), depth + 1) for _ in range(least - len(items))]
        if schema.get("uniqueItems") is True:
            items = [_varied(item, index) for index, item in enumerate(items)]
        return items


def _varied(item: Any, index: int) -> Any:
    if isinstance(item, str) and index:
        return f"{item}{index}"
    if isinstance(item, int) and not isinstance(item, bool):
        return item + index
    return item


def _whole(value: Any, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


def _bound(schema: Mapping[str, Any], name: str) -> float | None:
    value = schema.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number(schema: Mapping[str, Any], *, whole: bool) -> int | float:
    """The number nearest to zero within the bounds."""
    step = abs(_bound(schema, "multipleOf") or 1)
    low, high = _bound(schema, "minimum"), _bound(schema, "maximum")
    above, below = _bound(schema, "exclusiveMinimum"), _bound(schema, "exclusiveMaximum")
    value: int | float = 0
    if low is not None and low > 0:
        value = math.ceil(low / step) * step
    if above is not None and above >= value:
        value = math.floor(above / step) * step + step
    if high is not None and high < value:
        value = math.floor(high / step) * step
    if below is not None and below <= value:
        value = math.ceil(below / step) * step - step
    if not whole and _outside(value, low, high, above, below):
        floor = low if low is not None else above if above is not None else None
        ceiling = high if high is not None else below if below is not None else None
        if floor is not None and ceiling is not None:
            return (floor + ceiling) / 2
    return int(value) if whole else value


def _outside(
    value: float, low: float | None, high: float | None, above: float | None, below: float | None
) -> bool:
    return (
        (low is not None and value < low)
        or (high is not None and value > high)
        or (above is not None and value <= above)
        or (below is not None and value >= below)
    )


def _text(schema: Mapping[str, Any]) -> str:
    text = _FORMATS.get(str(schema.get("format")), "scripted")
    least = min(_whole(schema.get("minLength"), 0), MAX_TEXT)
    most = _whole(schema.get("maxLength"), MAX_TEXT)
    return (text + "." * (least - len(text)))[: max(most, least)]
