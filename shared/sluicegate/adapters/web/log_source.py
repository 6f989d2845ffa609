"""A log on a server, as whoever verifies it reads it."""

import http.client
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sluicegate.audit.verify.source import UnreadableSourceError

TIMEOUT_S = 30.0
MAX_BYTES = 64 << 20
"""The largest file: a bundle has 16 MiB at most."""

_TRIES = 3
_HINTS = {
    401: ": entries are for whoever has an API key that may see them, in SLUICEGATE_API_KEY; all others can "
    "verify the hashes, with --hashes-only",
}


@dataclass(slots=True)
class ServedLog:
    """`audit.verify.source.LogSource` over HTTP. One connection is kept; whoever gets a copy makes its own.

    Args:
        url: where the log begins: `checkpoint` and `tile/…` lie below it.
        credential: an API key or token, for the log's entries; None: only what is public.
    """

    url: str
    credential: str | None = field(default=None, repr=False)
    _connection: http.client.HTTPConnection | None = field(default=None, init=False, repr=False)

    def __getstate__(self) -> tuple[str, str | None]:
        return self.url, self.credential

    def __setstate__(self, state: tuple[str, str | None]) -> None:
        self.url, self.credential = state
        self._connection = None

    def read(self, name: str) -> bytes | None:
        parts = urlsplit(self.url)
        path = f"{parts.path.rstrip('/')}/{name}"
        headers = {"accept-encoding": "identity", "user-agent": "sluicegate-verify"}
        if self.credential is not None:
            headers["authorization"] = f"Bearer {self.credential}"
        status, content = self._get(path, headers)
        if status == http.HTTPStatus.OK:
            return content
        if status == http.HTTPStatus.NOT_FOUND:
            return None
        why = _HINTS.get(status, "")
        raise UnreadableSourceError(f"{self.url}: {name} was answered with {status}{why}")

    def names(self, prefix: str) -> Iterator[str] | None:  # noqa: ARG002 - a port's: a server does not tell
        return None

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _get(self, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        problem: Exception | None = None
        for _ in range(_TRIES):
            try:
                connection = self._connection or self._connect()
                self._connection = connection
                connection.request("GET", path, headers=headers)
                response = connection.getresponse()
                content = response.read(MAX_BYTES + 1)
            except (OSError, http.client.HTTPException) as error:
                problem = error
                self.close()
                continue
            if len(content) > MAX_BYTES:
                raise UnreadableSourceError(f"{self.url}: {path} is larger than any file of a log")
            return response.status, content
        raise UnreadableSourceError(f"{self.url}: {problem}")

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host = parts.hostname
        if host is None or parts.scheme not in {"http", "https"}:
            raise UnreadableSourceError(f"{self.url}: not an address of a log")
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=context)
        return http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
