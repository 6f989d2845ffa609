"""Who may come in: keys, their rotation and revocation, tokens, and those who guess."""

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519


@pytest.fixture(scope="module")
def token(gateway):
    return gateway.cli("token", "issue", "--tenant", "tokens", "--workspace", "green", "--user", "uma")[
        "token"
    ]


def test_a_token_signs_in(gateway, token):
    reply = gateway.chat(key=token)
    assert reply.status == 200
    line = gateway.spend_of("tokens", 1)
    assert line["cost_usd"] == reply.headers["x-sluicegate-cost-usd"]
    assert [each["group"] for each in gateway.spend("tokens", "user")["groups"]] == ["uma"]
    assert gateway.chat(key=token, x_sluicegate_workspace="elsewhere").status == 403


def test_both_sdks_take_a_token(gateway, token):
    prompt = [{"role": "user", "content": "hi"}]
    with gateway.openai(token) as client:
        assert client.chat.completions.create(model="scripted-small", messages=prompt).choices
    with gateway.anthropic(token) as client:
        assert client.messages.create(model="scripted-small", max_tokens=9, messages=prompt).content


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


@pytest.fixture
def signing_key(gateway):
    return (gateway.data / "token-key.pem").read_bytes()


def test_what_the_local_key_signs_otherwise_is_refused(gateway, token, signing_key):
    claims, head = claims_of(token), jwt.get_unverified_header(token)

    def signed(key=signing_key, algorithm="EdDSA", **changes):
        changed = {name: value for name, value in {**claims, **changes}.items() if value is not None}
        return jwt.encode(changed, key, algorithm=algorithm, headers={"kid": head["kid"]})

    now = int(time.time())
    stranger = ed25519.Ed25519PrivateKey.generate()
    public = signing_key  # as the secret of a symmetric algorithm
    bad = {
        "expired": signed(iat=now - 7_000, exp=now - 3_600),
        "too long": signed(exp=now + 90_000),
        "without an end": signed(exp=None),
        "from the future": signed(iat=now + 3_000, nbf=now + 3_000, exp=now + 3_600),
        "another issuer": signed(iss="somebody"),
        "another audience": signed(aud="elsewhere"),
        "another key": signed(key=stranger),
        "symmetric": jwt.api_jws.PyJWS(algorithms=["HS256"]).encode(
            json.dumps(claims).encode(), base64.b64encode(public), "HS256", {"kid": head["kid"]}
        ),
        "unsigned": jwt.encode(claims, None, algorithm="none", headers={"kid": head["kid"]}),
        "an unknown role": signed(roles=["emperor"]),
        "without a tenant": signed(tenant=None),
        "a tenant of a strange name": signed(tenant="a:b{c}"),
    }
    assert gateway.chat(key=signed()).status == 200
    statuses = {name: gateway.chat(key=text).status for name, text in bad.items()}
    assert statuses == dict.fromkeys(bad, 401)


def test_a_tampered_token_is_refused(gateway, token):
    head, body, signature = token.split(".")
    claims = {**claims_of(token), "tenant": "red"}
    other = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    for text in (f"{head}.{other}.{signature}", f"{head}.{body}.{flipped}", f"{head}.{body}."):
        assert gateway.chat(key=text).status == 401


def test_a_role_without_the_permission_is_403(gateway):
    token = gateway.cli("token", "issue", "--tenant", "tokens", "--role", "human_reviewer")["token"]
    assert gateway.chat(key=token).status == 403
    key = gateway.make_key(tenant="tokens", role="human_reviewer")["key"]
    assert gateway.chat(key=key).status == 403
    assert gateway.request("GET", "/v1/models", key=key).status == 403


@pytest.fixture(scope="module")
def second(start_gateway, gateway):
    """Another process with the same Redis and data."""
    return start_gateway("second", {}, beside=gateway)


def both(first, second, key, text="hi", **fields):
    replies = [each.chat(text, key=key, fields=fields) for each in (first, second)]
    return [reply.status for reply in replies]


def test_a_rotated_keys_old_secret_works_on_for_the_overlap(gateway, second):
    issued = gateway.make_key(tenant="rotating")
    rotated = gateway.cli("keys", "rotate", "--tenant", "rotating", issued["id"], "--overlap", "1h")
    assert rotated["key"] != issued["key"]
    assert rotated["id"] == issued["id"]
    assert both(gateway, second, issued["key"]) == [200, 200]
    assert both(gateway, second, rotated["key"]) == [200, 200]


def test_a_rotation_without_overlap_ends_the_old_secret(gateway, second):
    issued = gateway.make_key(tenant="rotating")
    assert both(gateway, second, issued["key"]) == [200, 200]
    rotated = gateway.cli("keys", "rotate", "--tenant", "rotating", issued["id"], "--overlap", "0s")
    assert both(gateway, second, issued["key"]) == [401, 401]
    assert both(gateway, second, rotated["key"]) == [200, 200]


@pytest.mark.parametrize("fields", [{}, {"temperature": 0}, {"temperature": 0, "stream": True}])
def test_a_revoked_key_is_refused_at_once_everywhere_cached_answers_included(gateway, second, fields):
    issued = gateway.make_key(tenant="revoked")
    for _ in range(2):
        assert both(gateway, second, issued["key"], "cached?", **fields) == [200, 200]
    gateway.cli("keys", "revoke", "--tenant", "revoked", issued["id"])
    assert both(gateway, second, issued["key"], "cached?", **fields) == [401, 401]
    assert gateway.request("GET", "/v1/models", key=issued["key"]).status == 401
    assert second.request("GET", "/v1/models", key=issued["key"]).status == 401


def test_the_second_process_shares_cache_idempotency_and_limits(gateway, second):
    key = gateway.make_key(tenant="shared")["key"]
    assert gateway.chat("shared", key=key, fields={"temperature": 0}).headers["x-sluicegate-cache"] == "none"
    found = second.chat("shared", key=key, fields={"temperature": 0})
    # The policies differ, and with them the key of the answer.
    assert found.headers["x-sluicegate-cache"] == "none"
    first = gateway.chat("once", key=key, idempotency_key="over-two")
    again = second.chat("once", key=key, idempotency_key="over-two")
    assert again.headers["x-sluicegate-cache"] == "idempotent"
    assert again.body == first.body


def test_an_expired_key_is_refused(gateway):
    key = gateway.make_key(tenant="expiring", expires="1s")["key"]
    time.sleep(1.1)
    assert gateway.chat(key=key).status == 401


def test_whoever_guesses_is_held_up_and_a_working_neighbour_is_not(start_gateway):
    strict = start_gateway("strict")
    assert strict.chat().status == 200
    statuses = [strict.chat(key=f"sk-slg-aaaaaaa{number}-guess").status for number in range(8)]
    assert statuses[:5] == [401] * 5
    assert statuses[-1] == 429
    refused = strict.chat(key="sk-slg-bbbbbbbb-guess")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert strict.chat().status == 200, "a credential that held lately is still heard"
    assert strict.metric("sluicegate_failed_sign_ins_total") >= 8
    assert strict.metric("sluicegate_security_breaches_total") == 1
