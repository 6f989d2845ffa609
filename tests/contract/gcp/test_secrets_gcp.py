"""Secrets of Secret Manager, over the wire, while they rotate."""

import asyncio

import pytest
from grpc import StatusCode
from pydantic import SecretStr

from sluicegate.adapters.gcp.secrets import REFUSED_EVERY_S, SecretManagerSecrets
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.errors import DependencyUnavailableError

NAME = "OPENAI_API_KEY"
SECRET = "projects/p/secrets/sluicegate-openai-api-key"
NOTICE = {"eventType": "SECRET_VERSION_ADD", "secretId": "projects/1/secrets/sluicegate-openai-api-key"}


@pytest.fixture
def clock():
    return FixedClock()


@pytest.fixture
async def secrets(clients, clock, google):
    google.secrets.secrets[SECRET] = [[b"one", "ENABLED"]]
    secrets = SecretManagerSecrets(clients, "p", clock, ttl_s=300, stale_s=3_600)
    yield secrets
    await secrets.close()


async def read_beside(secrets):
    await asyncio.gather(*secrets._reading.values(), return_exceptions=True)


def plain(values):
    return [value.get_secret_value() for value in values]


async def test_the_newest_enabled_version_counts_and_all_enabled_ones_are_good(secrets, google):
    google.secrets.secrets[SECRET] = [
        [b"old", "DISABLED"], [b"gone", "DESTROYED"], [b"two\n", "ENABLED"], [b"three", "ENABLED"],
        [b"four", "ENABLED"], [b"five", "DISABLED"],
    ]  # fmt: skip
    assert (await secrets.value(NAME)).get_secret_value() == "four"
    assert plain(await secrets.values(NAME)) == ["four", "three", "two"]


async def test_a_secret_that_is_not_there_is_none(secrets, google):
    assert await secrets.value("METRICS_TOKEN") is None
    google.secrets.secrets["projects/p/secrets/sluicegate-empty"] = []
    assert await secrets.value("EMPTY") is None


async def test_it_is_asked_for_once_by_however_many(secrets, google):
    assert {str(each) for each in await asyncio.gather(*(secrets.value(NAME) for _ in range(50)))}
    assert google.calls == ["ListSecretVersions", "AccessSecretVersion"]


async def test_a_changed_version_is_picked_up_without_anybody_waiting(secrets, google, clock):
    assert plain(await secrets.values(NAME)) == ["one"]
    google.secrets.secrets[SECRET].append([b"two", "ENABLED"])
    clock.advance(299)
    assert plain(await secrets.values(NAME)) == ["one"]
    assert len(google.calls) == 2
    clock.advance(2)
    # Who comes now has the answer that is there, and sets off the reading.
    assert plain(await secrets.values(NAME)) == ["one"]
    await read_beside(secrets)
    assert plain(await secrets.values(NAME)) == ["two", "one"]


async def test_a_notice_has_it_read_at_once(secrets, google):
    await secrets.value(NAME)
    google.secrets.secrets[SECRET].append([b"two", "ENABLED"])
    assert secrets.noticed(NOTICE) == NAME
    await read_beside(secrets)
    assert (await secrets.value(NAME)).get_secret_value() == "two"


@pytest.mark.parametrize(
    "notice",
    [
        {},
        {**NOTICE, "eventType": "SECRET_ROTATE"},
        {**NOTICE, "secretId": "projects/1/secrets/others-openai-api-key"},
    ],
)
async def test_other_notices_change_nothing(secrets, google, notice):
    await secrets.value(NAME)
    assert secrets.noticed(notice) is None
    assert len(google.calls) == 2


async def test_whose_key_is_refused_gets_the_newest_at_once_and_cannot_ask_too_often(secrets, google, clock):
    old = await secrets.value(NAME)
    google.secrets.secrets[SECRET].append([b"two", "ENABLED"])
    clock.advance(REFUSED_EVERY_S)
    found = await asyncio.gather(*(secrets.refused(NAME, old) for _ in range(20)))
    assert plain(set(found)) == ["two"]
    calls = len(google.calls)
    for _ in range(20):
        assert await secrets.refused(NAME, found[0]) is None
    assert len(google.calls) == calls


async def test_rotation_under_load_refuses_nobody(secrets, google, clock):
    """The issuer takes the two newest enabled versions; the older one is disabled once the newer is out."""
    versions = google.secrets.secrets[SECRET]
    refused = 0

    async def request():
        nonlocal refused
        value = await secrets.value(NAME)
        if value.get_secret_value().encode() not in [
            value for value, state in versions if state == "ENABLED"
        ]:
            value = await secrets.refused(NAME, value)
            refused += value is None

    for turn in range(10):
        await secrets.add(NAME, SecretStr(f"v{turn}"))
        secrets.noticed(NOTICE)
        await asyncio.gather(*(request() for _ in range(50)))
        await secrets.retire(NAME, keep=1)
        clock.advance(REFUSED_EVERY_S)
        await asyncio.gather(*(request() for _ in range(50)))
    assert refused == 0
    assert plain(await secrets.values(NAME)) == ["v9"]


async def test_a_change_by_others_while_all_hold_the_old_one_refuses_nobody(secrets, google, clock):
    assert await secrets.value(NAME)
    google.secrets.secrets[SECRET] = [[b"one", "DISABLED"], [b"two", "ENABLED"]]
    clock.advance(REFUSED_EVERY_S)

    async def request():
        value = await secrets.value(NAME)
        return value if value.get_secret_value() == "two" else await secrets.refused(NAME, value)

    assert {each.get_secret_value() for each in await asyncio.gather(*(request() for _ in range(100)))} == {
        "two"
    }


async def test_with_the_service_away_the_old_value_holds_for_a_while(secrets, google, clock):
    await secrets.value(NAME)
    google.faults = [StatusCode.PERMISSION_DENIED] * 100
    clock.advance(301)
    for _ in range(3):
        assert (await secrets.value(NAME)).get_secret_value() == "one"
        await read_beside(secrets)
        clock.advance(1_000)
    clock.advance(3_600)
    with pytest.raises(DependencyUnavailableError):
        await secrets.value(NAME)
    google.faults = []
    assert (await secrets.value(NAME)).get_secret_value() == "one"


async def test_a_secret_never_shows_itself(secrets):
    assert "one" not in repr(await secrets.value(NAME))
    assert "one" not in repr(secrets.__dict__)
