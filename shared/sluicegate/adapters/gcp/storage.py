"""Objects in Cloud Storage. The library is a blocking one: its calls run in a few threads of their own."""

import asyncio
import io
import os
from base64 import b64decode
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

from sluicegate.adapters.gcp.clients import OnFirstUse, Patience, explained
from sluicegate.adapters.gcp.errors import AbsentError, ConflictError

T = TypeVar("T")

NAME = "Cloud Storage"
THREADS = 8
STORAGE_PATIENCE = Patience(attempt_s=15.0, total_s=30.0)

# Above this the content goes in parts, each of which can be sent again by itself.
RESUMABLE_BYTES = 8 * 1024 * 1024
_CONNECT_S = 3.0
_WRITER = "writer"


class StoredObject(NamedTuple):
    """An object as it was read."""

    content: bytes
    generation: int


@dataclass(frozen=True, slots=True)
class UrlSigner:
    """Who signs URLs where the process has no key of its own: the API does, in this account's name."""

    account: str


class StorageClient:
    """The one client of a process; opened on first use, closed at the end.

    Args:
        endpoint: of an emulator, `http://host:port`, spoken to without credentials.
        credentials: gives the account's; by default as the process runs as.
    """

    def __init__(
        self,
        project: str,
        *,
        endpoint: str | None = None,
        credentials: Callable[[], Any] | None = None,
        patience: Patience = STORAGE_PATIENCE,
    ) -> None:
        self.endpoint = endpoint
        self._project = project
        self._make_credentials = credentials
        self.patience = patience
        self._threads: ThreadPoolExecutor | None = None
        self._client: OnFirstUse[Any] = OnFirstUse(lambda: self._in_thread(self._open))

    async def run(self, what: str, work: Callable[[Any, "_Limits"], T]) -> T:
        """What `work` makes of the client, in a thread.

        Raises:
            GoogleError: it was refused, or did not go through in time; see its subclasses.
        """
        try:
            client = await self._client.get()
            return await self._in_thread(lambda: work(client, _limits(self.patience)))
        except Exception as error:
            raise explained(error, NAME, what) from error

    async def close(self) -> None:
        """Wait for the work under way and end the threads."""
        client, threads, self._threads = self._client.forget(), self._threads, None
        if client is not None:
            await asyncio.to_thread(client.close)
        if threads is not None:
            await asyncio.to_thread(threads.shutdown)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="storage")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _open(self) -> Any:
        from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415 - takes half a second to load
        from google.cloud.storage import Client  # noqa: PLC0415
        from requests.adapters import HTTPAdapter  # noqa: PLC0415

        if self._make_credentials is not None:
            credentials = self._make_credentials()
        else:
            credentials = None if self.endpoint is None else AnonymousCredentials()  # type: ignore[no-untyped-call]
        options = None if self.endpoint is None else {"api_endpoint": self.endpoint}
        client = Client(self._project, credentials=credentials, client_options=options)
        client._http.mount("https://", HTTPAdapter(pool_maxsize=THREADS))  # noqa: SLF001 - as its documentation says
        return client


class Bucket:
    """The objects of one bucket.

    Args:
        write_once: objects are never changed nor deleted, which the bucket's retention would refuse.
    """

    def __init__(self, client: StorageClient, name: str, *, write_once: bool = False) -> None:
        self._client = client
        self.name = name
        self.write_once = write_once

    async def read(self, name: str) -> StoredObject | None:
        """The object; None where there is none. Its checksum is verified."""

        def work(client: Any, limits: "_Limits") -> StoredObject:
            blob = client.bucket(self.name).blob(name)
            content = blob.download_as_bytes(timeout=limits.timeout, retry=limits.retry)
            return StoredObject(content, int(blob.generation))

        try:
            return await self._client.run("read", work)
        except AbsentError:
            return None

    async def write(self, name: str, content: bytes, *, if_generation: int | None = None) -> int | None:
        """Write the object; its new generation, None where `if_generation` is not the one it has (0: none).

        Large contents are sent in parts. A write whose answer was lost on the way is recognised as done.
        """
        writer = os.urandom(8).hex()

        def work(client: Any, limits: "_Limits") -> int:
            large = len(content) > RESUMABLE_BYTES
            blob = client.bucket(self.name).blob(name, chunk_size=RESUMABLE_BYTES if large else None)
            blob.metadata = {_WRITER: writer}
            blob.upload_from_file(
                io.BytesIO(content),
                size=len(content),
                content_type="application/octet-stream",
                if_generation_match=if_generation,
                timeout=limits.timeout,
                # Without a condition a second try writes the same again, which does no harm.
                retry=limits.retry,
                checksum="crc32c",
            )
            return int(blob.generation)

        try:
            return await self._client.run("write", work)
        except ConflictError:
            found = await self._facts(name)
            return found.generation if found is not None and found.writer == writer else None

    async def list(self, prefix: str) -> "_Names":
        """Names that start with `prefix`, in order."""

        def work(client: Any, limits: "_Limits") -> _Names:
            found = client.list_blobs(
                self.name, prefix=prefix, fields="items(name),nextPageToken",
                timeout=limits.timeout, retry=limits.retry,
            )  # fmt: skip
            return sorted(blob.name for blob in found)

        return await self._client.run("list", work)

    async def delete(self, names: Collection[str]) -> None:
        """Delete these objects; those that are missing are deleted already."""
        if self.write_once:
            return

        def work(name: str) -> Callable[[Any, "_Limits"], None]:
            return lambda client, limits: client.bucket(self.name).delete_blob(
                name, timeout=limits.timeout, retry=limits.retry
            )

        async def one(name: str) -> None:
            try:
                await self._client.run("delete", work(name))
            except AbsentError:
                return

        await asyncio.gather(*(one(name) for name in names))

    async def same(self, name: str, content: bytes) -> int | None:
        """The object's generation if its content is `content` (by CRC32C and size), else None."""
        from google_crc32c import value as crc32c  # noqa: PLC0415 - loaded with the client

        found = await self._facts(name)
        if found is None or (found.size, found.crc32c) != (len(content), crc32c(content)):
            return None
        return found.generation

    async def sign_url(self, name: str, expires_s: float, *, signer: UrlSigner | None = None) -> str:
        """A URL (V4) by which anybody may read the object for `expires_s` seconds, at most a week.

        `signer` is None where the credentials hold a key themselves.
        """

        def work(client: Any, limits: "_Limits") -> str:
            more: dict[str, Any] = {}
            if signer is not None:
                from google.auth.transport.requests import Request  # noqa: PLC0415 - loaded with the client

                client._credentials.refresh(Request())  # noqa: SLF001 - it has no other way to its token
                more = {
                    "service_account_email": signer.account,
                    "access_token": client._credentials.token,  # noqa: SLF001
                }
            if self._client.endpoint is not None:
                more["api_access_endpoint"] = self._client.endpoint
            del limits
            url: str = (
                client.bucket(self.name)
                .blob(name)
                .generate_signed_url(
                    version="v4", expiration=timedelta(seconds=expires_s), method="GET", **more
                )
            )
            return url

        return await self._client.run("sign a URL", work)

    async def _facts(self, name: str) -> "_Facts | None":
        def work(client: Any, limits: "_Limits") -> _Facts | None:
            blob = client.bucket(self.name).get_blob(name, timeout=limits.timeout, retry=limits.retry)
            if blob is None:
                return None
            crc = int.from_bytes(b64decode(blob.crc32c or ""), "big")
            return _Facts(int(blob.generation), int(blob.size), crc, (blob.metadata or {}).get(_WRITER))

        return await self._client.run("look", work)


class _Facts(NamedTuple):
    generation: int
    size: int
    crc32c: int
    writer: str | None


class _Limits(NamedTuple):
    timeout: tuple[float, float]
    retry: Any


# `list` is also the name of one of a bucket's verbs.
_Names = list[str]


def _limits(patience: Patience) -> _Limits:
    from google.cloud.storage.retry import DEFAULT_RETRY  # noqa: PLC0415 - loaded with the client

    retry = DEFAULT_RETRY.with_delay(initial=0.1, maximum=2.0, multiplier=2.0).with_timeout(patience.total_s)
    return _Limits((_CONNECT_S, patience.attempt_s), retry)
