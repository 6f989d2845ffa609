"""What happens when a service ends in the middle: bounded tries, a clear error, and on without a restart."""

import asyncio
import os
from http.client import HTTPConnection

import pytest
from gcp_judges import PubSubJudge, StorageJudge
from grpc import StatusCode
from test_event_bus import LEASE_S, bodies, messages

from sluicegate.adapters.gcp.clients import GoogleClients, Patience
from sluicegate.adapters.gcp.errors import ForbiddenError, GoogleError
from sluicegate.adapters.gcp.kms import KmsSigner
from sluicegate.adapters.gcp.pubsub import Backlog, PubSubEventBus
from sluicegate.adapters.gcp.pubsub_names import PubSubNames
from sluicegate.adapters.gcp.storage import Bucket, StorageClient
from sluicegate.audit.keys import ed25519_verifies
from sluicegate.kernel.clock import SystemClock
from sluicegate.kernel.errors import DependencyUnavailableError

VERSION = "projects/p/locations/l/keyRings/r/cryptoKeys/log/cryptoKeyVersions/1"
SOON = Patience(attempt_s=0.5, total_s=1.0)
# Far above what is allowed for all tries together; only an endless loop takes as long.
BOUND_S = 15.0


async def soon(action):
    """What `action` gives once the connection is back: the library waits up to 2 s between its attempts."""
    async with asyncio.timeout(BOUND_S):
        while True:
            try:
                return await action()
            except DependencyUnavailableError:
                await asyncio.sleep(0.05)


@pytest.fixture
def judge():
    judge = PubSubJudge()
    judge.start()
    yield judge
    judge.stop()


@pytest.fixture
async def bus(judge):
    async def backlog(_subscription):
        return Backlog(0, None, 0.0)

    clients = GoogleClients({"pubsub": judge.host}, patience=SOON)
    names = PubSubNames("p", f"t{os.urandom(5).hex()}")
    bus = PubSubEventBus(clients, names, ("ledger", "audit"), SystemClock(), backlog, manage=True)
    yield bus
    await bus.close()
    await clients.close()


async def test_pubsub_away_is_said_so_and_its_return_is_noticed(bus, judge):
    await bus.publish(messages(3))
    taken = await bus.receive("ledger", 10, LEASE_S, 1.0)
    judge.stop()
    async with asyncio.timeout(BOUND_S):
        for action in (
            bus.publish(messages(1)), bus.receive("ledger", 10, LEASE_S, 0), bus.ack("ledger", taken),
            bus.bury("ledger", taken[0], "x"), bus.groups(),
        ):  # fmt: skip
            with pytest.raises(DependencyUnavailableError, match="Pub/Sub"):
                await action
    judge.start()
    # The judge forgot all; what is published from now on comes.
    await soon(lambda: bus.publish(messages(2, first=7)))
    assert bodies(await bus.receive("ledger", 10, LEASE_S, 1.0)) == [7, 8]


async def test_who_waits_while_pubsub_ends_is_told_and_gets_what_comes_later(bus, judge):
    await bus.publish(messages(1))
    await bus.receive("ledger", 10, LEASE_S, 1.0)
    waiting = asyncio.create_task(bus.receive("ledger", 10, LEASE_S, 100.0))
    await asyncio.sleep(0.05)
    judge.stop()
    await asyncio.sleep(0.05)
    judge.start()

    async def publish_and_take():
        while True:
            try:
                await bus.publish(messages(1, first=5))
                if not waiting.done():
                    return bodies(await waiting)
                return bodies(await bus.receive("ledger", 10, LEASE_S, 1.0))
            except DependencyUnavailableError:
                continue

    async with asyncio.timeout(BOUND_S):
        assert set(await publish_and_take()) == {5}


async def test_what_is_published_while_pubsub_comes_and_goes_is_lasting_or_refused(bus, judge):
    """The bus says of each message whether it is there; what it took since the last start is not missing."""
    taken, refused, started = set(), 0, 0
    for turn in range(3):
        if turn:
            judge.stop()
        for n in range(turn * 10, turn * 10 + 5):
            try:
                await bus.publish(messages(1, first=n))
            except DependencyUnavailableError:
                refused += 1
                if turn > started:
                    judge.start()
                    taken.clear()  # the judge's memory
                    started = turn
            else:
                taken.add(n)
    found = set()
    async with asyncio.timeout(BOUND_S):
        while deliveries := await soon(lambda: bus.receive("ledger", 100, LEASE_S, 0)):
            found |= set(bodies(deliveries))
    assert taken <= found
    assert refused >= 2


async def test_storage_away_is_said_so_and_its_return_is_noticed(tmp_path):
    judge = StorageJudge(tmp_path)
    judge.start()
    connection = HTTPConnection(judge.host, timeout=10)
    connection.request(
        "POST", "/storage/v1/b?project=p", '{"name": "log"}', {"content-type": "application/json"}
    )
    assert connection.getresponse().status == 200
    connection.close()
    client = StorageClient("p", endpoint=judge.url, patience=SOON)
    bucket = Bucket(client, "log")
    await bucket.write("state", b"1", if_generation=0)
    judge.stop()
    async with asyncio.timeout(BOUND_S):
        for action in (
            bucket.write("state", b"2"), bucket.read("state"), bucket.list(""), bucket.delete(["state"]),
        ):  # fmt: skip
            with pytest.raises(DependencyUnavailableError, match="Cloud Storage"):
                await action
    judge.start()
    assert (await soon(lambda: bucket.read("state"))).content == b"1"
    assert await bucket.write("state", b"2")
    await client.close()
    judge.stop()


async def test_kms_away_is_said_so_and_its_return_is_noticed(google):
    clients = GoogleClients({"kms": google.host}, patience=SOON)
    signer = KmsSigner(clients, VERSION)
    await signer.sign(b"x")
    await google.stop()
    async with asyncio.timeout(BOUND_S):
        with pytest.raises(DependencyUnavailableError, match="Cloud KMS"):
            await signer.sign(b"x")
    await google.start()
    assert ed25519_verifies(signer.public_key, b"x", await soon(lambda: signer.sign(b"x")))
    await clients.close()


@pytest.mark.parametrize(
    ("code", "kind", "calls"),
    [
        (StatusCode.PERMISSION_DENIED, ForbiddenError, 1),
        (StatusCode.UNAUTHENTICATED, ForbiddenError, 1),
        (StatusCode.UNIMPLEMENTED, GoogleError, 1),
    ],
)
async def test_what_no_second_try_can_mend_is_not_tried_again(google, code, kind, calls):
    clients = GoogleClients({"kms": google.host}, patience=SOON)
    google.faults = [code] * 10
    with pytest.raises(kind):
        await KmsSigner(clients, VERSION).load()
    assert len(google.calls) == calls
    await clients.close()


async def test_tries_are_few(google):
    clients = GoogleClients({"kms": google.host}, patience=SOON)
    google.faults = [StatusCode.UNAVAILABLE] * 1_000
    with pytest.raises(DependencyUnavailableError):
        await KmsSigner(clients, VERSION).load()
    assert 2 <= len(google.calls) <= 20
    await clients.close()


async def test_nobody_shows_callers_what_google_said(google, monkeypatch):
    def refuse(_request):
        raise ZeroDivisionError("projects/secret-project/keys")

    clients = GoogleClients({"kms": google.host}, patience=SOON)
    monkeypatch.setattr(google.kms, "GetPublicKey", refuse)
    await google.stop()
    await google.start()
    with pytest.raises(GoogleError) as caught:
        await KmsSigner(clients, VERSION).load()
    assert "secret-project" not in caught.value.message
    await clients.close()
