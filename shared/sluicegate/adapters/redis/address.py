"""Where a Redis server is and how to get in: the parts of a Redis URL."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from sluicegate.kernel.errors import ConfigurationError

_DEFAULT_PORT = 6379
_OPTIONS = {"db", "protocol", "ssl_ca_certs", "ssl_check_hostname"}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One Redis server. Exactly one of `host` and `path` is set; the password is never shown.

    `protocol` is the RESP version to speak. With `tls`, the server's certificate is always verified,
    against `ca_file` when given (Memorystore has its own authority), else against the system's.
    `check_hostname` False still verifies the chain; it is for servers reached by an address that their
    certificate does not name.
    """

    host: str = ""
    port: int = _DEFAULT_PORT
    path: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca_file: Path | None = None
    check_hostname: bool = True
    protocol: Literal[2, 3] = 2

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}?db={self.db}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.db}"

    def tls_context(self) -> ssl.SSLContext:
        """A context that verifies the server. Reads the authority's certificates from disk.

        Raises:
            ConfigurationError: `ca_file` cannot be read.
        """
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        except OSError as error:
            _refuse(f"ssl_ca_certs={self.ca_file} cannot be used: {error.strerror or error}")
        context.check_hostname = self.check_hostname
        return context

    @classmethod
    def parse(cls, url: str) -> "RedisAddress":
        """The address that `url` names.

        `redis://[[user]:password@]host[:port][/db]`, the same with `rediss://` for TLS, or
        `unix://[[user]:password@]/path/to/socket`. Options after `?`: `db`, `protocol` (2 or 3),
        `ssl_ca_certs` (a file), `ssl_check_hostname` (true or false).

        Raises:
            ConfigurationError: anything else; the message never repeats the URL, which may hold a password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            _refuse("is not a URL; write redis://host:6379/0")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := sorted(set(options) - _OPTIONS):
            _refuse(f"has the unknown option {unknown[0][:40]!r}; known are {', '.join(sorted(_OPTIONS))}")
        username = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        protocol: Literal[2, 3] = 3 if _choice(options, "protocol", "2", ("2", "3")) == "3" else 2
        if parts.scheme == "unix":
            if not parts.path or parts.hostname:
                _refuse("must give a socket's absolute path: unix:///run/redis.sock")
            return cls(
                path=unquote(parts.path),
                db=_database(options.get("db", "0")),
                username=username,
                password=password,
                protocol=protocol,
            )
        if parts.scheme not in {"redis", "rediss"}:
            _refuse("must start with redis://, rediss:// or unix://")
        if not parts.hostname:
            _refuse("names no host; write redis://host:6379/0")
        return cls(
            host=parts.hostname,
            port=port or _DEFAULT_PORT,
            username=username,
            password=password,
            db=_database(options.get("db") or parts.path.strip("/") or "0"),
            tls=parts.scheme == "rediss",
            ca_file=Path(options["ssl_ca_certs"]) if options.get("ssl_ca_certs") else None,
            check_hostname=_choice(options, "ssl_check_hostname", "true", ("true", "false")) == "true",
            protocol=protocol,
        )


def _choice(options: dict[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = options.get(name, default).lower()
    if value not in allowed:
        _refuse(f"has {name}={value[:20]!r}; allowed are {' and '.join(allowed)}")
    return value


def _database(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 5:
        _refuse("has a database that is not a number: write redis://host:6379/0")
    return int(text)


def _refuse(what: str) -> NoReturn:
    raise ConfigurationError(f"REDIS_URL {what}") from None
