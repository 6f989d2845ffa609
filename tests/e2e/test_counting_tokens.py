"""Counting tokens without running the prompt, by Anthropic's SDK and by hand."""

import anthropic
import pytest

COUNT = "/v1/messages/count_tokens"
SAID = [{"role": "user", "content": "how many words are these"}]
TOOL = {"name": "look", "description": "Looks around.", "input_schema": {"type": "object"}}


def test_the_sdk_counts_what_a_message_is_charged_for(anthropic_sdk, gateway, upstream):
    for model in ("scripted-small", "claude-sonnet-4-6", "claude-haiku-5-5@vertex"):
        asked = {"model": model, "messages": SAID, "system": "Count.", "tools": [TOOL]}
        before = upstream.produced()
        counted = anthropic_sdk.call("messages.count_tokens", **asked)
        assert upstream.produced() == before, "nothing is run"
        answer = anthropic_sdk.call("messages.create", max_tokens=9, **asked)
        assert counted.input_tokens == answer.usage.input_tokens, model
    assert anthropic_sdk.call("beta.messages.count_tokens", model="claude-sonnet-4-6", messages=SAID)


@pytest.mark.parametrize("model", ["gpt-4.1", "gemini-2.5-flash"])
def test_other_models_are_estimated(anthropic_sdk, model):
    def count(text):
        messages = [{"role": "user", "content": text}]
        return anthropic_sdk.call("messages.count_tokens", model=model, messages=messages).input_tokens

    short, long = count("short"), count("long " * 400)
    assert 1 <= short < 100
    assert abs(long - short - 2_000 // 4) < 10, "a quarter of the bytes"


def test_a_prompt_that_does_not_fit_is_counted_too(anthropic_sdk):
    messages = [{"role": "user", "content": "word " * 250_000}]
    counted = anthropic_sdk.call("messages.count_tokens", model="claude-haiku-4-5", messages=messages)
    assert counted.input_tokens == 250_000


def test_a_count_is_free_and_counts_as_a_request(gateway):
    key = gateway.make_key(tenant="counting")
    body = {"model": "claude-sonnet-4-6", "messages": SAID}
    left = []
    for _ in range(2):
        reply = gateway.request("POST", COUNT, key=key["key"], body=body, x_sluicegate_agent="coder")
        assert (reply.status, reply.json()) == (200, {"input_tokens": 5})
        assert float(reply.headers["x-sluicegate-cost-usd"]) == 0
        assert reply.headers["x-sluicegate-provider"] == "anthropic"
        assert reply.headers["request-id"] == reply.headers["x-sluicegate-request-id"]
        left.append(int(reply.headers["x-ratelimit-remaining-requests"]))
    assert left[1] == left[0] - 1
    gateway.chat(key=key["key"])
    (line,) = gateway.spend_of("counting", 1)["groups"]
    assert line["requests"] == 1, "a count leaves no row"


def test_a_count_needs_no_money(gateway):
    key = gateway.make_key(tenant="penniless", workspace="main")["key"]
    gateway.cli("budget", "set", "--tenant", "penniless", "workspace/main", "day", "0")
    assert gateway.chat(key=key).status == 402
    body = {"model": "scripted-small", "messages": SAID}
    assert gateway.request("POST", COUNT, key=key, body=body).status == 200


def test_rate_limits_hold(gateway):
    key = gateway.make_key(tenant="counting-limits")["key"]
    body = {"model": "scripted-small", "messages": SAID}
    replies = [
        gateway.request("POST", COUNT, key=key, body=body, x_sluicegate_agent="creative") for _ in "abc"
    ]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert replies[2].json()["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize(
    ("changes", "status", "kind"),
    [
        ({"model": "imaginary"}, 404, "not_found_error"),
        ({"messages": []}, 400, "invalid_request_error"),
        ({"messages": None}, 400, "invalid_request_error"),
        ({"tools": 5}, 400, "invalid_request_error"),
        ({"container": "container_1"}, 400, "invalid_request_error"),
    ],
)
def test_what_cannot_be_counted_is_refused_as_a_message_is(gateway, changes, status, kind):
    body = {"model": "claude-sonnet-4-6", "messages": SAID} | changes
    reply = gateway.request("POST", COUNT, body=body)
    assert (reply.status, reply.json()["error"]["type"]) == (status, kind)
    assert reply.json()["type"] == "error"


def test_a_key_counts_only_for_models_it_may_use(gateway):
    key = gateway.make_key(tenant="narrow-counts", model="claude-haiku*")["key"]
    body = {"model": "claude-sonnet-4-6", "messages": SAID}
    reply = gateway.request("POST", COUNT, key=key, body=body)
    assert (reply.status, reply.json()["error"]["type"]) == (403, "permission_error")
    assert gateway.request("POST", COUNT, key="", body=body).status == 401
    assert gateway.request("GET", COUNT).headers["allow"] == "POST"


def test_the_sdk_raises_the_gateways_refusals(anthropic_sdk):
    with pytest.raises(anthropic.NotFoundError):
        anthropic_sdk.call("messages.count_tokens", model="imaginary", messages=SAID)
