"""Every type of event has a schema and a place in the documentation, and what is told fits."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from sluicegate.events.registry import data_schema
from sluicegate.kernel import events as kernel_events
from sluicegate.kernel.event_decoding import decode_event
from sluicegate.kernel.events import EVENT_TYPES, USAGE_RECORDED, Event
from sluicegate.ledger.decoding import decode_usage
from sluicegate.ledger.usage import UsageRow

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = ROOT / "docs" / "events.md"


@pytest.mark.parametrize("kind", sorted(EVENT_TYPES))
def test_a_type_is_named_versioned_described_and_documented(kind):
    assert re.fullmatch(r"dev\.sluicegate(\.[a-z_]+){2}\.v[1-9][0-9]*", kind)
    schema = data_schema(kind)
    Draft202012Validator.check_schema(schema)
    assert schema["title"] == kind
    assert f"### `{kind}`" in DOCUMENT.read_text("utf-8")


def test_no_type_and_no_schema_is_left_over():
    declared = {value for value in vars(kernel_events).values() if str(value).startswith("dev.sluicegate.")}
    assert declared == set(EVENT_TYPES)
    files = {path.stem for path in (ROOT / "shared/sluicegate/events/schemas").glob("*.json")}
    assert files == {kind.removeprefix("dev.sluicegate.") for kind in EVENT_TYPES}
    headings = re.findall(r"^### `(dev\.sluicegate\.\S+)`", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert set(headings) == set(EVENT_TYPES)


@pytest.mark.parametrize("kind", sorted(EVENT_TYPES))
def test_the_documents_example_fits_its_schema(kind):
    section = DOCUMENT.read_text("utf-8").partition(f"### `{kind}`")[2]
    example = json.loads(re.search(r"```json\n(.*?)```", section, re.DOTALL)[1])
    assert example["type"] == kind
    Draft202012Validator(data_schema(kind)).validate(example["data"])
    event = decode_event(json.dumps(example).encode(), example["tenant"])
    assert decode_event(event.to_json(), event.tenant) == event


def test_the_schema_of_usage_has_each_field_of_a_row_and_no_other():
    assert set(data_schema(USAGE_RECORDED)["properties"]) == {field.name for field in fields(UsageRow)}


def test_what_the_schema_of_usage_takes_the_ledger_takes():
    schema = data_schema(USAGE_RECORDED)
    least = {
        name: None for name in schema["properties"] if "null" in schema["properties"][name].get("type", ())
    }
    data = {**least, "request_id": "req_1", "cost_nano": 5, "tools": {}}
    Draft202012Validator(schema).validate(data)
    assert decode_usage(Event("req_1", "/g", USAGE_RECORDED, 5.0, "acme", None, data)).cost_nano == 5


def test_an_unknown_type_has_no_schema():
    with pytest.raises(KeyError):
        data_schema("dev.sluicegate.made.up.v1")
