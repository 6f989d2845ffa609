"""The scripted upstream over real sockets: the published SDKs, hostile peers, and exact accounts."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from openai import APIStatusError, AsyncOpenAI, AuthenticationError

from sluicegate.adapters.providers.scripted.server import ScriptedServer


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    await server.start()
    yield server
    await server.close()


def port_of(server: ScriptedServer) -> int:
    assert server._server is not None
    return int(server._server.sockets[0].getsockname()[1])


def request(prompt: str, *, close: bool = False, **fields: Any) -> bytes:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": prompt}], **fields}).encode()
    end = b"connection: close\r\n\r\n" if close else b"\r\n"
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n" % len(body)
    ) + end + body  # fmt: skip


async def until(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came true")


async def test_openai_sdk(server: ScriptedServer) -> None:
    async with AsyncOpenAI(
        base_url=f"http://127.0.0.1:{port_of(server)}/v1", api_key="k", max_retries=1
    ) as client:
        messages: Any = [{"role": "user", "content": "[[say hello there]]"}]
        answer = await client.chat.completions.create(model="m", messages=messages)
        assert answer.choices[0].message.content == "hello there"
        stream = await client.chat.completions.create(model="m", messages=messages, stream=True)
        texts = [chunk.choices[0].delta.content async for chunk in stream]
        assert "".join(text or "" for text in texts) == "hello there"
        vector = await client.embeddings.create(model="e", input="a b c", dimensions=16)
        assert len(vector.data[0].embedding) == 16
        assert "scripted-small" in [model.id async for model in client.models.list()]
        with pytest.raises(APIStatusError) as failure:
            await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "[[fail 418]]"}]
            )
        assert failure.value.status_code == 418
        retried: Any = [{"role": "user", "content": "[[fail 500 times 1]] [[say well]]"}]
        assert (await client.chat.completions.create(model="m", messages=retried)).choices[
            0
        ].message.content == "well"


async def test_anthropic_sdk(server: ScriptedServer) -> None:
    async with AsyncAnthropic(base_url=f"http://127.0.0.1:{port_of(server)}", api_key="k") as client:
        messages: Any = [{"role": "user", "content": "[[reasoning 3]] [[say hello there]]"}]
        async with client.messages.stream(model="m", max_tokens=50, messages=messages) as stream:
            final = await stream.get_final_message()
        assert [block.type for block in final.content] == ["thinking", "text"]
        assert final.usage.output_tokens == 5
        tool: Any = [{"role": "user", "content": '[[tool t {"a": [1, 2]}]]'}]
        async with client.messages.stream(model="m", max_tokens=50, messages=tool) as stream:
            final = await stream.get_final_message()
        assert final.content[0].type == "tool_use"
        assert final.content[0].input == {"a": [1, 2]}


async def test_a_key_is_demanded_where_one_is_set() -> None:
    server = ScriptedServer(key="secret")
    url = await server.start()
    messages: Any = [{"role": "user", "content": "[[say in]]"}]
    try:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0) as client:
            with pytest.raises(AuthenticationError):
                await client.chat.completions.create(model="m", messages=messages)
            right = client.with_options(api_key="secret")
            assert (await right.chat.completions.create(model="m", messages=messages)).choices
        async with AsyncAnthropic(base_url=url, api_key="secret") as other:
            assert (await other.messages.create(model="m", max_tokens=5, messages=messages)).content
    finally:
        await server.close()


async def leave_early(port: int, after: int) -> int:
    """Read a stream until more than `after` tokens are there, half-close, and count all that still come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("[[tokens 3000]] [[delay 1ms]]", stream=True))
    seen = b""
    while seen.count(b'"delta":{"content":"') <= after:
        seen += await reader.read(4_096)
    writer.write_eof()
    seen += await reader.read()
    writer.close()
    return seen.count(b'"delta":{"content":"')


async def test_a_half_closed_stream_stops_and_every_counted_token_is_delivered(
    server: ScriptedServer,
) -> None:
    seen = await asyncio.gather(*(leave_early(port_of(server), after) for after in range(20)))
    await until(lambda: server.connections == 0)
    total = server.production.total
    assert total.output_tokens == sum(seen)
    assert (total.requests, total.aborted) == (20, 20)


async def test_a_slow_reader_holds_the_production_back(server: ScriptedServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server), limit=1_024)
    writer.write(request("[[tokens 100000]]", stream=True))
    await until(lambda: server.production.total.output_tokens > 0)
    before = -1
    while before != server.production.total.output_tokens:
        before = server.production.total.output_tokens
        await asyncio.sleep(0.1)
    assert before < 100_000
    seen = await reader.read(100_000_000)
    while chunk := await reader.read(1 << 20):
        seen = seen[-50:] + chunk
        if seen.endswith(b"0\r\n\r\n"):
            break
    writer.close()
    await until(lambda: server.production.total.output_tokens == 100_000)
    assert server.production.total.aborted == 0


async def test_a_cut_breaks_the_connection_in_the_middle(server: ScriptedServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.write(request("[[tokens 9]] [[cut after 4]]", stream=True))
    seen = await reader.read()
    assert seen.count(b'"delta":{"content":"') == 4
    assert not seen.endswith(b"0\r\n\r\n")
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.write(request("[[tokens 9]] [[cut after 4]]"))
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]) > len(body) > 0
    writer.close()
    await until(lambda: server.production.total.aborted == 2)
    assert server.production.total.output_tokens == 4


async def test_a_stall_lasts_until_the_caller_leaves(server: ScriptedServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.write(request("[[tokens 9]] [[stall after 4]]", stream=True))
    seen = b""
    while seen.count(b'"delta":{"content":"') < 4:
        seen += await reader.read(4_096)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.05)
    writer.close()
    await until(lambda: server.production.total.aborted == 1)


async def test_pipelined_requests_are_answered_in_order(server: ScriptedServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    data = request("[[say one]] [[first 20ms]]") + request("[[say two]]", stream=True)
    data += request("[[say three]]", close=True)
    for position in range(0, len(data), 7):
        writer.write(data[position : position + 7])
        await asyncio.sleep(0)
    seen = await reader.read()
    assert seen.index(b'"one"') < seen.index(b'"two"') < seen.index(b'"three"')
    writer.close()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", b"404"),
        (b"GET /v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", b"405"),
        (b"GET /healthz HTTP/1.0\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"b" * 70_000 + b"\r\n\r\n", b"400"),
    ],
)
async def test_other_requests(server: ScriptedServer, data: bytes, status: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.write(data)
    seen = await reader.read()
    assert seen.split(b" ")[1] == status
    writer.close()


async def test_produced_is_told_and_reset(server: ScriptedServer) -> None:
    async def ask(data: bytes) -> Any:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        writer.write(data)
        seen = await reader.read()
        writer.close()
        return json.loads(seen.partition(b"\r\n\r\n")[2])

    await ask(request("a b [[tokens 5]]", close=True))
    told = await ask(b"GET /produced HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert (told["requests"], told["input_tokens"], told["output_tokens"]) == (1, 4, 5)
    assert told["models"]["m"]["output_tokens"] == 5
    told = await ask(b"DELETE /produced HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert (told["requests"], told["models"]) == (0, {})


async def test_the_command_serves_counts_exactly_and_stops_on_sigterm() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sluicegate.adapters.providers.scripted", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    port = int(url.rpartition(":")[2])
    # The command runs on uvloop, whose transports close in their own way.
    seen = await asyncio.gather(*(leave_early(port, after) for after in range(20)))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /produced HTTP/1.0\r\n\r\n")
    told = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])
    writer.close()
    assert (told["output_tokens"], told["aborted"]) == (sum(seen), 20)
    process.terminate()
    assert await process.wait() == 0
