import os
import sys
from pathlib import Path

import pytest
from gcp_judges import PubSubJudge, StorageJudge
from gcp_services import GoogleServices

from sluicegate.adapters.gcp.clients import GoogleClients

# The suites that adapters of other kinds pass, too.
sys.path.insert(0, str(Path(__file__).parents[1]))


@pytest.fixture(scope="session")
def pubsub_judge():
    if os.environ.get("PUBSUB_EMULATOR_HOST"):
        yield None
        return
    judge = PubSubJudge()
    judge.start()
    yield judge
    judge.stop()


@pytest.fixture(scope="session")
def pubsub_host(pubsub_judge):
    return os.environ.get("PUBSUB_EMULATOR_HOST") or pubsub_judge.host


@pytest.fixture(scope="session")
def storage_url(tmp_path_factory):
    given = os.environ.get("STORAGE_EMULATOR_HOST")
    if given:
        yield given
        return
    judge = StorageJudge(tmp_path_factory.mktemp("objects"))
    judge.start()
    yield judge.url
    judge.stop()


@pytest.fixture
async def google():
    """Secret Manager, Cloud KMS, Cloud Run and Monitoring: servers of our own that speak their protocols."""
    services = GoogleServices()
    await services.start()
    yield services
    await services.stop()


@pytest.fixture
async def clients(google):
    clients = GoogleClients(dict.fromkeys(("secrets", "kms", "run", "monitoring"), google.host))
    yield clients
    await clients.close()
