import asyncio
import time

import pytest

from sluicegate.adapters.local.keys import SqliteKeyStore
from sluicegate.adapters.local.sqlite import Database
from sluicegate.adapters.local.usage_rows import SqliteUsageStore
from sluicegate.cli import main
from sluicegate.identity.api_keys import parse_key
from sluicegate.ledger.usage import UsageRow


def test_a_keys_life(cli):
    made = cli.run("keys", "create", "--name", "ci", "--workspace", "growth", "--expires", "90d")
    assert made.returncode == 0, made.stderr
    assert parse_key(made.stdout.strip().encode()), "only the key stands on standard output"
    assert "rotate it by" in made.stderr
    [key] = cli.json("keys", "list")
    assert (key["name"], key["workspace"], key["status"]) == ("ci", "growth", "active")
    assert key["expires_at"] > key["rotate_by"] > key["created_at"]
    rotated = cli.json("keys", "rotate", key["id"], "--overlap", "1h")
    assert rotated["id"] == key["id"]
    assert parse_key(rotated["key"].encode()).prefix == rotated["prefix"] != key["prefix"]
    revoked = cli.run("keys", "revoke", key["id"], "--reason", "leaked")
    assert revoked.returncode == 0
    assert "within 5 seconds" in revoked.stderr
    listed = cli.run("keys", "list")
    assert "revoked" in listed.stdout
    assert rotated["key"].split("-")[3] not in listed.stdout


def test_what_was_made_is_found_by_its_secret_only(cli):
    text = cli.json("keys", "create")["key"]

    async def look_up():
        database = Database(cli.data / "sluicegate.db")
        key = await SqliteKeyStore(database).find_by_prefix(parse_key(text.encode()).prefix)
        await database.close()
        return key

    assert asyncio.run(look_up()).current.digest == parse_key(text.encode()).digest
    secret = text.split("-")[3].encode()
    for file in cli.data.iterdir():
        assert secret not in file.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("keys", "create", "--role", "root"), 2, "unknown role 'root'"),
        (("keys", "create", "--workspace", "No Good"), 2, "workspace 'No Good'"),
        (("keys", "create", "--expires", "soon"), 2, "length of time"),
        (("keys", "revoke", "key_nobody"), 2, "no key key_nobody"),
        (("budget", "set", "planet/earth", "day", "5"), 2, "SCOPE/NAME"),
        (("budget", "set", "workspace/growth", "day", "-5"), 2, "between 0 and"),
        (("budget", "set", "workspace/growth", "year", "5"), 2, "invalid choice"),
        (("spend", "--since", "2026-02-01", "--until", "2026-01-01"), 2, "--until must be after"),
        (("spend", "--where", "colour=red"), 2, "not NAME=VALUE"),
        (("spend", "--by", "hour,day"), 2, "one of hour, day and month"),
        (("events", "dead", "show", "7"), 2, "no dead letter '7'"),
        (("events", "dead", "drop"), 2, "give --all"),
        (("token", "issue", "--expires", "2h"), 2, "up to 3600 seconds"),
    ],
)
def test_a_mistake_is_one_line_that_says_which(tmp_path, capsys, arguments, status, said):
    try:
        returned = main([*arguments, "--data", str(tmp_path)])
    except SystemExit as usage:
        returned = usage.code
    captured = capsys.readouterr()
    assert (returned, captured.out) == (status, "")
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_a_foreign_file_in_the_place_of_the_database_is_said(cli):
    cli.data.mkdir()
    (cli.data / "sluicegate.db").write_bytes(b"something else entirely" * 1000)
    done = cli.run("keys", "list")
    assert done.returncode == 2
    assert "is not a Sluicegate database" in done.stderr


def test_budgets_are_shown_set_and_given_back(cli):
    cli.json("keys", "create", "--workspace", "growth", "--timezone", "Asia/Tokyo")
    day, month = cli.json("budget", "show")
    assert (day["name"], day["limit_usd"], day["overridden"]) == ("growth", "50", False)
    assert day["period_end"].endswith("T15:00:00Z"), "the day ends at the workspace's midnight"
    assert month["limit_usd"] == "1000"
    assert cli.json("budget", "set", "workspace/growth", "day", "12.50")["limit_usd"] == "12.5"
    cli.json("budget", "set", "agent/coder", "month", "3")
    lines = {(line["scope"], line["name"], line["period"]): line for line in cli.json("budget", "show")}
    assert lines["workspace", "growth", "day"]["limit_usd"] == "12.5"
    assert lines["workspace", "growth", "day"]["overridden"]
    assert lines["agent", "coder", "month"]["limit_usd"] == "3"
    assert len(lines) == 3
    assert cli.json("budget", "set", "workspace/growth", "day", "policy")["limit_usd"] is None
    assert cli.json("budget", "show")[0]["limit_usd"] == "50"


def test_spending_is_summed_to_the_nano_dollar(cli):
    now = time.time()

    def row(request_id, **fields):
        return UsageRow(
            **{
                "request_id": request_id, "at": now, "tenant": "default", "workspace": "growth",
                "user": "kim", "key": "key_a", "agent": None, "mission": None, "task": None, "model": "small",
                "provider": "scripted", "requested_model": "auto", "input_tokens": 10,
                "cached_input_tokens": 3, "cache_write_tokens": 2, "output_tokens": 5, "reasoning_tokens": 0,
                "cost_nano": 1, "held_nano": 300, "estimated": False, "latency_ms": 12.5,
                "first_byte_ms": None, "cache": "none", "outcome": "success", **fields,
            }
        )  # fmt: skip

    async def fill():
        database = Database(cli.data / "sluicegate.db")
        rows = [row("a"), row("b", model="large", cost_nano=1_500_000_000), row("c", at=now - 90 * 86_400)]
        await SqliteUsageStore(database).append([*rows, row("d", tenant="other")])
        await database.close()

    asyncio.run(fill())
    report = cli.json("spend", "--since", "1d")
    assert report["cost_usd"] == "1.500000001"
    assert [(group["group"], group["cost_usd"]) for group in report["groups"]] == [
        ("large", "1.5"),
        ("small", "0.000000001"),
    ]
    text = cli.run("spend", "--since", "1d", "--by", "workspace")
    assert "total 1.500000001 USD" in text.stdout
    assert cli.json("spend", "--since", "1d", "--tenant", "nobody")["groups"] == []
    crossed = cli.json(
        "spend", "--since", "1d", "--by", "task,model", "--per", "month", "--where", "model=large"
    )
    [line] = crossed["groups"]
    assert (line["task"], line["model"], line["requests"], crossed["total"]["cost_usd"]) == (
        None,
        "large",
        1,
        "1.5",
    )
    shares = cli.json("spend", "--since", "1d", "--distribution")["models"]
    assert {(each["model"], each["share_of_requests"]) for each in shares} == {("large", 0.5), ("small", 0.5)}
    assert sum(each["share_of_cost"] for each in shares) == pytest.approx(1)


def test_policy_check_accepts_the_shipped_set_and_points_at_a_mistake(cli, tmp_path):
    good = cli.run("policy", "check")
    assert good.returncode == 0, good.stdout
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "roles.yaml").write_text("roles:\n  a:\n    permissions: [fly]\n")
    (policies / "typo.yaml").write_text("x: 1\n")
    bad = cli.run("policy", "check", SLUICEGATE_POLICY_DIR=str(policies))
    assert bad.returncode == 2
    assert f"{policies}/roles.yaml:3" in bad.stdout
    assert f"{policies}/typo.yaml: nothing reads this file" in bad.stdout
    refused = cli.run("keys", "list", SLUICEGATE_POLICY_DIR=str(policies))
    assert refused.returncode == 2
    assert "roles.yaml:3" in refused.stderr


def test_tokens_are_issued_and_their_key_published(cli):
    token = cli.run("token", "issue", "--user", "kim", "--expires", "10m").stdout.strip()
    [key] = cli.json("token", "jwks")["keys"]
    assert "d" not in key
    import jwt

    claims = jwt.decode(token, jwt.PyJWK(key), algorithms=["EdDSA"], audience="sluicegate", issuer="ai-sdlc")
    assert (claims["sub"], claims["roles"]) == ("kim", ["ai_service"])
    assert claims["exp"] - claims["iat"] == 600


def test_an_answer_cut_short_by_its_reader_is_no_error(cli):
    with cli.start("policy", "check") as process:
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
        assert process.wait(30) == 141
