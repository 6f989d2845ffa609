"""What the providers reached over HTTP have in common."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from sluicegate import __version__
from sluicegate.completions.types import Headers, UpstreamCall, UpstreamFailure, UpstreamReply
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.models import Dialect

CHECK_S = 10.0

# What the provider itself says in every request, and what frames it: never taken from a call.
_OWN = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"authorization",
        b"connection",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"transfer-encoding",
        b"upgrade",
        b"user-agent",
        b"x-api-key",
        b"x-request-id",
    }
)


class Secret(Protocol):
    """A credential that shows itself only when asked (pydantic's `SecretStr` is one)."""

    def get_secret_value(self) -> str: ...


class Endpoint(Protocol):
    """A prepared method and target of an HTTP client."""

    async def send(
        self,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        *,
        connect_s: float,
        first_byte_s: float,
        idle_s: float,
        total_s: float,
    ) -> UpstreamReply: ...


class HttpSender(Protocol):
    """The HTTP client, as far as providers need it. It is shared, and closed by whoever made it."""

    def endpoint(self, method: str, url: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> Endpoint:
        """Prepare a request; ValueError where address or headers are not valid."""
        ...


class HttpProvider:
    """Base of the providers: prepares endpoints, sends calls, never shows a credential.

    Args:
        name: the provider's name in the catalogue.
        base_url: what every path is relative to.
        client: the HTTP client.
        connect_s: seconds to get a connection; a call's own deadlines may be tighter.
        headers: sent with every request, credentials among them.
    """

    kind = "http"

    def __init__(
        self, name: str, base_url: str, client: HttpSender, *, connect_s: float, headers: Mapping[str, str]
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._host = urlsplit(self._base_url).hostname or ""
        self._client = client
        self._connect_s = connect_s
        self._headers = dict(headers)
        self._own = _OWN | {field.lower().encode() for field in headers}

    dialects: tuple[Dialect, ...] = ()

    def spoken(self, model: str) -> tuple[Dialect, ...]:  # noqa: ARG002 - here every model speaks the same
        """The dialects of `model`, the preferred one first."""
        return self.dialects

    def ready(self) -> str | None:
        """Why this provider cannot be used, with the remedy, or None."""
        return None

    async def check(self) -> None:
        """Ask for something cheap.

        Raises:
            UpstreamFailure: no answer, an answer of 5xx, or the credential was refused.
        """
        await self._check("/models", [])

    async def close(self) -> None:
        """Let go of what is this provider's own; the client is not."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def _endpoint(self, method: str, path: str, accept: str) -> Endpoint:
        common = {
            "accept": accept,
            "accept-encoding": "identity",
            "user-agent": f"sluicegate/{__version__}",
        }
        if method == "POST":
            common["content-type"] = "application/json"
        try:
            headers = _encoded(self.name, common | self._headers)
            return self._client.endpoint(method, self._base_url + path, headers)
        except ValueError as error:
            raise ConfigurationError(f"provider {self.name}: {error}") from None

    def _pair(self, path: str, stream_path: str | None = None) -> tuple[Endpoint, Endpoint]:
        """The endpoints for a whole answer and for a stream, to be indexed by `call.stream`."""
        return (
            self._endpoint("POST", path, "application/json"),
            self._endpoint("POST", stream_path or path, "text/event-stream"),
        )

    async def _send(
        self, endpoint: Endpoint, call: UpstreamCall, body: bytes, own: Headers | None = None
    ) -> UpstreamReply:
        headers: Headers = [(b"x-request-id", call.request_id.encode())]
        if own:
            headers += own
        if call.headers:
            headers += [header for header in call.headers if header[0].lower() not in self._own]
        reply = await endpoint.send(
            headers,
            body,
            connect_s=self._connect_s,
            first_byte_s=call.first_byte_s,
            idle_s=call.idle_s,
            total_s=call.total_s,
        )
        encoding = reply.headers.get(b"content-encoding")
        if encoding is not None and encoding.lower() != b"identity":
            reply.close()
            raise UpstreamFailure("head", "the answer is compressed, which was not asked for", sent=True)
        return reply

    async def _check(self, path: str, own: Headers) -> None:
        endpoint = self._endpoint("GET", path, "application/json")
        reply = await endpoint.send(
            own,
            b"",
            connect_s=min(self._connect_s, CHECK_S),
            first_byte_s=CHECK_S,
            idle_s=CHECK_S,
            total_s=CHECK_S,
        )
        try:
            await reply.read()
        finally:
            reply.close()
        if reply.status in {401, 403}:
            reason = f"{self.name} refuses the credential ({reply.status}); check the key and what it may do"
            raise UpstreamFailure("head", reason, sent=True)
        if reply.status >= 500:
            raise UpstreamFailure("head", f"{self.name} answered {reply.status}", sent=True)

    def _usable(self) -> None:
        reason = self.ready()
        if reason is not None:
            raise UpstreamFailure("connect", reason, sent=False)


def revealed(name: str, secret: Secret | None) -> str:
    """The credential without surrounding white space (files end in line breaks); empty where there is none.

    Raises:
        ConfigurationError: it holds characters that cannot be sent. It is not repeated.
    """
    value = "" if secret is None else secret.get_secret_value().strip()
    if not (value.isascii() and value.isprintable()):
        raise ConfigurationError(
            f"provider {name}: the API key holds line breaks or characters outside ASCII; set it again"
        )
    return value


def _encoded(name: str, headers: Mapping[str, str]) -> Headers:
    if not all(key.isascii() and value.isascii() for key, value in headers.items()):
        raise ConfigurationError(f"provider {name}: headers must be ASCII")
    return [(key.lower().encode(), value.encode()) for key, value in headers.items()]
