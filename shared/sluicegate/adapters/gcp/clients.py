"""Google's asynchronous clients: one of each per process, opened on first use, with time limits of ours."""

import asyncio
import contextlib
import logging
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar

from sluicegate.adapters.gcp.errors import GoogleError, is_transient, translate

T = TypeVar("T")

_log = logging.getLogger(__name__)

SCOPE = "https://www.googleapis.com/auth/cloud-platform"

# Without the first two, gRPC waits up to two minutes before it looks for a server that was away.
_CHANNEL: tuple[tuple[str, int], ...] = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)


class OnFirstUse(Generic[T]):
    """Something that is made when it is first needed, once, however many ask at the same time."""

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._made: T | None = None
        self._lock = asyncio.Lock()

    @property
    def made(self) -> T | None:
        """It, if it was needed yet."""
        return self._made

    async def get(self) -> T:
        """It. A failure to make it is the caller's; the next one tries again."""
        if self._made is None:
            async with self._lock:
                if self._made is None:
                    self._made = await self._make()
        return self._made

    def forget(self) -> T | None:
        """Hand it over to be closed."""
        made, self._made = self._made, None
        return made


@dataclass(frozen=True, slots=True)
class Service:
    """A gRPC service of Google's.

    Attributes:
        name: as people know it; in messages.
        module, client: the client's class.
        emulator: the key of `GoogleClients.emulators` that stands for it.
    """

    name: str
    module: str
    client: str
    emulator: str


PUBLISHER = Service("Pub/Sub", "google.pubsub_v1.services.publisher", "PublisherAsyncClient", "pubsub")
SUBSCRIBER = Service("Pub/Sub", "google.pubsub_v1.services.subscriber", "SubscriberAsyncClient", "pubsub")
SECRETS = Service(
    "Secret Manager", "google.cloud.secretmanager_v1", "SecretManagerServiceAsyncClient", "secrets"
)
KEYS = Service("Cloud KMS", "google.cloud.kms_v1", "KeyManagementServiceAsyncClient", "kms")
JOBS = Service("Cloud Run", "google.cloud.run_v2", "JobsAsyncClient", "run")
EXECUTIONS = Service("Cloud Run", "google.cloud.run_v2", "ExecutionsAsyncClient", "run")
SERVICES = Service("Cloud Run", "google.cloud.run_v2", "ServicesAsyncClient", "run")
METRICS = Service("Cloud Monitoring", "google.cloud.monitoring_v3", "MetricServiceAsyncClient", "monitoring")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may take: each try, and all tries together with the pauses between; seconds.

    With a `total_s` of 0 there is one try.
    """

    attempt_s: float = 5.0
    total_s: float = 15.0


DEFAULT_PATIENCE = Patience()


class GoogleClients:
    """All clients of one process, for one event loop.

    Args:
        emulators: `host:port` by service (`pubsub`, `secrets`, `kms`, `run`, `monitoring`), spoken to without
            TLS and credentials; all others are Google's own, as the account this process runs as.
        patience: of calls that do not say otherwise.
    """

    def __init__(
        self, emulators: Mapping[str, str] | None = None, *, patience: Patience = DEFAULT_PATIENCE
    ) -> None:
        self._emulators = dict(emulators or {})
        self._patience = patience
        self._clients: dict[Service, OnFirstUse[Any]] = {}
        self._credentials = OnFirstUse(lambda: asyncio.to_thread(_default_credentials))

    def emulated(self, service: str) -> bool:
        """Whether an emulator stands for the service."""
        return service in self._emulators

    async def call(
        self, service: Service, method: str, request: Any, patience: Patience | None = None
    ) -> Any:
        """What `method` of the service's client answers to `request`.

        Failures that may be over in a moment are tried again, within `patience` (of all calls by default).

        Raises:
            GoogleError: it was refused, or did not go through in time; see its subclasses.
        """
        try:
            return await self._call(service, method, request, patience)
        except Exception as error:
            raise explained(error, service.name, method) from error

    async def call_all(
        self, service: Service, method: str, request: Any, patience: Patience | None = None
    ) -> list[Any]:
        """As `call`, for a method that lists: all items of all pages."""
        try:
            pager = await self._call(service, method, request, patience)
            return [item async for item in pager]
        except Exception as error:
            raise explained(error, service.name, method) from error

    async def close(self) -> None:
        """Close all that was opened."""
        for each in self._clients.values():
            client = each.forget()
            if client is not None:
                with contextlib.suppress(Exception):
                    await client.transport.close()

    async def _call(self, service: Service, method: str, request: Any, patience: Patience | None) -> Any:
        from google.api_core.retry import AsyncRetry  # noqa: PLC0415 - takes a third of a second to load

        client = await self._client(service).get()
        limits = patience or self._patience
        retry = None
        if limits.total_s > 0:
            retry = AsyncRetry(
                predicate=is_transient, initial=0.1, maximum=2.0, multiplier=2.0, timeout=limits.total_s
            )
        return await getattr(client, method)(request=request, timeout=limits.attempt_s, retry=retry)

    def _client(self, service: Service) -> OnFirstUse[Any]:
        found = self._clients.get(service)
        if found is None:
            found = self._clients[service] = OnFirstUse(lambda: self._open(service))
        return found

    async def _open(self, service: Service) -> Any:
        # Loading takes up to a second: not on the event loop, where others are served.
        kind = getattr(await asyncio.to_thread(import_module, service.module), service.client)
        transport = kind.get_transport_class("grpc_asyncio")
        host = self._emulators.get(service.emulator)
        if host is not None:
            from grpc import aio  # noqa: PLC0415 - see above

            channel = aio.insecure_channel(host, options=_CHANNEL)
        else:
            credentials = await self._credentials.get()
            channel = transport.create_channel(
                f"{kind.DEFAULT_ENDPOINT}:443", credentials=credentials, scopes=[SCOPE], options=_CHANNEL
            )
        return kind(transport=transport(channel=channel))


async def pull_now(clients: GoogleClients, subscription: str, count: int) -> Any:
    """What Pub/Sub answers when asked for messages that it need not wait for; there may be more than it says.

    For those who do not wait for messages; who does, pulls without the flag, which is deprecated for them.
    """
    warnings.filterwarnings("ignore", "The return_immediately flag is deprecated", DeprecationWarning)
    request = {"subscription": subscription, "max_messages": count, "return_immediately": True}
    return await clients.call(SUBSCRIBER, "pull", request)


def explained(error: Exception, service: str, what: str) -> GoogleError:
    """Our error for `error`; what Google said goes to the log, for it may name what callers may not know."""
    if isinstance(error, GoogleError):
        return error
    ours = translate(error, service)
    _log.log(
        logging.INFO if type(ours) is not GoogleError else logging.WARNING,
        "%s, %s: %s: %s", service, what, type(error).__name__, str(error)[:500],
    )  # fmt: skip
    return ours


def _default_credentials() -> Any:
    import google.auth  # noqa: PLC0415 - see GoogleClients.call

    credentials, _ = google.auth.default(scopes=[SCOPE])
    return credentials
