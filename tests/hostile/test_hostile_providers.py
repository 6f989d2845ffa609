"""Providers that lie, stall, break off and send what they must not; every client's dialect in front."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hostile_plays import (
    ANTHROPIC,
    CASES,
    CHAT,
    EMBEDDINGS,
    HUGE,
    MESSAGES,
    OPENAI,
    PLAYS,
    RESPONSES,
    chat,
    delta,
    request,
    stream,
    whole,
)
from hostile_rig import UPSTREAM_KEY, wait_for


def check_error(path: str, reply) -> None:
    """An error as the caller's own client reads it, with our id and without anybody's secret."""
    body = reply.json()
    assert reply.headers["x-sluicegate-request-id"].startswith("req_")
    if path == MESSAGES:
        assert body["type"] == "error"
        assert isinstance(body["error"]["type"], str)
        assert body["request_id"] == reply.headers["x-sluicegate-request-id"]
    else:
        assert set(body["error"]) >= {"type", "param", "code"}
    assert body["error"]["message"]


def check_whole(path: str, body) -> None:
    """What the official clients read of an answer without asking first."""
    assert isinstance(body, dict)
    if path == MESSAGES:
        assert isinstance(body["content"], list)
        assert all(isinstance(block["type"], str) for block in body["content"])
    elif path == RESPONSES:
        assert isinstance(body["output"], list)
        assert all(isinstance(item["type"], str) for item in body["output"])
    else:
        assert isinstance(body["choices"], list)
        assert all(isinstance(choice["message"], dict) for choice in body["choices"])


def translated(path: str, model: str) -> bool:
    return (path == CHAT) is not (model == OPENAI) or path == RESPONSES


@pytest.mark.parametrize(
    ("path", "model"),
    [
        (CHAT, OPENAI), (CHAT, ANTHROPIC), (MESSAGES, OPENAI), (MESSAGES, ANTHROPIC),
        (RESPONSES, OPENAI), (RESPONSES, ANTHROPIC), (EMBEDDINGS, "text-embedding-3-small"),
    ],
)  # fmt: skip
def test_no_provider_can_harm_the_gateway(gateway, upstream, path, model):
    upstream.plays.update(PLAYS)
    cases = [(name, streamed) for p, m, name, streamed in CASES if (p, m) == (path, model)]

    def ask(case):
        return gateway.post(path, request(path, model, case[0], streamed=case[1]))

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(ask, cases))
    for (name, streamed), reply in zip(cases, replies, strict=True):
        assert reply is not None, name
        assert UPSTREAM_KEY.encode() not in reply.raw + reply.body, name
        assert "x-evil" not in reply.headers, name
        assert "set-cookie" not in reply.headers, name
        assert reply.status in {200, 400, 429, 502, 503, 504}, (name, reply.status)
        if reply.status != 200:
            check_error(path, reply)
        elif not streamed and translated(path, model):
            check_whole(path, reply.json())
    assert gateway.process.poll() is None


def test_after_all_of_it_nothing_is_held_and_the_books_agree(gateway, upstream):
    gateway.assert_whole()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("figure", [HUGE, 10**9, -5, 1.5, "7", True])
def test_figures_that_cannot_be_are_replaced_by_an_estimate(gateway, upstream, figure, streamed):
    usage = {"prompt_tokens": figure, "completion_tokens": figure, "total_tokens": figure}
    upstream.plays["lies"] = (
        stream(delta("x" * 400), delta(choices=[], usage=usage), b"data: [DONE]\n\n")
        if streamed
        else whole(chat(usage=usage))
    )
    before = spend(gateway)
    reply = gateway.post(CHAT, request(CHAT, OPENAI, "lies", streamed=streamed))
    assert reply.status == 200
    after = wait_for(
        lambda: (now := spend(gateway))["requests"] > before["requests"] and now, "the usage row"
    )
    cost = after["cost_nano"] - before["cost_nano"]
    assert 0 < cost < 1_000_000
    assert after["estimated_nano"] - before["estimated_nano"] == cost


def test_an_error_sent_as_a_success_is_an_error_and_is_not_kept(gateway, upstream):
    upstream.plays["sorry"] = whole({"error": {"message": "no", "type": "server_error"}})
    body = request(CHAT, OPENAI, "sorry", streamed=False) | {"temperature": 0}
    assert gateway.post(CHAT, body).status == 502
    upstream.plays["sorry"] = whole(chat())
    reply = gateway.post(CHAT, body)
    assert reply.status == 200
    assert reply.headers["x-sluicegate-cache"] == "none"


def spend(gateway) -> dict:
    groups = gateway.cli("spend", "--by", "workspace")["groups"]
    return groups[0] if groups else {"requests": 0, "cost_nano": 0, "estimated_nano": 0}
