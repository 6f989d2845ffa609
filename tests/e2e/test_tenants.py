"""Two tenants on one gateway: nothing crosses."""

import threading

import pytest


@pytest.fixture(scope="module")
def red(gateway):
    return gateway.make_key(tenant="red", workspace="main", user="sam")


@pytest.fixture(scope="module")
def blue(gateway):
    return gateway.make_key(tenant="blue", workspace="main", user="sam")


@pytest.mark.parametrize("model", ["scripted-small", "gpt-4.1", "claude-sonnet-4-6"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_the_cache_never_answers_another_tenant(gateway, red, blue, path, model):
    def ask(key, **headers):
        body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "the same"}]}
        reply = gateway.request("POST", path, key=key["key"], body={**body, "temperature": 0}, **headers)
        assert reply.status == 200
        return reply.headers["x-sluicegate-cache"].lower(), float(reply.headers["x-sluicegate-cost-usd"])

    assert ask(red)[0] == "none"
    assert ask(red) == ("l1", 0)
    level, cost = ask(blue)
    assert level == "none"
    assert cost > 0
    assert ask(blue, x_sluicegate_cache="use") == ("l1", 0)


def test_requests_under_way_are_not_shared_between_tenants(gateway, upstream, red, blue):
    model = "o3"
    before = upstream.produced().get(model, {"requests": 0})["requests"]
    replies = {}

    def ask(name, key):
        prompt = "under way [[first 500ms]]"
        replies[name] = gateway.chat(prompt, model=model, key=key["key"], fields={"seed": 1})

    threads = [threading.Thread(target=ask, args=pair) for pair in (("red", red), ("blue", blue))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert upstream.produced()[model]["requests"] == before + 2
    assert replies["red"].json()["id"] != replies["blue"].json()["id"]
    assert all(float(reply.headers["x-sluicegate-cost-usd"]) > 0 for reply in replies.values())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_idempotency_key_belongs_to_one_tenant(gateway, red, blue, stream):
    def ask(key, text):
        return gateway.chat(
            text, key=key["key"], fields={"stream": stream}, idempotency_key=f"shared-{stream}"
        )

    first = ask(red, "the first")
    assert ask(red, "the first").headers["x-sluicegate-cache"] == "idempotent"
    other = ask(blue, "another body")
    assert other.status == 200
    assert other.headers["x-sluicegate-cache"] == "none"
    assert other.headers["x-sluicegate-request-id"] != first.headers["x-sluicegate-request-id"]


def test_an_idempotency_key_belongs_to_one_api_key(gateway, red):
    sibling = gateway.make_key(tenant="red", workspace="main")
    assert gateway.chat("mine", key=red["key"], idempotency_key="siblings").status == 200
    assert gateway.chat("yours", key=sibling["key"], idempotency_key="siblings").status == 200


def test_budgets_of_the_same_name_are_apart(gateway, red, blue):
    gateway.cli("budget", "set", "--tenant", "red", "workspace/main", "day", "0")
    try:
        assert gateway.chat(key=red["key"]).status == 402
        answered = gateway.chat(key=blue["key"])
        assert answered.status == 200
        assert float(answered.headers["x-sluicegate-budget-remaining-usd"]) > 1
    finally:
        gateway.cli("budget", "set", "--tenant", "red", "workspace/main", "day", "policy")


def test_a_refusal_does_not_tell_of_another_tenant(gateway, red):
    refused = gateway.chat(key=red["key"], x_sluicegate_workspace="blue")
    assert refused.status == 403
    assert b"tenant" not in refused.body


def test_limits_of_the_same_agent_are_apart(gateway):
    one = gateway.make_key(tenant="limits-one")["key"]
    two = gateway.make_key(tenant="limits-two")["key"]
    statuses = [gateway.chat(key=one, x_sluicegate_agent="creative").status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert gateway.chat(key=two, x_sluicegate_agent="creative").status == 200


def test_spend_is_told_per_tenant(gateway):
    keys = {name: gateway.make_key(tenant=name) for name in ("spender-one", "spender-two")}
    costs = {}
    for number, (name, key) in enumerate(keys.items(), start=1):
        replies = [gateway.chat(f"[[tokens {number * 7}]]", key=key["key"]) for _ in range(number)]
        costs[name] = sum(round(float(r.headers["x-sluicegate-cost-usd"]) * 10**9) for r in replies)
    for number, (name, key) in enumerate(keys.items(), start=1):
        report = gateway.spend_of(name, number)
        assert report["cost_nano"] == costs[name]
        assert [line["group"] for line in gateway.spend(name, "key")["groups"]] == [key["id"]]
        assert {each["id"] for each in gateway.cli("keys", "list", "--tenant", name)} == {key["id"]}
    assert gateway.spend("nobody")["groups"] == []


def test_a_key_of_one_tenant_cannot_be_managed_as_anothers(gateway, red):
    for command in (("rotate",), ("revoke",)):
        said = gateway.cli("keys", *command, "--tenant", "blue", red["id"], check=False)
        assert red["key"] not in str(said)
    assert gateway.chat(key=red["key"]).status == 200


@pytest.fixture(scope="module")
def narrow(gateway):
    """A key that may use some models only."""
    return gateway.make_key(tenant="narrow", model="claude-haiku*")["key"]


def test_a_narrowed_keys_lists_have_only_these(gateway, narrow):
    listed = gateway.request("GET", "/v1/models", key=narrow).json()["data"]
    names = {model["id"] for model in listed}
    assert {"claude-haiku-4-5", "claude-haiku-5-5", "claude-haiku-5-5@vertex"} <= names
    assert all(name.startswith("claude-haiku") for name in names)
    other = gateway.request("GET", "/v1/models", key=narrow, anthropic_version="2023-06-01").json()
    assert [model["id"] for model in other["data"]] == [model["id"] for model in listed]


def test_a_narrowed_key_may_use_what_it_lists(gateway, narrow):
    assert gateway.chat(model="claude-haiku-4-5", key=narrow).status == 200
    auto = gateway.chat(model="auto", key=narrow)
    assert auto.headers["x-sluicegate-model"].startswith("claude-haiku")


@pytest.mark.parametrize("model", ["scripted-small", "claude-sonnet-4-6", "claude-sonnet"])
def test_a_narrowed_key_may_not_use_others(gateway, narrow, model):
    refused = gateway.chat(model=model, key=narrow)
    assert (refused.status, refused.json()["error"]["code"]) == (403, "permission_denied")
    assert gateway.request("GET", f"/v1/models/{model}", key=narrow).status == 404


def test_fallbacks_do_not_lead_out_of_what_a_key_may_use(gateway):
    key = gateway.make_key(tenant="narrow", model="scripted-large")["key"]
    refused = gateway.chat("[[fail 503 model scripted-large]]", model="scripted-large", key=key)
    assert refused.status == 503
