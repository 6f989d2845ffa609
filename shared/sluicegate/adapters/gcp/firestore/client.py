"""One Firestore client per process: opened on first use, with deadlines, bounded retries, errors of ours."""

import asyncio
import importlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sluicegate.adapters.gcp.firestore.session import ConflictError, Session
from sluicegate.kernel.errors import ConfigurationError, DependencyUnavailableError

if TYPE_CHECKING:
    from google.cloud.firestore_v1 import AsyncClient

T = TypeVar("T")

log = logging.getLogger(__name__)

ATTEMPT_S = 5.0
DEADLINE_S = 15.0
MOST_ATTEMPTS = 12
RETRY_AFTER_S = 2.0

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0

# The library's own channels wait up to two minutes before they try a server that was away again.
_CHANNEL = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)


class Firestore:
    """Runs pieces of work against one database. Nothing happens at construction.

    Args:
        project: the Google Cloud project.
        database: the database's name.
        emulator: `host:port` of an emulator, which is asked without encryption and credentials.
        attempt_s: seconds that one answer may take.
        deadline_s: seconds that a piece of work may take, with all that is tried again.
    """

    def __init__(
        self,
        project: str,
        *,
        database: str = "(default)",
        emulator: str | None = None,
        attempt_s: float = ATTEMPT_S,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._project = project
        self._database = database
        self._emulator = emulator
        self._attempt_s = attempt_s
        self._deadline_s = deadline_s
        self._client: AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    async def run(
        self,
        work: Callable[[Session], Awaitable[T]],
        *,
        deadline_s: float | None = None,
        attempt_s: float | None = None,
    ) -> T:
        """What `work` returns. It is begun anew where another writer was first or an answer did not come.

        So it must be harmless to repeat: an answer that was lost may be one to a commit that was applied.

        Raises:
            DependencyUnavailableError: Firestore did not do it within the deadline.
            ConfigurationError: there are no credentials.
        """
        until = time.monotonic() + (self._deadline_s if deadline_s is None else deadline_s)
        longest = self._attempt_s if attempt_s is None else attempt_s
        client = self._client or await self._open()
        attempt = 0
        while True:
            attempt += 1
            left = until - time.monotonic()
            try:
                return await work(Session(client, max(0.001, min(longest, left))))
            except Exception as error:
                pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt) * random.random()  # noqa: S311 - jitter
                again = _passes(error) and attempt < MOST_ATTEMPTS and time.monotonic() + pause < until
                if not again:
                    ours = _translated(error)
                    if ours is error:
                        raise
                    raise ours from error
                log.debug("firestore: attempt %d failed: %s", attempt, error)
                await asyncio.sleep(pause)

    async def close(self) -> None:
        """Close the connection, if there is one. What is asked afterwards is refused."""
        self._closed = True
        client, self._client = self._client, None
        if client is not None:
            await client._firestore_api.transport.close()  # noqa: SLF001 - the client has no close of its own

    async def _open(self) -> "AsyncClient":
        async with self._opening:
            if self._closed:
                raise DependencyUnavailableError("Firestore's client is closed")
            if self._client is None:
                # Reading the library's modules takes a second: not on the loop.
                library = await asyncio.to_thread(importlib.import_module, "google.cloud.firestore_v1")
                credentials = await asyncio.to_thread(_credentials, emulated=self._emulator is not None)
                self._client = _connected(library, self._project, self._database, credentials, self._emulator)
            return self._client


def _credentials(*, emulated: bool) -> Any:
    import google.auth  # noqa: PLC0415 - on first use
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415 - on first use
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - on first use

    if emulated:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    try:
        credentials, _ = google.auth.default(scopes=("https://www.googleapis.com/auth/datastore",))
    except GoogleAuthError as error:
        raise ConfigurationError(
            "there are no credentials for Firestore: run `gcloud auth application-default login`, or run "
            "this as a service account"
        ) from error
    return credentials


def _connected(
    library: Any, project: str, database: str, credentials: Any, emulator: str | None
) -> "AsyncClient":
    import grpc.aio  # noqa: PLC0415 - on first use
    from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient  # noqa: PLC0415 - on first use
    from google.cloud.firestore_v1.services.firestore.transports.grpc_asyncio import (  # noqa: PLC0415 - on first use
        FirestoreGrpcAsyncIOTransport,
    )

    client: AsyncClient = library.AsyncClient(project=project, database=database, credentials=credentials)
    host = FirestoreAsyncClient.DEFAULT_ENDPOINT if emulator is None else emulator
    if emulator is None:
        channel = FirestoreGrpcAsyncIOTransport.create_channel(
            host, credentials=credentials, options=list(_CHANNEL)
        )
    else:
        channel = grpc.aio.insecure_channel(emulator, options=list(_CHANNEL))
    transport = FirestoreGrpcAsyncIOTransport(host=host, channel=channel)
    # What the client would make for itself, but for the channel's patience.
    client._emulator_host = emulator  # noqa: SLF001 - as above
    client._firestore_api_internal = FirestoreAsyncClient(transport=transport)  # noqa: SLF001 - as above
    return client


def _passes(error: Exception) -> bool:
    """Whether trying again may help."""
    from google.api_core import exceptions  # noqa: PLC0415 - on first use

    return isinstance(
        error,
        (
            ConflictError,
            exceptions.Aborted,
            exceptions.Cancelled,
            exceptions.DeadlineExceeded,
            exceptions.InternalServerError,
            exceptions.ServiceUnavailable,
            exceptions.TooManyRequests,
            exceptions.Unknown,
        ),
    )


def _translated(error: Exception) -> Exception:
    from google.api_core import exceptions  # noqa: PLC0415 - on first use
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - on first use

    if isinstance(error, ConflictError | exceptions.Aborted):
        return DependencyUnavailableError(
            "Firestore: too many writers at once on the same documents", retry_after=RETRY_AFTER_S
        )
    if isinstance(error, exceptions.PermissionDenied | exceptions.Unauthenticated | GoogleAuthError):
        return DependencyUnavailableError(
            "Firestore refuses this service account: grant it roles/datastore.user", retry_after=RETRY_AFTER_S
        )
    if isinstance(error, exceptions.FailedPrecondition):
        return DependencyUnavailableError(
            "Firestore has no index for this query: `pulumi up` builds it", retry_after=RETRY_AFTER_S
        )
    if isinstance(error, exceptions.GoogleAPICallError):
        return DependencyUnavailableError(
            f"Firestore cannot be asked now ({type(error).__name__})", retry_after=RETRY_AFTER_S
        )
    return error
