"""How Google's clients are opened, and what their errors become."""

import asyncio

import pytest
from google.api_core import exceptions as api
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError

from sluicegate.adapters.gcp import clients as module
from sluicegate.adapters.gcp.clients import GoogleClients, OnFirstUse, Service
from sluicegate.adapters.gcp.errors import (
    AbsentError,
    ConflictError,
    ForbiddenError,
    GoogleError,
    RefusedArgumentError,
    is_transient,
    translate,
)
from sluicegate.kernel.errors import DependencyUnavailableError

SERVICES = [each for each in vars(module).values() if isinstance(each, Service)]


@pytest.mark.parametrize("service", SERVICES, ids=lambda each: each.client)
async def test_googles_own_service_is_spoken_to_over_tls_with_the_accounts_credentials(service, monkeypatch):
    seen = []

    def create(host, *, credentials, scopes, options):
        seen.append((host, credentials, scopes, dict(options)))
        return original(host, credentials=credentials, scopes=scopes, options=options)

    credentials = AnonymousCredentials()
    monkeypatch.setattr(module, "_default_credentials", lambda: credentials)
    clients = GoogleClients()
    client_kind = getattr(__import__(service.module, fromlist=["x"]), service.client)
    transport = client_kind.get_transport_class("grpc_asyncio")
    original = transport.create_channel
    monkeypatch.setattr(transport, "create_channel", create)
    client = await clients._client(service).get()
    assert type(client) is client_kind
    [(host, used, scopes, options)] = seen
    assert host.endswith(".googleapis.com:443")
    assert used is credentials
    assert scopes == ["https://www.googleapis.com/auth/cloud-platform"]
    assert options["grpc.max_reconnect_backoff_ms"] <= 2_000
    await clients.close()


async def test_something_is_made_once_however_many_ask_and_again_after_a_failure():
    made = []

    async def make():
        await asyncio.sleep(0)
        made.append(1)
        if len(made) == 1:
            raise OSError("not yet")
        return len(made)

    one = OnFirstUse(make)
    with pytest.raises(OSError, match="not yet"):
        await one.get()
    assert set(await asyncio.gather(*(one.get() for _ in range(10)))) == {2}
    assert one.forget() == 2
    assert one.made is None


@pytest.mark.parametrize(
    ("error", "kind", "transient"),
    [
        (api.ServiceUnavailable("x"), GoogleError, True),
        (api.DeadlineExceeded("x"), GoogleError, True),
        (api.InternalServerError("x"), GoogleError, True),
        (api.ResourceExhausted("x"), GoogleError, True),
        (api.TooManyRequests("x"), GoogleError, True),
        (api.NotFound("x"), AbsentError, False),
        (api.AlreadyExists("x"), ConflictError, False),
        (api.Aborted("x"), ConflictError, False),
        (api.FailedPrecondition("x"), ConflictError, False),
        (api.PreconditionFailed("x"), ConflictError, False),
        (api.InvalidArgument("x"), RefusedArgumentError, False),
        (api.PermissionDenied("x"), ForbiddenError, False),
        (api.Unauthenticated("x"), ForbiddenError, False),
        (DefaultCredentialsError("x"), GoogleError, False),
        (ConnectionResetError("x"), GoogleError, False),
        (api.RetryError("x", cause=api.NotFound("x")), AbsentError, False),
    ],
)
def test_each_error_is_one_of_ours_and_says_nothing_of_googles_words(error, kind, transient):
    ours = translate(error, "Pub/Sub")
    assert type(ours) is kind
    assert isinstance(ours, DependencyUnavailableError)
    assert ours.message.startswith("Pub/Sub")
    assert is_transient(error) is transient
    assert "gcloud" in ours.message or not isinstance(error, DefaultCredentialsError)
