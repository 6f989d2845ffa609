"""Clients that leave, providers that break: what is settled is what was really produced."""

import pytest

from sluicegate.kernel.models import Usage
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.routing.catalogue import load_catalogue

MODELS = ("gpt-4.1-mini", "claude-opus-4-5")


def user(content):
    return [{"role": "user", "content": content}]


@pytest.fixture(scope="module")
def patient(start_gateway):
    """A gateway that reads on for a second and a half when a client leaves."""
    changes = {
        "completions": {"abandoned_seconds": 1.5, "stream_slice_tokens": 64},
        "routing": {"deadlines": {"first_byte_s": 30, "idle_s": 1.5, "total_s": 290}},
    }
    return start_gateway("patient", changes)


def cost_of(model: str, produced: dict) -> int:
    usage = Usage(
        input_tokens=produced["input_tokens"],
        cached_input_tokens=produced["cached_input_tokens"],
        cache_write_tokens=produced["cache_write_tokens"],
        output_tokens=produced["output_tokens"],
    )
    return load_catalogue(PolicySet()).known(model).prices.cost(usage)


def leave(client, model, text, after, **fields):
    """Read `after` chunks of a stream, then hang up."""
    if hasattr(client, "chat"):
        stream = client.chat.completions.create(model=model, messages=user(text), stream=True, **fields)
    else:
        stream = client.messages.create(
            model=model, max_tokens=2_000, messages=user(text), stream=True, **fields
        )
    for _, _ in zip(range(after), stream, strict=False):
        pass
    stream.close()


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
@pytest.mark.parametrize("model", MODELS)
def test_aborted_streams_are_settled_to_the_nano_dollar(patient, upstream, protocol, model):
    tenant = f"leaver-{protocol}-{model}".replace(".", "-")
    key = patient.make_key(tenant=tenant)["key"]
    before = upstream.produced().get(model)
    client = patient.openai(key) if protocol == "openai" else patient.anthropic(key)
    requests = 0
    with client:
        for text, after in [
            ("one [[tokens 30]] [[delay 5ms]]", 1),
            ("two words [[tokens 40]] [[delay 2ms]]", 7),
            ("three [[tokens 200]]", 3),
            ("a sliced one [[tokens 300]]", 100),
            ("four [[cached 2]] [[tokens 12]] [[delay 10ms]]", 2),
            ("to its end [[tokens 9]]", 1_000),
        ]:
            leave(client, model, text, after)
            requests += 1
    report = patient.spend_of(tenant, requests)
    produced = upstream.produced()[model]
    if before is not None:
        produced = {name: produced[name] - before[name] for name in produced}
    assert produced["requests"] == requests
    assert report["cost_nano"] == cost_of(model, produced)
    line = report["groups"][0]
    assert (line["output_tokens"], line["cached_input_tokens"]) == (produced["output_tokens"], 2)
    assert line["estimated_nano"] == 0


def test_a_long_stream_is_cut_and_charged_for_what_was_produced(patient, upstream):
    """The figures of Anthropic's first event make even a cut stream exact."""
    model = "claude-opus-4-6"
    key = patient.make_key(tenant="cut")["key"]
    with patient.anthropic(key) as client:
        leave(client, model, "one two [[tokens 2000]] [[delay 20ms]]", 4)
    report = patient.spend_of("cut", 1)
    produced = upstream.produced()[model]
    assert produced["aborted"] == 1
    assert 4 <= produced["output_tokens"] < 2_000
    assert report["cost_nano"] == cost_of(model, produced)
    # Counted here, not said by the provider at its end.
    assert report["groups"][0]["estimated_nano"] == report["cost_nano"]


def test_a_long_openai_stream_is_charged_for_its_tokens(patient, upstream):
    """OpenAI says its figures at the end only: the prompt of a cut stream is estimated, and marked so."""
    model = "gpt-5-nano"
    key = patient.make_key(tenant="cut-openai")["key"]
    with patient.openai(key) as client:
        leave(client, model, "one two [[tokens 2000]] [[delay 20ms]]", 4)
    line = patient.spend_of("cut-openai", 1)["groups"][0]
    assert 4 <= line["output_tokens"] == upstream.produced()[model]["output_tokens"] < 2_000
    assert line["estimated_nano"] == line["cost_nano"] > 0


def test_a_stream_that_stalls_is_charged_for_what_was_produced(patient, upstream):
    model = "claude-opus-4-8"
    key = patient.make_key(tenant="stalled")["key"]
    with patient.anthropic(key) as client:
        leave(client, model, "one two [[tokens 50]] [[stall after 8]]", 4)
    report = patient.spend_of("stalled", 1)
    produced = upstream.produced()[model]
    assert produced["output_tokens"] == 8
    assert report["cost_nano"] == cost_of(model, produced)


@pytest.mark.parametrize("fault", ["cut", "error", "garbage"])
def test_a_stream_that_breaks_is_charged_for_what_was_produced(patient, upstream, fault):
    model = "claude-opus-4-7"
    before = upstream.produced().get(model, {"input_tokens": 0, "output_tokens": 0})
    tenant = f"broken-{fault}"
    key = patient.make_key(tenant=tenant)["key"]
    body = {
        "model": model,
        "max_tokens": 100,
        "stream": True,
        "messages": user(f"one [[tokens 50]] [[{fault} after 8]]"),
    }
    reply = patient.request("POST", "/v1/messages", key=key, body=body)
    assert b"event: error" in reply.body
    line = patient.spend_of(tenant, 1)["groups"][0]
    after = upstream.produced()[model]
    assert after["output_tokens"] - before["output_tokens"] == line["output_tokens"] == 8
    assert after["input_tokens"] - before["input_tokens"] == line["input_tokens"]


def test_a_client_that_gave_up_on_a_whole_answer_still_pays_for_it(patient, upstream):
    model = "gpt-5-mini"
    key = patient.make_key(tenant="hasty")["key"]
    with patient.openai(key, timeout=0.2) as client, pytest.raises(Exception, match="timed out"):
        client.chat.completions.create(model=model, messages=user("one [[first 600ms]] [[tokens 6]]"))
    report = patient.spend_of("hasty", 1)
    assert report["cost_nano"] == cost_of(model, upstream.produced()[model])


@pytest.fixture(scope="module")
def quick(start_gateway):
    """A gateway that would wait for a silent provider far longer than the tests do, but for nobody."""
    changes = {
        "completions": {"abandoned_seconds": 0.3, "linger_seconds": 0.1},
        "routing": {"deadlines": {"first_byte_s": 200, "idle_s": 200, "total_s": 290}},
    }
    return start_gateway("quick", changes)


def test_a_client_that_leaves_a_silent_stream_is_noticed_at_once(quick, upstream):
    model = "claude-opus-4-5"
    before = upstream.produced().get(model, {"output_tokens": 0})["output_tokens"]
    key = quick.make_key(tenant="silent")["key"]
    with quick.anthropic(key) as client:
        leave(client, model, "one two [[tokens 50]] [[stall after 8]]", 4)
    line = quick.spend_of("silent", 1)["groups"][0]
    assert line["output_tokens"] == 8 == upstream.produced()[model]["output_tokens"] - before
    assert quick.metric("sluicegate_requests_in_flight") == 0


def test_a_client_that_leaves_before_a_stream_begins_pays_for_the_prompt(quick):
    key = quick.make_key(tenant="early")["key"]
    with quick.openai(key, timeout=0.3) as client, pytest.raises(Exception, match="timed out"):
        client.chat.completions.create(
            model="gpt-5-mini", messages=user("one two [[first 100s]] [[tokens 6]]"), stream=True
        )
    line = quick.spend_of("early", 1)["groups"][0]
    assert line["output_tokens"] == 0 < line["input_tokens"]
    assert line["estimated_nano"] == line["cost_nano"] > 0
    assert quick.metric("sluicegate_requests_in_flight") == 0


def test_nothing_is_held_when_all_is_done(patient):
    key = patient.make_key(tenant="holds")["key"]
    assert patient.chat("[[fail 500]]", key=key).status == 502
    assert patient.chat("[[tokens 3]]", key=key).status == 200
    patient.spend_of("holds", 2)
    for tenant in ("holds", "stalled", "cut"):
        lines = patient.cli("budget", "show", "--tenant", tenant)
        assert lines
        assert {line["held_usd"] for line in lines} == {"0"}, tenant
        spent = patient.spend(tenant)["cost_usd"]
        assert {line["settled_usd"] for line in lines} == {spent}
