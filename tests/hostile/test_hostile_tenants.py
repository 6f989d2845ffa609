"""Two tenants on one gateway, each trying what the other has."""

# ruff: noqa: E501 - a case to a line reads better than a case to ten

import json
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hostile_rig import LIFTED, wait_for

CHAT, MESSAGES, RESPONSES, EMBEDDINGS = (
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/responses",
    "/v1/embeddings",
)
POOR = [{"scope": "workspace", "period": "day", "limit_usd": "0.05"}]


@pytest.fixture(scope="module")
def house(start_gateway):
    return start_gateway("tenants", LIFTED | {"budgets": {"budgets": POOR}})


@pytest.fixture(scope="module")
def keys(house) -> dict[str, dict]:
    """A key of each tenant, both in a workspace of the same name and of a user of the same name."""
    return {
        tenant: house.cli("keys", "create", "--tenant", tenant, "--workspace", "w", "--user", "u")
        for tenant in ("ada", "bob")
    }


def bodies(text: str) -> dict[str, dict]:
    message = {"messages": [{"role": "user", "content": text}], "temperature": 0}
    return {
        CHAT: {"model": "scripted-small", "max_tokens": 20, **message},
        MESSAGES: {"model": "scripted-small", "max_tokens": 20, **message},
        RESPONSES: {"model": "scripted-small", "max_output_tokens": 20, "input": text, "temperature": 0},
        EMBEDDINGS: {"model": "scripted-embed", "input": text},
    }


def answered(reply) -> tuple[int, str]:
    return reply.status, reply.headers.get("x-sluicegate-cache", "")


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES, EMBEDDINGS])
def test_nobody_gets_an_answer_from_anothers_cache(house, keys, path):
    ada, bob = keys["ada"]["key"], keys["bob"]["key"]
    body = bodies(f"what {path} remembers")[path]
    assert answered(house.post(path, body, ada)) == (200, "none")
    wait_for(lambda: answered(house.post(path, body, ada)) == (200, "l1"), "the answer to be kept")
    assert answered(house.post(path, body, bob)) == (200, "none")


def test_an_idempotency_key_is_its_owners_alone(house, keys):
    ada, bob = keys["ada"]["key"], keys["bob"]["key"]
    header = b"idempotency-key: order-66\r\n"
    of_ada, of_bob = bodies("mine")[CHAT] | {"temperature": 1}, bodies("yours")[CHAT] | {"temperature": 1}
    first = house.post(CHAT, of_ada, ada, header)
    assert answered(house.post(CHAT, of_bob, bob, header)) == (200, "none")
    again = house.post(CHAT, of_ada, ada, header)
    assert answered(again) == (200, "idempotent")
    assert again.json()["id"] == first.json()["id"]
    assert house.post(CHAT, of_ada, bob, header).status == 409


def test_concurrent_requests_are_shared_within_a_tenant_only(house, keys):
    body = bodies("[[first 400ms]] together")[CHAT]
    callers = ["ada", "bob"] * 4
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda tenant: house.post(CHAT, body, keys[tenant]["key"]), callers))
    seen = {
        tenant: {r.json()["id"] for t, r in zip(callers, replies, strict=True) if t == tenant}
        for tenant in keys
    }
    assert seen["ada"].isdisjoint(seen["bob"])
    assert {len(ids) for ids in seen.values()} == {1}


def test_a_key_for_some_models_sees_and_gets_no_others(house, keys):
    narrow = house.cli("keys", "create", "--tenant", "ada", "--workspace", "w", "--model", "scripted-l*")[
        "key"
    ]
    body = bodies("what /v1/chat/completions remembers")[CHAT]
    assert house.post(CHAT, body, narrow).status == 403

    def get(path: str):
        request = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {narrow}\r\n\r\n"
        return house.send(request.encode(), "GET")

    assert [model["id"] for model in get("/v1/models").json()["data"]] == ["scripted-large"]
    assert get("/v1/models/scripted-small").status == 404
    assert (
        get("/v1/models/no-such-model").json()["error"]["code"]
        == get("/v1/models/scripted-small").json()["error"]["code"]
    )


def test_another_tenants_ids_open_nothing(house, keys):
    for verb in (("revoke",), ("rotate",)):
        done = subprocess.run(
            [sys.executable, "-m", "sluicegate", "keys", *verb, keys["ada"]["id"], "--tenant", "bob", "--data", str(house.data)],
            env=house.environment, cwd=house.data.parent, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert "there is no key" in done.stderr
    assert house.post(CHAT, bodies("still here")[CHAT], keys["ada"]["key"]).status == 200
    reply = house.post(CHAT, bodies("x")[CHAT], keys["bob"]["key"], b"x-sluicegate-workspace: default\r\n")
    assert reply.status == 403


def test_one_tenants_empty_purse_is_nobody_elses(house, keys):
    body = bodies("[[tokens 4000]]")[CHAT] | {"max_tokens": 4000, "temperature": 1, "model": "scripted-large"}
    replies = [house.post(CHAT, body, keys["ada"]["key"]) for _ in range(4)]
    assert replies[-1].status == 402
    assert "bob" not in replies[-1].body.decode()
    assert house.post(CHAT, bodies("more")[CHAT] | {"temperature": 1}, keys["bob"]["key"]).status == 200
    for tenant, key in keys.items():
        house.assert_whole(tenant)
        by_key = house.cli("spend", "--tenant", tenant, "--by", "key")["groups"]
        assert key["id"] in {line["group"] for line in by_key}
        assert not {other["id"] for other in keys.values() if other is not key} & {
            line["group"] for line in by_key
        }


def test_what_is_on_disk_is_this_users_alone(house):
    house.cli("token", "issue", "--tenant", "ada")
    assert stat.S_IMODE(house.data.stat().st_mode) == 0o700
    for name in ("dev.env", "sluicegate.db", "token-key.pem"):
        assert stat.S_IMODE((house.data / name).stat().st_mode) == 0o600, name
    text = json.dumps(house.cli("keys", "list", "--tenant", "ada"))
    secret = house.cli("keys", "create", "--tenant", "ada")["key"]
    assert secret.rsplit("-", 1)[1] not in text
    content = b"".join(path.read_bytes() for path in house.data.glob("sluicegate.db*"))
    assert secret.rsplit("-", 1)[1].encode() not in content
