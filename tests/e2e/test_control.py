"""The control plane on the gateway's own port: what a request leaves behind, read by who may."""

import pytest
from e2e_rig.processes import wait_for

from sluicegate.audit.keys import Ed25519Verifier
from sluicegate.audit.verify.trusted_keys import verify_keys


@pytest.fixture(scope="module")
def auditor(gateway):
    return gateway.make_key(tenant="watched", role="auditor", user="ann")["key"]


@pytest.fixture(scope="module")
def caller(gateway):
    return gateway.make_key(tenant="watched", user="bob")["key"]


def entries(gateway, key, **asked):
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    reply = gateway.request("GET", f"/api/v1/audit/entries?{query}", key=key)
    assert reply.status == 200, reply.body
    return reply.json()["entries"]


def test_a_completion_becomes_an_entry_that_can_be_proven_and_exported(gateway, auditor, caller, tmp_path):
    answer = gateway.chat("hello", key=caller)
    assert answer.status == 200
    [entry] = wait_for(lambda: entries(gateway, auditor, action="model.access"), "the completion's entry")
    assert entry["payload"]["request_id"] == answer.headers["x-sluicegate-request-id"]
    assert (entry["userId"], entry["result"]) == ("bob", "success")
    proof = gateway.request("GET", f"/api/v1/audit/proofs/inclusion?entry={entry['id']}", key=auditor)
    assert proof.status == 200
    export = gateway.request("POST", "/api/v1/audit/exports", key=auditor, body={"format": "csv"})
    assert export.status == 200
    (tmp_path / "export.zip").write_bytes(export.body)
    assert gateway.cli("audit", "verify", str(tmp_path / "export.zip"))["holds"]
    assert gateway.cli("audit", "verify")["holds"]
    told = wait_for(lambda: entries(gateway, auditor, action="audit.exported"), "the export's entry")
    assert told[0]["userId"] == "ann"


def test_the_log_verifies_over_http_as_it_grows(gateway, caller):
    url = f"{gateway.url}/api/v1/audit"
    kept = gateway.request("GET", "/api/v1/audit/checkpoint", key="").body
    assert gateway.chat("more", key=caller).status == 200
    key = gateway.request("GET", "/api/v1/audit/key", key="").body.decode().strip()
    keys = gateway.request("GET", "/api/v1/audit/keys", key="").body
    assert verify_keys(keys, Ed25519Verifier.from_key(key)).entries
    (gateway.data.parent / "kept").write_bytes(kept)
    report = gateway.cli(
        "audit",
        "verify",
        url,
        "--key",
        key,
        "--hashes-only",
        "--checkpoint",
        str(gateway.data.parent / "kept"),
    )
    assert report["holds"]


def test_spend_over_http_is_the_ledgers(gateway, auditor, caller):
    assert gateway.chat("count me", key=caller).status == 200
    known = gateway.spend_of("watched", 1)

    def same():
        report = gateway.request("GET", "/api/v1/spend?by=model", key=auditor).json()
        known = gateway.spend("watched")
        return report if report["total"]["cost_nano"] == known["cost_nano"] else None

    report = wait_for(same, "the same sum from both")
    assert report["total"]["requests"] == sum(line["requests"] for line in report["lines"])
    assert known["cost_nano"] > 0


def test_who_may_not_is_refused_in_problem_details(gateway, caller):
    assert gateway.request("GET", "/api/v1/audit/entries", key="").status == 401
    refused = gateway.request("GET", "/api/v1/audit/entries", key=caller)
    assert (refused.status, refused.headers["content-type"]) == (403, "application/problem+json")
    assert gateway.request("GET", "/api/v1/nothing", key=caller).status == 404
    assert gateway.request("DELETE", "/api/v1/spend", key=caller).status == 405
    assert gateway.request("GET", "/api/v1/openapi.json", key="").json()["openapi"] == "3.1.0"
    assert gateway.request("GET", "/api/v1", key="").status == 404
    big = gateway.request("POST", "/api/v1/audit/checkpoint", key="", body=b"x" * 300_000)
    assert big.status == 413
