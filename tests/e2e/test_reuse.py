"""Cached answers and idempotency keys: answered again at no cost, whole and as streams."""

import threading

import openai
import pytest

MODELS_BY_PROTOCOL = ["scripted-small", "gpt-4.1", "claude-sonnet-4-6"]


def user(content):
    return [{"role": "user", "content": content}]


def text_of(reply):
    """The text of a chat completion, whole or streamed."""
    if reply.headers["content-type"].startswith("application/json"):
        return reply.json()["choices"][0]["message"]["content"]
    chunks = [event for event in reply.events if event != "[DONE]"]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])


@pytest.mark.parametrize("model", MODELS_BY_PROTOCOL)
@pytest.mark.parametrize("streamed", [(False, False), (False, True), (True, False), (True, True)])
def test_a_cached_answer_costs_nothing_and_keeps_its_form(gateway, request, model, streamed):
    prompt = f"{request.node.name} [[say The very same words.]]"

    def ask(*, stream):
        fields = {"temperature": 0, "stream": stream}
        return gateway.chat(prompt, model=model, fields=fields)

    # Whole or streamed is a matter of transport: both share one stored answer.
    first = ask(stream=streamed[0])
    second = ask(stream=streamed[1])
    assert first.headers["x-sluicegate-cache"] == "none"
    assert second.headers["x-sluicegate-cache"].lower() in {"l1", "l2"}, second.headers
    assert second.headers["x-sluicegate-cost-usd"] == "0"
    assert text_of(first) == text_of(second) == "The very same words."
    kind = "text/event-stream" if streamed[1] else "application/json"
    assert second.headers["content-type"].startswith(kind)
    assert first.headers["x-sluicegate-request-id"] != second.headers["x-sluicegate-request-id"]


def test_sdks_read_a_replayed_stream(openai_sdk, anthropic_sdk, request):
    prompt = user(f"{request.node.name} [[say The very same words.]]")
    for _ in range(2):
        options = {"stream_options": {"include_usage": True}, "temperature": 0}
        chunks = openai_sdk.call(
            "chat.completions.create", model="gpt-4.1", messages=prompt, stream=True, **options
        )
        assert (
            "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "The very same words."
        )
        assert chunks[-1].usage.completion_tokens > 1
    for _ in range(2):
        _, final = anthropic_sdk.watch(
            "messages.stream", "get_final_message", model="claude-sonnet-4-6", max_tokens=90,
            messages=prompt, extra_body={"temperature": 0},
        )  # fmt: skip
        assert final.content[0].text == "The very same words."
        assert final.usage.output_tokens > 1


def test_tool_calls_survive_the_cache(openai_sdk, request):
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    prompt = user(f'{request.node.name} [[tool look {{"at": "the sea"}}]]')
    seen = set()
    for stream in (False, True):
        _, final = (
            openai_sdk.watch(
                "chat.completions.stream", "get_final_completion", model="gpt-4.1", messages=prompt,
                tools=[tool], temperature=0,
            )
            if stream
            else (None, openai_sdk.call("chat.completions.create", model="gpt-4.1", messages=prompt,
                                        tools=[tool], temperature=0))
        )  # fmt: skip
        call = final.choices[0].message.tool_calls[0]
        seen.add((call.id, call.function.name, call.function.arguments))
    assert len(seen) == 1


def test_the_cache_header_decides(gateway):
    prompt = "the cache header decides [[tokens 4]]"
    levels = [
        gateway.chat(prompt, x_sluicegate_cache=mode).headers["x-sluicegate-cache"].lower()
        for mode in ("bypass", "use", "use", "bypass", "refresh", "use")
    ]
    assert levels == ["none", "none", "l1", "none", "none", "l1"]
    assert gateway.chat(prompt).headers["x-sluicegate-cache"] == "none", (
        "a warm request is not cached unasked"
    )


def test_errors_are_not_cached(gateway, request):
    prompt = f"{request.node.name} [[fail 500 times 2]]"
    replies = [gateway.chat(prompt, fields={"temperature": 0}) for _ in range(2)]
    assert [reply.status for reply in replies] == [502, 200]


def test_identical_requests_under_way_share_one_call(gateway, upstream, request):
    model = "gpt-4.1-nano"
    before = upstream.produced().get(model, {"requests": 0})["requests"]
    replies = []

    def ask():
        prompt = f"{request.node.name} [[first 500ms]]"
        replies.append(gateway.chat(prompt, model=model, fields={"seed": 1}))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reply.status for reply in replies] == [200] * 4
    assert len({reply.body for reply in replies}) == 1
    assert upstream.produced()[model]["requests"] == before + 1
    costs = sorted(float(reply.headers["x-sluicegate-cost-usd"]) for reply in replies)
    assert costs[:3] == [0, 0, 0]
    assert costs[3] > 0


@pytest.mark.parametrize("model", MODELS_BY_PROTOCOL)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_retry_with_the_same_idempotency_key_gets_the_first_answer(gateway, request, model, stream):
    def ask():
        return gateway.chat(
            "[[say Once only.]]",
            model=model,
            fields={"stream": stream},
            idempotency_key=request.node.name,
        )

    first, second = ask(), ask()
    assert text_of(first) == text_of(second) == "Once only."
    assert second.headers["x-sluicegate-cache"] == "idempotent"
    assert second.headers["x-sluicegate-cost-usd"] == "0"
    identifiers = [reply.events[0]["id"] if stream else reply.json()["id"] for reply in (first, second)]
    assert identifiers[0] == identifiers[1]


def test_an_idempotency_key_with_another_body_is_a_conflict(gateway):
    key = {"idempotency_key": "another-body"}
    assert gateway.chat("first", **key).status == 200
    refused = gateway.chat("second", **key)
    assert (refused.status, refused.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert refused.headers["x-should-retry"] == "false", "the SDKs would try again in vain"
    reusing = gateway.openai(default_headers={"idempotency-key": "another-body"})
    with reusing as client, pytest.raises(openai.ConflictError) as raised:
        client.chat.completions.create(model="scripted-small", messages=user("third"))
    assert raised.value.param == "idempotency-key"
    other = gateway.request(
        "POST",
        "/v1/messages",
        body={"model": "scripted-small", "max_tokens": 5, "messages": user("first")},
        **key,
    )
    assert other.status == 409
    assert other.json()["error"]["type"] == "conflict_error"


def test_a_second_request_while_the_first_runs_is_told_to_wait(gateway):
    replies = []
    first = threading.Thread(
        target=lambda: replies.append(gateway.chat("[[first 700ms]]", idempotency_key="in-progress"))
    )
    first.start()
    gateway.wait_for_requests(1)
    second = gateway.chat("[[first 700ms]]", idempotency_key="in-progress")
    first.join()
    assert replies[0].status == 200
    assert (second.status, second.json()["error"]["code"]) == (409, "idempotency_in_progress")
    assert second.headers["retry-after"] == "1"


def test_a_failed_request_frees_its_idempotency_key(gateway, request):
    prompt = f"{request.node.name} [[fail 500 times 2]]"
    first = gateway.chat(prompt, idempotency_key=request.node.name)
    second = gateway.chat(prompt, idempotency_key=request.node.name)
    assert (first.status, second.status) == (502, 200)
    assert second.headers["x-sluicegate-cache"] == "none"


def test_sdk_retries_carry_one_idempotency_key(gateway, request):
    """The SDK's own retry of a request that the client gave up on does not run it twice."""
    with gateway.openai(timeout=0.5, max_retries=3) as client:
        headers = {"idempotency-key": request.node.name}
        answer = client.chat.completions.create(
            model="gpt-4.1-nano", messages=user("[[first 800ms]] [[tokens 3]]"), extra_headers=headers
        )
    assert answer.usage.completion_tokens == 3
