from typing import Any

import pytest

from sluicegate.adapters.providers.scripted.schema import minimal_instance
from sluicegate.kernel.errors import InvalidRequestError


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        ({"type": "boolean"}, False),
        ({"type": ["null", "integer"]}, 0),
        ({"type": "null"}, None),
        ({"enum": ["a", "b"]}, "a"),
        ({"const": 7}, 7),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "integer", "exclusiveMaximum": 0}, -1),
        ({"type": "integer", "minimum": 5, "multipleOf": 4}, 8),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "string", "minLength": 10}, "scripted.."),
        ({"type": "string", "maxLength": 3}, "scr"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "array", "items": {"type": "integer"}}, []),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2, "uniqueItems": True}, [0, 1]),
        ({"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 2}, [1, 2]),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, None),
        ({"allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"type": "object"}]}, {"a": 1}),
    ],
)
def test_the_least_instance(schema: dict[str, Any], instance: Any) -> None:
    assert minimal_instance(schema) == instance


def test_only_what_is_required_is_made_and_references_are_followed() -> None:
    schema = {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/Node"}},
                "required": ["v"],
            }
        },
        "$ref": "#/$defs/Node",
    }
    assert minimal_instance(schema) == {"v": 0}


def test_an_optional_way_out_of_a_recursion_is_taken() -> None:
    schema = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["next"],
    }
    made = minimal_instance(schema)
    for _ in range(40):
        made = made["next"]
        if made is None:
            return
    pytest.fail("no end")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "array", "minItems": 100_000},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/$defs/Missing"},
        {"allOf": [{"$ref": "#"}]},
        {"type": "number", "minimum": 1e300, "multipleOf": 1e-300},
    ],
)
def test_endless_and_foreign_schemas_are_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        minimal_instance(schema)
