"""Documents, queries and writes in words of our own, so that only `session.py` knows the client library."""

from base64 import b32encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from re import fullmatch
from typing import Any, Literal

Path = tuple[str, ...]
"""Collection, document id, collection, ... of a document; of a collection without the last id."""

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "array_contains"]

TENANTS = "tenants"


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it was read. `version` is the library's own and goes into `Change` and `Remove`."""

    path: Path
    fields: Mapping[str, Any]
    version: Any

    @property
    def id(self) -> str:
        """The last segment of the path."""
        return self.path[-1]


@dataclass(frozen=True, slots=True)
class Create:
    """Write a document that must not be there."""

    path: Path
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Put:
    """Write a document whether it is there or not; with `merge` only the fields named."""

    path: Path
    fields: Mapping[str, Any]
    merge: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """Write the fields of a document that must be as it was read; a field that is None becomes null."""

    path: Path
    fields: Mapping[str, Any]
    version: Any


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete a document; it must be as it was read where a version is given."""

    path: Path
    version: Any = None


Write = Create | Put | Change | Remove


@dataclass(frozen=True, slots=True)
class Query:
    """Documents of one collection.

    Attributes:
        where: all of these hold; a None compared with `==` means null.
        order: fields, each with whether the greatest come first.
        after: values of the fields of `order`: only what comes beyond them.
        select: fields to read; all where None.
        group: all collections of that name, whatever they are in; `collection` is then the name alone.
    """

    collection: Path
    where: Sequence[tuple[str, Operator, Any]] = ()
    order: Sequence[tuple[str, bool]] = ()
    after: Sequence[Any] | None = None
    limit: int | None = None
    select: Sequence[str] | None = None
    group: bool = False


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of integer fields over a query, all of one moment."""

    query: Query
    fields: Sequence[str] = field(default_factory=tuple)


def segment(name: str) -> str:
    """A document id for a name that may have characters that ids cannot have: itself, or a digest of it."""
    if fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,199}", name):
        return name
    return "~" + b32encode(sha256(name.encode("utf-8", "surrogatepass")).digest()[:20]).decode().lower()


def digest_id(*parts: str) -> str:
    """A document id made of several names, spread evenly over the key space."""
    content = "\0".join(parts).encode("utf-8", "surrogatepass")
    return b32encode(sha256(content).digest()[:20]).decode().lower()


def tenant_path(tenant: str, *rest: str) -> Path:
    """Below the tenant's own document: nothing of another's has such a path."""
    return (TENANTS, segment(tenant), *rest)
