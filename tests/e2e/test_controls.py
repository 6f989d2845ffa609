"""The `x-sluicegate-*` headers, one by one."""

import json

import openai
import pytest


def test_an_agents_eleventh_request_in_a_minute_is_429(gateway):
    key = gateway.make_key(tenant="agents")["key"]

    def ask(agent):
        return gateway.chat(key=key, x_sluicegate_agent=agent)

    replies = [ask("coder") for _ in range(11)]
    assert [reply.status for reply in replies] == [200] * 10 + [429]
    refused = replies[-1]
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.json()["error"]["details"]["scope"] == "agent"
    assert 0 < int(refused.headers["retry-after"]) <= 120
    left = [int(reply.headers["x-ratelimit-remaining-requests"]) for reply in replies[:10]]
    assert left == list(range(9, -1, -1))
    assert replies[0].headers["x-ratelimit-limit-requests"] == "10"
    assert ask("research").status == 200, "another agent has its own limit"
    assert gateway.chat(key=key).status == 200
    coder = gateway.openai(key, default_headers={"x-sluicegate-agent": "coder"})
    with coder as client, pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="scripted-small", messages=[{"role": "user", "content": "x"}])


def test_names_of_agents_are_not_told_apart_by_case(gateway):
    key = gateway.make_key(tenant="casing")["key"]
    statuses = [
        gateway.chat(key=key, x_sluicegate_agent=name).status for name in ("creative", "Creative", "CREATIVE")
    ]
    assert statuses == [200, 200, 429]


def test_max_cost_clamps_the_answer(gateway):
    # 0.40 USD per million output tokens: some forty tokens beside the bound on the prompt.
    free = gateway.chat("[[tokens 500]]")
    clamped = gateway.chat("[[tokens 500]]", x_sluicegate_max_cost_usd="0.00005")
    assert free.json()["usage"]["completion_tokens"] == 500
    answer = clamped.json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert 16 <= answer["usage"]["completion_tokens"] < 125
    assert float(clamped.headers["x-sluicegate-cost-usd"]) <= 0.00005


def test_max_cost_clamps_a_stream(gateway):
    reply = gateway.chat("[[tokens 500]]", fields={"stream": True}, x_sluicegate_max_cost_usd="0.00005")
    chunks = [event for event in reply.events if event != "[DONE]"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert len(chunks) < 130


def test_a_cost_that_pays_nothing_is_402(gateway):
    refused = gateway.chat("hello", x_sluicegate_max_cost_usd="0.000000001")
    assert (refused.status, refused.json()["error"]["code"]) == (402, "budget_exceeded")


@pytest.mark.parametrize("max_tokens", [None, 3])
def test_max_cost_never_lengthens(gateway, max_tokens):
    fields = {} if max_tokens is None else {"max_tokens": max_tokens}
    answer = gateway.chat("[[tokens 9]]", fields=fields, x_sluicegate_max_cost_usd="1").json()
    assert answer["usage"]["completion_tokens"] == (max_tokens or 9)


def plan_of(reply):
    return json.loads(reply.headers["x-sluicegate-debug"])


def test_auto_takes_the_cheapest_model_that_is_good_enough(gateway):
    def chosen(**headers):
        reply = gateway.chat("Say hi.", model="auto", x_sluicegate_debug="true", **headers)
        assert reply.status == 200, reply.body
        return reply.headers["x-sluicegate-model"], plan_of(reply)

    cheap, plan = chosen()
    assert plan["strategy"] == "cost"
    assert plan["complexity"] in {"low", "medium", "high"}
    assert plan["candidates"][0] == cheap
    best, strict = chosen(x_sluicegate_quality="0.955")
    assert best != cheap
    assert strict["rejected"][cheap] == "quality"
    _, task = chosen(x_sluicegate_task="trading")
    assert len(task["rejected"]) > len(plan["rejected"]) - 1
    assert "scripted-small" in plan["rejected"], (
        "with real providers set up, the scripted model is for rehearsals"
    )


def test_quality_rules_a_named_model_out(gateway):
    refused = gateway.chat(x_sluicegate_quality="0.99")
    assert refused.status == 400
    assert refused.json()["error"]["param"] == "model"


@pytest.mark.parametrize("strategy", ["cost", "latency", "weighted", "round_robin"])
def test_a_strategy_is_taken(gateway, strategy):
    reply = gateway.chat(model="auto", x_sluicegate_strategy=strategy, x_sluicegate_debug="1")
    assert reply.status == 200
    assert plan_of(reply)["strategy"] == strategy


def test_without_the_debug_header_nothing_is_explained(gateway):
    assert "x-sluicegate-debug" not in gateway.chat(model="auto").headers
    assert "x-sluicegate-debug" not in gateway.chat(x_sluicegate_debug="false").headers


def test_a_pool_is_spread_over_its_members(gateway):
    models = {gateway.chat(model="claude-sonnet").headers["x-sluicegate-model"] for _ in range(8)}
    assert models == {"claude-sonnet-5-5", "claude-sonnet-5-5@vertex"}


def test_a_workspace_of_ones_own_only(gateway):
    one = gateway.make_key(tenant="spaces", workspace="red")["key"]
    assert gateway.chat(key=one, x_sluicegate_workspace="red").status == 200
    refused = gateway.chat(key=one, x_sluicegate_workspace="blue")
    assert (refused.status, refused.json()["error"]["code"]) == (403, "permission_denied")


def test_who_asked_for_what_is_in_the_ledger(gateway):
    key = gateway.make_key(tenant="asked", workspace="red", user="rosa")["key"]
    reply = gateway.chat(
        key=key, x_sluicegate_mission="apollo", x_sluicegate_agent="research", x_sluicegate_task="code"
    )
    gateway.spend_of("asked", 1)
    for by, name in [("mission", "apollo"), ("agent", "research"), ("task", "code"), ("user", "rosa")]:
        groups = gateway.spend("asked", by)["groups"]
        assert [(line["group"], line["cost_usd"]) for line in groups] == [
            (name, reply.headers["x-sluicegate-cost-usd"])
        ]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("agent", "no spaces allowed"),
        ("quality", "1.5"),
        ("quality", "nan"),
        ("max-cost-usd", "-1"),
        ("max-cost-usd", "many"),
        ("priority", "urgent"),
        ("cache", "maybe"),
        ("strategy", "luck"),
        ("debug", "yes please"),
        ("max-cost", "0.01"),
    ],
)
def test_a_wrong_control_is_refused_not_ignored(gateway, header, value):
    refused = gateway.chat(**{f"x-sluicegate-{header}": value})
    assert refused.status == 400
    assert refused.json()["error"]["param"] == f"x-sluicegate-{header}"


@pytest.mark.parametrize("priority", ["critical", "normal", "background"])
def test_a_priority_is_taken(gateway, priority):
    assert gateway.chat(x_sluicegate_priority=priority).status == 200


@pytest.mark.parametrize("value", ["respond-async", "respond-async, wait=10", "return=minimal", ";;=,"])
def test_a_preference_is_ignored_as_it_may_be(gateway, value):
    """RFC 7240, section 2: a server that does not honour a preference goes on as if it were not there."""
    reply = gateway.chat("now", model="gpt-4.1", prefer=value, x_sluicegate_cache="bypass")
    assert (reply.status, reply.json()["object"]) == (200, "chat.completion")
    assert "preference-applied" not in reply.headers
