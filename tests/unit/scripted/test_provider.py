from typing import Any

import orjson
import pytest

from sluicegate.adapters.providers.scripted.provider import ScriptedProvider
from sluicegate.completions.types import UpstreamCall, UpstreamFailure
from sluicegate.kernel.models import Dialect


def call(prompt: str, *, stream: bool = False, **deadlines: float) -> UpstreamCall:
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}], "stream": stream}
    limits: dict[str, Any] = {"first_byte_s": 5.0, "idle_s": 5.0, "total_s": 10.0, **deadlines}
    return UpstreamCall("req_1", Dialect.OPENAI_CHAT, "m", orjson.dumps(body), stream, **limits)


async def test_a_whole_answer_is_read_and_counted() -> None:
    provider = ScriptedProvider()
    reply = await provider.send(call("[[tokens 7]]"))
    answer = orjson.loads(await reply.read())
    reply.close()
    assert (reply.status, reply.headers[b"content-type"]) == (200, b"application/json")
    assert answer["usage"]["completion_tokens"] == provider.production.total.output_tokens == 7
    assert provider.production.total.input_tokens == answer["usage"]["prompt_tokens"]
    assert provider.production.total.aborted == 0


async def test_a_stream_left_early_counts_what_was_handed_over() -> None:
    provider = ScriptedProvider()
    reply = await provider.send(call("[[tokens 50]] [[delay 1ms]]", stream=True))
    seen = b""
    async for chunk in reply.chunks():
        seen += chunk
        if seen.count(b'"delta":{"content":"') > 5:
            break
    assert await reply.cancel(1.0) == b""
    assert seen.count(b'"delta":{"content":"') == provider.production.total.output_tokens
    assert provider.production.total.aborted == 1
    assert provider.production.models["m"].output_tokens == provider.production.total.output_tokens


async def test_error_statuses_are_answers() -> None:
    provider = ScriptedProvider()
    reply = await provider.send(call("[[fail 503 retry-after 3]]"))
    assert (reply.status, reply.headers[b"retry-after"]) == (503, b"3")
    assert orjson.loads(await reply.read())["error"]["type"] == "overloaded_error"
    assert (provider.production.total.requests, provider.production.total.failures) == (0, 1)


async def test_a_late_head_is_a_timeout_and_costs_nothing() -> None:
    provider = ScriptedProvider()
    for prompt in ("[[first 10s]]", "[[stall after 0]]", "[[tokens 100]] [[delay 1s]]"):
        with pytest.raises(UpstreamFailure) as failure:
            await provider.send(call(prompt, first_byte_s=0.01))
        assert (failure.value.phase, failure.value.timeout, failure.value.sent) == ("head", True, True)
    assert provider.production.total.requests == 0


@pytest.mark.parametrize(("fault", "late"), [("stall", True), ("cut", False)])
async def test_streams_break_in_the_body(fault: str, *, late: bool) -> None:
    provider = ScriptedProvider()
    reply = await provider.send(call(f"[[tokens 9]] [[{fault} after 4]]", stream=True, idle_s=0.01))
    chunks = reply.chunks()
    seen = await anext(chunks)
    with pytest.raises(UpstreamFailure) as failure:
        await anext(chunks)
    assert (failure.value.phase, failure.value.timeout) == ("body", late)
    assert seen.count(b'"delta":{"content":"') == provider.production.total.output_tokens == 4
    assert provider.production.total.aborted == 1


async def test_it_is_ready_and_healthy() -> None:
    provider = ScriptedProvider("rehearsal")
    await provider.check()
    await provider.close()
    assert (provider.ready(), provider.name, provider.kind) == (None, "rehearsal", "scripted")
