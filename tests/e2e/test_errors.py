"""Errors reach the SDKs as the exceptions that their users catch, from every kind of provider."""

import anthropic
import httpx2
import openai
import pytest

UPSTREAM_FAILURES = [
    (400, 400, openai.BadRequestError, anthropic.BadRequestError, "invalid_request"),
    (401, 502, openai.InternalServerError, anthropic.InternalServerError, "upstream_error"),
    (403, 502, openai.InternalServerError, anthropic.InternalServerError, "upstream_error"),
    (413, 413, openai.APIStatusError, anthropic.APIStatusError, "request_too_large"),
    (422, 400, openai.BadRequestError, anthropic.BadRequestError, "invalid_request"),
    (429, 429, openai.RateLimitError, anthropic.RateLimitError, "rate_limit_exceeded"),
    (500, 502, openai.InternalServerError, anthropic.InternalServerError, "upstream_error"),
    (503, 503, openai.InternalServerError, anthropic.InternalServerError, "overloaded"),
    (504, 504, openai.InternalServerError, anthropic.InternalServerError, "upstream_timeout"),
    (529, 503, openai.InternalServerError, anthropic.InternalServerError, "overloaded"),
]


def user(content):
    return [{"role": "user", "content": content}]


def openai_ask(sdk, model="scripted-small", content="hello", **fields):
    return sdk.call("chat.completions.create", model=model, messages=user(content), **fields)


def anthropic_ask(sdk, model="scripted-small", content="hello", **fields):
    fields = {"max_tokens": 100, **fields}
    return sdk.call("messages.create", model=model, messages=user(content), **fields)


def code_of(error: anthropic.APIStatusError) -> str:
    return error.body["error"]["details"]["error_code"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("status", "seen", "expected", "_other", "code"), UPSTREAM_FAILURES)
def test_a_providers_failure_in_openais_sdk(openai_sdk, model, status, seen, expected, _other, code, stream):
    with pytest.raises(expected) as raised:
        openai_ask(openai_sdk, model, f"Hi [[fail {status}]]", stream=stream)
    error = raised.value
    assert (error.status_code, error.code) == (seen, code)
    assert error.request_id == error.response.headers["x-sluicegate-request-id"]
    # What a provider thinks of the gateway's own key is none of the caller's business.
    assert ("was asked for" in error.message) is (status not in {401, 403})


@pytest.mark.parametrize(("status", "seen", "_other", "expected", "code"), UPSTREAM_FAILURES)
def test_a_providers_failure_in_anthropics_sdk(anthropic_sdk, model, status, seen, _other, expected, code):
    with pytest.raises(expected) as raised:
        anthropic_ask(anthropic_sdk, model, f"Hi [[fail {status}]]")
    error = raised.value
    assert (error.status_code, code_of(error)) == (seen, code)
    assert error.body["type"] == "error"
    identifiers = {error.request_id, error.body["request_id"]}
    assert identifiers == {error.response.headers["x-sluicegate-request-id"]}
    if seen == 503:
        assert error.body["error"]["type"] == "overloaded_error"


def test_a_providers_retry_after_reaches_the_caller(openai_sdk, model):
    with pytest.raises(openai.RateLimitError) as raised:
        openai_ask(openai_sdk, model, "Hi [[fail 429 retry-after 30]]")
    assert raised.value.response.headers["retry-after"] == "30"


def test_an_unknown_model(openai_sdk, anthropic_sdk):
    with pytest.raises(openai.NotFoundError) as raised:
        openai_ask(openai_sdk, "gpt-imaginary")
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
    assert "gpt-imaginary" in raised.value.message
    with pytest.raises(anthropic.NotFoundError) as other:
        anthropic_ask(anthropic_sdk, "claude-imaginary")
    assert other.value.body["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": 1_000}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stop": [1]}, "stop.0"),
        ({"stream": "yes"}, "stream"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "stranger", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"response_format": {"type": 7}}, "response_format.type"),
    ],
)
def test_a_bad_field_is_named(openai_sdk, fields, param):
    with pytest.raises(openai.BadRequestError) as raised:
        openai_ask(openai_sdk, extra_body=fields)
    assert raised.value.param == param
    assert raised.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": 5}]}, "messages.0.content"),
        ({"system": 5}, "system"),
        ({"tools": [{"input_schema": {"type": "object"}}]}, "tools.0.name"),
    ],
)
def test_a_bad_field_is_named_to_anthropics_sdk(anthropic_sdk, fields, param):
    with pytest.raises(anthropic.BadRequestError) as raised:
        anthropic_ask(anthropic_sdk, extra_body=fields)
    assert raised.value.body["error"]["type"] == "invalid_request_error"
    assert raised.value.body["error"]["details"]["param"] == param


@pytest.mark.parametrize("key", ["sk-slg-aaaaaaaa-nothing", "sk-other", "a.b.c"])
def test_a_wrong_key(gateway, key):
    with gateway.openai(key) as client, pytest.raises(openai.AuthenticationError) as raised:
        client.chat.completions.create(model="scripted-small", messages=user("x"))
    assert raised.value.code == "invalid_api_key"
    assert key not in raised.value.message
    with gateway.anthropic(key) as other, pytest.raises(anthropic.AuthenticationError) as refused:
        other.messages.create(model="scripted-small", max_tokens=5, messages=user("x"))
    assert refused.value.body["error"]["type"] == "authentication_error"


def test_another_services_key_beside_ours_does_no_harm(gateway):
    ours = {"Authorization": f"Bearer {gateway.key}"}
    with gateway.anthropic("sk-ant-another", default_headers=ours) as client:
        for _ in range(2):
            assert client.messages.create(model="scripted-small", max_tokens=5, messages=user("x"))


def test_an_empty_budget_is_402(gateway):
    key = gateway.make_key(tenant="broke", workspace="poor")["key"]
    gateway.cli("budget", "set", "--tenant", "broke", "workspace/poor", "day", "0")
    with gateway.openai(key) as client, pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(model="scripted-small", messages=user("x"))
    error = raised.value
    assert (error.status_code, error.code, error.type) == (402, "budget_exceeded", "insufficient_quota")
    assert error.body["details"]["scope"] == "workspace"
    with gateway.anthropic(key) as other, pytest.raises(anthropic.APIStatusError) as refused:
        other.messages.create(model="scripted-small", max_tokens=5, messages=user("x"))
    assert refused.value.status_code == 402
    assert refused.value.body["error"]["type"] == "billing_error"
    gateway.cli("budget", "set", "--tenant", "broke", "workspace/poor", "day", "policy")
    assert gateway.chat(key=key).status == 200


@pytest.mark.parametrize("fault", ["cut", "error", "garbage"])
def test_a_stream_that_breaks_ends_in_an_error_openais_sdk_raises(openai_sdk, model, fault):
    with pytest.raises((openai.APIError, httpx2.HTTPError)):
        openai_ask(openai_sdk, model, f"[[tokens 20]] [[{fault} after 5]]", stream=True)


@pytest.mark.parametrize("fault", ["cut", "error", "garbage"])
def test_a_stream_that_breaks_ends_in_an_error_anthropics_sdk_raises(anthropic_sdk, model, fault):
    with pytest.raises(anthropic.APIStatusError):
        anthropic_ask(anthropic_sdk, model, f"[[tokens 20]] [[{fault} after 5]]", stream=True)


@pytest.mark.parametrize("fault", ["cut", "error", "garbage"])
def test_a_whole_answer_that_breaks_is_a_providers_failure(openai_sdk, model, fault):
    with pytest.raises(openai.InternalServerError) as raised:
        openai_ask(openai_sdk, model, f"[[tokens 20]] [[{fault} after 5]]")
    assert raised.value.code == "upstream_error"


def test_the_gateway_retries_before_the_first_byte(openai_sdk, model, request):
    answer = openai_ask(openai_sdk, model, f"{request.node.name} [[fail 503 times 1]]")
    assert answer.choices[0].message.content


@pytest.mark.parametrize("kind", ["openai"], indirect=True)
def test_openais_sdk_retries_what_the_gateway_gave_up(openai_sdk, model, request):
    prompt = user(f"{request.node.name} [[fail 500 times 3]]")
    retrying = openai_sdk.having(max_retries=1)
    assert retrying.call("chat.completions.create", model=model, messages=prompt).choices


@pytest.mark.parametrize("kind", ["openai"], indirect=True)
def test_anthropics_sdk_retries_what_the_gateway_gave_up(anthropic_sdk, model, request):
    retrying = anthropic_sdk.having(max_retries=1)
    assert anthropic_ask(retrying, model, f"{request.node.name} [[fail 500 times 3]]").content


def test_another_model_answers_when_one_fails(gateway):
    reply = gateway.chat("Hi [[fail 503 model scripted-large]]", model="scripted-large")
    assert reply.status == 200
    assert reply.headers["x-sluicegate-model"] == "scripted-small"


def test_a_caller_may_lose_patience(openai_sdk, anthropic_sdk):
    with pytest.raises(openai.APITimeoutError):
        openai_ask(openai_sdk.having(timeout=0.2), content="[[first 2s]]")
    with pytest.raises(anthropic.APITimeoutError):
        anthropic_ask(anthropic_sdk.having(timeout=0.2), content="[[first 2s]]")


@pytest.fixture(scope="module")
def impatient(start_gateway):
    """A gateway that gives providers a quarter of a second, and bodies 64 KiB."""
    deadlines = {"first_byte_s": 0.25, "idle_s": 0.25, "total_s": 290}
    retry = {"attempts_per_model": 1, "max_attempts": 1}
    return start_gateway(
        "impatient", {"routing": {"deadlines": deadlines, "retry": retry}}, MAX_BODY_BYTES="65536"
    )


@pytest.mark.parametrize("kind", ["scripted", "openai", "anthropic"], indirect=True)
def test_a_silent_provider_is_504(impatient, model):
    with impatient.openai() as client, pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model=model, messages=user("[[first 5s]]"))
    assert (raised.value.status_code, raised.value.code) == (504, "upstream_timeout")
    assert raised.value.type == "timeout_error"
    with impatient.anthropic() as other, pytest.raises(anthropic.APIStatusError) as refused:
        other.messages.create(model=model, max_tokens=50, messages=user("[[first 5s]]"))
    assert refused.value.status_code == 504
    assert refused.value.body["error"]["type"] == "timeout_error"


@pytest.mark.parametrize("kind", ["scripted", "openai", "anthropic"], indirect=True)
def test_a_stream_that_falls_silent_ends_in_an_error(impatient, model):
    with impatient.openai() as client, pytest.raises(openai.APIError) as raised:
        list(client.chat.completions.create(model=model, messages=user("[[stall after 3]]"), stream=True))
    assert raised.value.code == "upstream_timeout"


def test_a_large_body_is_413(impatient):
    with impatient.openai() as client, pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(model="scripted-small", messages=user("x" * 70_000))
    assert (raised.value.status_code, raised.value.code) == (413, "request_too_large")
    with impatient.anthropic() as other, pytest.raises(anthropic.APIStatusError) as refused:
        other.messages.create(model="scripted-small", max_tokens=5, messages=user("x" * 70_000))
    assert refused.value.status_code == 413
    assert refused.value.body["error"]["type"] == "request_too_large"
