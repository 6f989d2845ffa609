"""`sluicegate doctor`: what it finds, and what it advises."""

import json
import time

import pytest
from gcp_judges import PubSubJudge, StorageJudge
from private_redis import PrivateRedis

DEVELOPMENT = {"ENVIRONMENT": "development"}


@pytest.fixture
def redis():
    redis = PrivateRedis("server")
    redis.start()
    yield redis
    redis.stop()


def examined(cli, *arguments, **environment):
    """The exit status, and what was found: `{about: [(state, says, mend)]}`."""
    done = cli.run("doctor", "--json", *arguments, **DEVELOPMENT, **environment)
    assert "Traceback" not in done.stderr
    found = {}
    for each in json.loads(done.stdout)["findings"]:
        found.setdefault(each["about"], []).append((each["state"], each["says"], each["mend"]))
    return done.returncode, found


def test_a_set_up_that_works_is_fine(cli, redis):
    made = cli.run("keys", "create", **DEVELOPMENT)
    assert made.returncode == 0, made.stderr
    status, found = examined(cli, "--offline", REDIS_URL=redis.url)
    assert status == 0
    assert found["documents"][0][0] == found["keys"][0][0] == found["policies"][0][0] == "ok"
    assert [state for state, _, _ in found["redis"]] == ["ok", "warning"]
    assert not {"google", "pinecone"} & found.keys()


def test_what_is_missing_is_said_with_the_command_that_mends_it(cli):
    status, found = examined(cli)
    assert status == 1
    assert found["redis"] == [("wrong", "no server is known", "./scripts/dev, or set REDIS_URL")]
    [(state, _, mend)] = found["keys"]
    assert (state, mend) == ("warning", "sluicegate keys create --tenant default")
    assert found["provider openai"][0][0] == found["google"][0][0] == found["pinecone"][0][0] == "unused"


def test_a_redis_away_and_one_that_forgets_are_wrong(cli, redis):
    status, found = examined(cli, "--offline", REDIS_URL="redis://127.0.0.1:1/0")
    assert (status, found["redis"][0][0]) == (1, "wrong")
    assert "REDIS_URL" in found["redis"][0][2]
    redis.stop()
    redis._command += ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]
    redis.start()
    status, found = examined(cli, "--offline", REDIS_URL=redis.url)
    assert status == 1
    assert ("wrong", "redis-cli CONFIG SET maxmemory-policy noeviction") in [
        (state, mend) for state, _, mend in found["redis"]
    ]


def test_an_expired_key_is_told(cli, redis):
    cli.run("keys", "create", "--expires", "1s", **DEVELOPMENT)
    time.sleep(1.1)
    _, found = examined(cli, "--offline", REDIS_URL=redis.url)
    assert "no key that works" in found["keys"][0][1]


def test_a_wrong_policy_or_setting_is_told_and_ends_nothing(cli, tmp_path):
    (tmp_path / "limits.yaml").write_text("surplus: 1\n")
    status, found = examined(cli, "--offline", SLUICEGATE_POLICY_DIR=str(tmp_path))
    assert status == 1
    assert any(state == "wrong" and "surplus" in says for state, says, _ in found["policies"])
    status, found = examined(cli, "--offline", PORT="much")
    assert status == 1
    assert found["settings"][0][0] == "wrong"
    assert "PORT" in found["settings"][0][1]


def test_googles_services_are_asked_where_there_is_a_project(cli, redis, tmp_path):
    pubsub, storage = PubSubJudge(), StorageJudge(tmp_path / "objects")
    pubsub.start()
    storage.start()
    try:
        status, found = examined(
            cli, REDIS_URL=redis.url, GCP_PROJECT_ID="p", PUBSUB_EMULATOR_HOST=pubsub.host,
            STORAGE_EMULATOR_HOST=storage.url, GOOGLE_APPLICATION_CREDENTIALS=str(tmp_path / "none.json"),
            DOCUMENT_STORE="sqlite", PINECONE_API_KEY="k",
        )  # fmt: skip
    finally:
        pubsub.stop()
        storage.stop()
    assert status == 1
    [(state, _, mend)] = found["Pub/Sub"]
    assert (state, mend) == ("wrong", "pulumi up")
    assert found["bucket p-sluicegate-log"][0][2] == "pulumi up"
    for service in ("Secret Manager", "Cloud KMS", "Cloud Monitoring"):
        [(state, _, mend)] = found[service]
        assert (state, mend) == ("wrong", "gcloud auth application-default login")
    assert found["pinecone"] == [("wrong", "PINECONE_INDEX_HOST is not set", "set PINECONE_INDEX_HOST")]


def test_people_read_a_table_and_the_remedies(cli):
    done = cli.run("doctor", "--offline", **DEVELOPMENT)
    assert done.returncode == 1
    assert "to mend redis: ./scripts/dev, or set REDIS_URL" in done.stdout
    assert done.stdout.rstrip().endswith("to be looked at")
