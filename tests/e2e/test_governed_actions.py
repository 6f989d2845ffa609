"""Whatever is done with a running gateway is in the log, each thing once."""

from collections import Counter

import pytest
from e2e_rig.processes import wait_for

from sluicegate.identity.api_keys import mint_key

SIGN_INS = {"sign_in_log": {"window_s": 1}, "failed_attempts": {"limit": 1_000}}


@pytest.fixture(scope="module")
def governed(start_gateway):
    return start_gateway("governed", {"identity": SIGN_INS})


def entries(gateway, tenant):
    """What the log has of the tenant, oldest first, without what looking at it adds."""
    page = gateway.cli("audit", "entries", "--tenant", tenant, "--limit", "200")
    return [each for each in reversed(page["entries"]) if not each["action"].startswith("audit.")]


def failures(found):
    return [each for each in found if each["action"] == "sign_in.failed"]


def test_each_thing_done_is_one_entry(governed):
    tenant = "governed"
    key = governed.make_key(tenant=tenant, user="kim", workspace="growth")
    rotated = governed.cli("keys", "rotate", key["id"], "--tenant", tenant)
    governed.cli("budget", "set", "workspace/growth", "day", "10", "--tenant", tenant)
    for text in (key["key"], rotated["key"], rotated["key"]):
        assert governed.chat(key=text).status == 200
    token = governed.cli("token", "issue", "--tenant", tenant, "--user", "uma", "--workspace", "growth")[
        "token"
    ]
    for _ in range(3):
        assert governed.chat(key=token).status == 200
    governed.cli("keys", "revoke", key["id"], "--tenant", tenant, "--reason", "lost")
    governed.cli("keys", "revoke", key["id"], "--tenant", tenant)
    for text in (rotated["key"], key["key"], rotated["key"]):
        assert governed.chat(key=text, user_agent="a thief/1").status == 401

    def told():
        found = entries(governed, tenant)
        counts = Counter(each["action"] for each in found)
        refused = sum(each["payload"]["count"] for each in failures(found))
        return found if counts["model.access"] >= 6 and refused >= 3 and counts["key.revoked"] else None

    found = wait_for(told, "the entries")
    counts = Counter(each["action"] for each in found)
    assert 1 <= counts.pop("sign_in.failed") <= 3
    assert counts == {
        "key.created": 1, "key.rotated": 1, "key.revoked": 1, "budget.set": 1, "token.issued": 1,
        "sign_in.succeeded": 1, "model.access": 6,
    }  # fmt: skip
    assert sum(each["payload"]["count"] for each in failures(found)) == 3
    for each in failures(found):
        assert (each["result"], each["userId"], each["userAgent"]) == ("failure", "kim", "a thief/1")
        assert each["ipAddress"] == "127.0.0.1"
        assert each["payload"]["key"] == key["id"]
    by = {each["action"]: each["userId"] for each in found}
    assert by["key.created"].startswith("cli:")
    assert by["sign_in.succeeded"] == "uma"


def test_guesses_at_nobodys_key_are_the_platforms(governed):
    before = sum(each["payload"]["count"] for each in failures(entries(governed, "default")))
    for _ in range(30):
        assert governed.chat(key=mint_key().text).status == 401
    assert governed.chat(key="").status == 401

    def told():
        found = failures(entries(governed, "default"))
        return found if sum(each["payload"]["count"] for each in found) - before >= 30 else None

    found = wait_for(told, "the failed sign-ins")
    assert sum(each["payload"]["count"] for each in found) - before == 30, (
        "without a credential nothing is tried"
    )
    assert len(found) < 10


def test_the_policies_in_force_are_told_once(governed):
    """The gateway and the process that keeps the books start together."""
    assert [each["action"] for each in entries(governed, "default")].count("policy.changed") == 1


def test_a_row_says_which_version_answered(governed):
    key = governed.make_key(tenant="versions")["key"]
    assert governed.chat(key=key, model="gpt-4o").status == 200
    assert b"data" in governed.chat(key=key, model="gpt-4o", fields={"stream": True}).body
    governed.spend_of("versions", 2)
    [line] = governed.cli("spend", "--tenant", "versions", "--by", "model,version")["groups"]
    assert line["requests"] == 2
    assert "None" not in line["group"]
