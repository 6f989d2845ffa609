import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.kernel.event_decoding import decode_event
from sluicegate.kernel.events import USAGE_RECORDED, Event, UnusableEventError
from sluicegate.ledger.decoding import decode_usage
from sluicegate.ledger.usage import UsageRow

ROW = UsageRow(
    request_id="req_1", at=1000.25, tenant="acme", workspace="growth", user="kim", key="key_a", agent="coder",
    mission=None, task="chat", model="small", provider="scripted", requested_model="auto", input_tokens=10,
    cached_input_tokens=3, cache_write_tokens=2, output_tokens=5, reasoning_tokens=4, cost_nano=2**53 + 1,
    held_nano=2**60, estimated=True, latency_ms=12.5, first_byte_ms=3.0, cache="none", outcome="aborted",
    error="client_gone", tools=("llm", "search"), attempts=2, streamed=True,
)  # fmt: skip


def usage(**data) -> Event:
    return Event("e1", "/functions/gateway", USAGE_RECORDED, 1000.0, "acme", "req_1", data)


def test_a_gateways_row_comes_through_to_the_last_nano():
    event = usage(**json.loads(json.dumps(ROW.data())))
    assert decode_usage(decode_event(event.to_json(), "acme")) == ROW


def test_a_reapers_event_has_defaults_for_what_it_cannot_know():
    body = (
        b'{"specversion":"1.0","id":"req_9:estimated","source":"/sluicegate/admission",'
        b'"type":"dev.sluicegate.usage.recorded.v1","time":"2026-01-01T00:00:00.500Z","tenant":"acme",'
        b'"datacontenttype":"application/json","subject":"req_9","data":{"cost_nano":1500,"estimated":true,'
        b'"tools":{},"agent":null}}'
    )
    row = decode_usage(decode_event(body, "acme"))
    assert (row.request_id, row.cost_nano, row.held_nano) == ("req_9", 1500, 1500)
    assert row.at == 1_767_225_600.5
    assert row.estimated
    assert row.reaped
    assert (row.tools, row.agent, row.outcome) == ((), None, "aborted")


@pytest.mark.parametrize(
    ("written", "value"), [("5", 5), ("5.0", 5), ("1e3", 1000), ("9007199254740993", 2**53 + 1)]
)
def test_whole_numbers_are_understood_however_they_are_written(written, value):
    body = usage(cost_nano=0).to_json().replace(b'"cost_nano":0', b'"cost_nano":' + written.encode())
    assert decode_usage(decode_event(body, "acme")).cost_nano == value


@pytest.mark.parametrize(
    "changes",
    [
        {"cost_nano": None}, {"cost_nano": -1}, {"cost_nano": 0.5}, {"cost_nano": "5"}, {"cost_nano": True},
        {"cost_nano": 2**63}, {"cost_nano": 1e400}, {"outcome": "great"}, {"tenant": "other"},
        {"estimated": 1}, {"tools": "llm"}, {"tools": [1]}, {"model": 5}, {"model": "\ud800"},
        {"first_byte_ms": "x"}, {"agent": ["a"]}, {"at": "now"}, {"request_id": 7},
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_is_never_guessed_at(changes):
    with pytest.raises(UnusableEventError):
        decode_usage(usage(**{"cost_nano": 1, **changes}))


def test_a_row_without_any_request_id_is_refused():
    with pytest.raises(UnusableEventError, match="request_id"):
        decode_usage(Event("e", "/s", USAGE_RECORDED, 1.0, "acme", None, {"cost_nano": 1}))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"nonsense", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"id":"1"}',
        usage(cost_nano=1).to_json().replace(b'"acme"', b'"other"'),
        usage(cost_nano=1).to_json().replace(b'"data":{', b'"data":[{').replace(b"}}", b"}]}"),
        usage(cost_nano=1).to_json().replace(b"1970-01-01T00:16:40Z", b"yesterday"),
        usage(note="x" * (1 << 20)).to_json(),
    ],
)  # fmt: skip
def test_bytes_that_are_no_event_of_the_tenant_are_refused_with_a_reason(body):
    with pytest.raises(UnusableEventError, match=r"\w"):
        decode_event(body, "acme")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(ROW.data())), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(list(ROW.data())), JSON), st.binary(max_size=50))
def test_whatever_comes_is_a_storable_row_or_refused(data, noise):
    try:
        row = decode_usage(usage(**data))
    except UnusableEventError:
        pass
    else:
        assert row.tenant == "acme"
        assert 0 <= row.cost_nano < 2**63
        json.dumps(row.data(), ensure_ascii=False).encode()
    with pytest.raises(UnusableEventError):
        decode_event(noise, "acme")
