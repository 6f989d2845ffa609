"""The providers against a server that notes what they send."""

import asyncio
import datetime as dt
import json

import pytest
from pydantic import SecretStr

from sluicegate.adapters.providers.anthropic import AnthropicProvider
from sluicegate.adapters.providers.google_tokens import GoogleTokens
from sluicegate.adapters.providers.openai import OpenAIProvider
from sluicegate.adapters.providers.vertex import VertexProvider
from sluicegate.completions.types import UpstreamCall, UpstreamFailure
from sluicegate.kernel.models import Dialect

SECRET = "sk-hunter2"


def a_call(dialect=Dialect.OPENAI_CHAT, body=b'{"model":"m"}', *, model="m", stream=False, headers=()):
    return UpstreamCall("req_1", dialect, model, body, stream, 20.0, 20.0, 20.0, list(headers))


def parsed(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode().strip().split("\r\n")
    pairs = [tuple(line.split(": ", 1)) for line in lines]
    assert len(dict(pairs)) == len(pairs), "a header was sent twice"
    return first, dict(pairs)


@pytest.fixture
async def echo(wire):
    async def handler(peer, request):
        await peer.answer(b'{"ok":true}')

    return await wire(handler)


class Account:
    """Stands for google-auth's credentials."""

    def __init__(self):
        self.number = 0
        self.token = None
        self.expiry = None

    def refresh(self, request):
        self.number += 1
        self.token = f"ya29.{self.number}"
        self.expiry = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        (Dialect.OPENAI_CHAT, "/v1/chat/completions"),
        (Dialect.OPENAI_RESPONSES, "/v1/responses"),
        (Dialect.OPENAI_EMBEDDINGS, "/v1/embeddings"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_openai(echo, client, dialect, path, stream):
    provider = OpenAIProvider(
        "openai",
        f"{echo.url}/v1/",
        SecretStr(f"{SECRET}\n"),
        client,
        "org-1",
        {"X-Extra": "e", "User-Agent": "ours"},
        responses=True,
    )
    reply = await provider.send(a_call(dialect, b'{"model":"m"}', stream=stream))
    assert (reply.status, await reply.read()) == (200, b'{"ok":true}')
    (head, body) = echo.requests[0]
    assert body == b'{"model":"m"}'
    first, headers = parsed(head)
    assert first == f"POST {path} HTTP/1.1"
    assert headers == {
        "host": f"127.0.0.1:{echo.port}",
        "accept": "text/event-stream" if stream else "application/json",
        "accept-encoding": "identity",
        "user-agent": "ours",
        "content-type": "application/json",
        "authorization": f"Bearer {SECRET}",
        "openai-organization": "org-1",
        "x-extra": "e",
        "x-request-id": "req_1",
        "content-length": "13",
    }


async def test_openai_compatible_without_a_key(echo, client):
    provider = OpenAIProvider("ollama", f"{echo.url}/v1", None, client)
    assert provider.ready() is None
    assert provider.dialects == (Dialect.OPENAI_CHAT, Dialect.OPENAI_EMBEDDINGS)
    await (await provider.send(a_call())).read()
    headers = parsed(echo.requests[0][0])[1]
    assert "authorization" not in headers
    assert headers["user-agent"].startswith("sluicegate/")
    with pytest.raises(UpstreamFailure, match="does not speak") as caught:
        await provider.send(a_call(Dialect.OPENAI_RESPONSES))
    assert not caught.value.sent


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_anthropic(echo, client, suffix):
    provider = AnthropicProvider("anthropic", echo.url + suffix, SecretStr(SECRET), client)
    passed_on = [(b"anthropic-beta", b"output-128k-2025-02-19")]
    await (await provider.send(a_call(Dialect.ANTHROPIC_MESSAGES, headers=passed_on))).read()
    first, headers = parsed(echo.requests[0][0])
    assert first == "POST /v1/messages HTTP/1.1"
    assert headers["x-api-key"] == SECRET
    assert headers["anthropic-version"] == "2023-06-01"
    assert headers["anthropic-beta"] == "output-128k-2025-02-19"
    assert "authorization" not in headers
    with pytest.raises(UpstreamFailure, match="does not speak"):
        await provider.send(a_call(Dialect.OPENAI_CHAT))


@pytest.mark.parametrize(
    "name",
    [b"Authorization", b"x-api-key", b"Host", b"content-length", b"transfer-encoding", b"anthropic-version"],
)
async def test_a_call_cannot_replace_what_the_provider_says(echo, client, name):
    provider = AnthropicProvider("anthropic", echo.url, SecretStr(SECRET), client)
    call = a_call(Dialect.ANTHROPIC_MESSAGES, headers=[(name, b"forged")])
    await (await provider.send(call)).read()
    assert b"forged" not in echo.requests[0][0]


async def test_vertex_gemini(echo, client):
    provider = VertexProvider(
        "vertex", "my-project", "us-east5", client, GoogleTokens(Account), base_url=echo.url
    )
    body = b'{"model":"google/gemini-2.5-flash"}'
    await (await provider.send(a_call(body=body, model="google/gemini-2.5-flash"))).read()
    first, headers = parsed(echo.requests[0][0])
    assert first == (
        "POST /v1/projects/my-project/locations/us-east5/endpoints/openapi/chat/completions HTTP/1.1"
    )
    assert headers["authorization"] == "Bearer ya29.1"
    assert echo.requests[0][1] == body
    await provider.close()


@pytest.mark.parametrize(("stream", "verb"), [(False, "rawPredict"), (True, "streamRawPredict")])
async def test_vertex_claude(echo, client, stream, verb):
    provider = VertexProvider("vertex", "p", "global", client, GoogleTokens(Account), base_url=echo.url)
    body = b'{"model":"claude-sonnet-4-5@20250929","max_tokens":9,"messages":[]}'
    call = a_call(Dialect.ANTHROPIC_MESSAGES, body, model="claude-sonnet-4-5@20250929", stream=stream)
    for _ in range(2):
        await (await provider.send(call)).read()
    for head, sent in echo.requests:
        assert parsed(head)[0] == (
            "POST /v1/projects/p/locations/global/publishers/anthropic/models/"
            f"claude-sonnet-4-5@20250929:{verb} HTTP/1.1"
        )
        expected = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": []}
        assert json.loads(sent) == expected
    await provider.close()


async def test_vertex_gets_a_new_token_after_a_refusal(wire, client):
    async def handler(peer, request):
        good = b"ya29.2" in request[0]
        await peer.send(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % (200 if good else 401))

    server = await wire(handler)
    provider = VertexProvider("vertex", "p", "r", client, GoogleTokens(Account), base_url=server.url)
    assert [(await provider.send(a_call())).status for _ in range(3)] == [401, 200, 200]
    await provider.close()


async def test_vertex_without_credentials_says_so(echo, client):
    def nothing():
        raise LookupError(SECRET)

    provider = VertexProvider("vertex", "p", "r", client, GoogleTokens(nothing), base_url=echo.url)
    assert provider.ready() is None
    for attempt in (provider.check(), provider.send(a_call())):
        with pytest.raises(UpstreamFailure, match="gcloud auth") as caught:
            await attempt
        assert (caught.value.phase, caught.value.sent) == ("connect", False)
        assert SECRET not in str(caught.value)
    assert "gcloud auth" in provider.ready()
    assert echo.requests == []
    await provider.close()


def kinds(url, client):
    return [
        OpenAIProvider("one", f"{url}/v1", SecretStr(SECRET), client),
        AnthropicProvider("two", url, SecretStr(SECRET), client),
        VertexProvider("three", "p", "r", client, GoogleTokens(Account), base_url=url),
    ]


async def test_check_asks_with_the_credential(echo, client):
    for provider in kinds(echo.url, client):
        await provider.check()
        await provider.close()
    firsts = [parsed(head)[0] for head, _ in echo.requests]
    assert firsts == [
        "GET /v1/models HTTP/1.1",
        "GET /v1/models HTTP/1.1",
        "GET /v1/projects/p/locations/r HTTP/1.1",
    ]
    assert all(SECRET in head.decode() or "ya29.1" in head.decode() for head, _ in echo.requests)


@pytest.mark.parametrize(
    ("status", "problem"), [(401, "credential"), (403, "credential"), (500, "answered 500"), (404, None)]
)
async def test_check_tells_a_bad_answer_from_a_live_server(wire, client, status, problem):
    async def handler(peer, request):
        await peer.send(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status)

    server = await wire(handler)
    for provider in kinds(server.url, client):
        if problem is None:
            await provider.check()
        else:
            with pytest.raises(UpstreamFailure, match=problem):
                await provider.check()
        await provider.close()


async def test_a_compressed_answer_is_refused(wire, client):
    async def handler(peer, request):
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 99\r\n\r\n")

    server = await wire(handler)
    provider = OpenAIProvider("openai", f"{server.url}/v1", None, client)
    with pytest.raises(UpstreamFailure, match="compressed"):
        await provider.send(a_call())
    await server.all_closed()


async def test_no_failure_shows_the_credential(wire, client, caplog):
    async def handler(peer, request):
        await peer.send(request[0])  # a server that throws our own head back at us
        peer.close()

    server = await wire(handler)
    for provider in kinds(server.url, client):
        call = a_call(provider.dialects[0])
        with pytest.raises(UpstreamFailure) as caught:
            await provider.send(call)
        assert SECRET not in repr(caught.value)
        assert SECRET not in repr(provider)
        assert "ya29" not in repr(caught.value)
        await provider.close()
    assert SECRET not in caplog.text


async def test_a_cancelled_caller_does_not_stop_the_token_that_others_wait_for():
    account, started, release = Account(), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def load():
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        return account

    tokens = GoogleTokens(load)
    first, second = asyncio.ensure_future(tokens.token(20)), asyncio.ensure_future(tokens.token(20))
    await started.wait()
    first.cancel()
    release.set()
    assert await second == b"ya29.1"
    assert first.cancelled()
    await tokens.close()
