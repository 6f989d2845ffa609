from collections.abc import AsyncIterator, Iterator

import pytest
from firestore_process import EMULATOR, FirestoreProcess, new_project

from sluicegate.adapters.gcp.firestore.client import Firestore


@pytest.fixture(scope="session")
def firestore_host() -> Iterator[str]:
    """A Firestore server: FIRESTORE_EMULATOR_HOST's, or one of ours, which answers only what has an index."""
    pytest.importorskip("google.cloud.firestore_v1", reason="the extra 'gcp' is not installed")
    if EMULATOR is not None:
        yield EMULATOR
        return
    server = FirestoreProcess()
    server.start()
    yield server.host
    server.kill()


@pytest.fixture
def firestore_project() -> str:
    """A project of the test's own, in which there is nothing yet."""
    return new_project()


@pytest.fixture
async def firestore(firestore_host: str, firestore_project: str) -> AsyncIterator[Firestore]:
    opened = Firestore(firestore_project, emulator=firestore_host)
    yield opened
    await opened.close()


@pytest.fixture
async def other_firestore(firestore_host: str, firestore_project: str) -> AsyncIterator[Firestore]:
    """Another process's view of the same database."""
    opened = Firestore(firestore_project, emulator=firestore_host)
    yield opened
    await opened.close()
