"""From Pulumi's inputs to the body that Google's API is sent: names, nesting, single things and lists."""

from collections.abc import Mapping
from typing import Any

from conformance.discovery import Schema, schema
from conformance.mapping import RENAMES, TYPES, Target


class UnmappedError(Exception):
    """A resource type without an entry in `mapping.TYPES`."""


def target_of(token: str) -> Target:
    """What a Pulumi type token is, at Google.

    Raises:
        UnmappedError: nobody has said so.
    """
    if token not in TYPES:
        raise UnmappedError(f"{token}: no entry in infra/conformance/mapping.py; say which schema it is")
    return TYPES[token]


def body_of(token: str, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], Schema]:
    """The body that `inputs` become, and the schema that it must be of."""
    target = target_of(token)
    made = schema(target.document, target.schema)
    rest = {name: value for name, value in inputs.items() if name not in target.outside}
    return _object(rest, made, {**RENAMES.get(target.schema, {}), **target.renames}), made


def _object(value: Mapping[str, Any], made: Schema, renames: Mapping[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, each in value.items():
        if each is None:
            continue
        place = renames.get(name, name)
        listed = place.endswith("[]")
        steps = place.removesuffix("[]").split(".")
        _put(body, steps, made, [each] if listed else each)
    return body


def _put(body: dict[str, Any], steps: list[str], made: Schema, value: Any) -> None:
    """Convert `value` by the schema at `steps` below `made`, and put it there."""
    at: Schema | None = made
    for step in steps:
        at = None if at is None else at.child(step)
    converted = value if at is None else convert(value, at)
    for step in steps[:-1]:
        body = body.setdefault(step, {})
    last = steps[-1]
    if isinstance(body.get(last), dict) and isinstance(converted, dict):
        body[last] |= converted
    else:
        body[last] = converted


def convert(value: Any, made: Schema) -> Any:
    """`value` as the API has it."""
    if isinstance(value, Mapping) and made.values() is not None:
        inner = made.values()
        return {key: each if inner is None else convert(each, inner) for key, each in value.items()}
    if isinstance(value, Mapping):
        return _object(value, made, RENAMES.get(made.name, {}))
    if isinstance(value, list) and made.node.get("type") == "array":
        return [convert(each, made.items()) for each in value]
    return value
