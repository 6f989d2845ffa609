"""The address of an upstream, parsed once."""

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_FORBIDDEN = frozenset(map(chr, range(0x21))) | {"\x7f", "\\"}


@dataclass(frozen=True, slots=True)
class Url:
    """An `http` or `https` address: where to connect and the path that every target begins with.

    `authority` is the value of the `host` header; `base` is the path without a trailing slash, empty
    for the root. `origin` identifies the connections that may serve it.
    """

    scheme: str
    host: str
    port: int
    authority: bytes
    base: bytes

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: the key of a connection pool."""
        return (self.scheme, self.host, self.port)

    @classmethod
    def parse(cls, text: str) -> "Url":
        """`text` as a Url.

        Raises:
            ValueError: another scheme, no host, a password, a query, a fragment, or characters that
                have no place in a request line. The message never repeats `text`, which may hold a secret.
        """
        if not text.isascii() or any(character in _FORBIDDEN for character in text):
            raise ValueError(
                "an upstream address must be plain ASCII without spaces; percent-encode the rest"
            )
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError(
                "an upstream address must be of the form https://host[:port][/path]; "
                "its host or port cannot be read"
            ) from None
        _check(parts)
        host = parts.hostname or ""
        default = _DEFAULT_PORTS[parts.scheme]
        authority = f"[{host}]" if ":" in host else host
        if port is not None and port != default:
            authority += f":{port}"
        return cls(
            scheme=parts.scheme,
            host=host,
            port=default if port is None else port,
            authority=authority.encode(),
            base=parts.path.rstrip("/").encode(),
        )


def _check(parts: SplitResult) -> None:
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("an upstream address must begin with http:// or https://")
    if not parts.hostname:
        raise ValueError("an upstream address must name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an upstream address must not hold a user name or password; set the API key instead")
    if parts.query or parts.fragment:
        raise ValueError("an upstream address must not have a query or a fragment")
