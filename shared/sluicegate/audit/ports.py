"""What the log needs of the outside."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class Blob(NamedTuple):
    """A blob as it was read. `generation` is above 0 and changes whenever the content does."""

    content: bytes
    generation: int


class BlobStore(Protocol):
    """The log's blobs: C2SP's layout, and what stands beside it.

    Every write is whole or not at all, and lasting when the call returns. Names are relative paths of
    letters, digits, `.`, `_`, `-`. All raise DependencyUnavailableError while the store is away.
    """

    async def read(self, name: str) -> Blob | None:
        """The blob; None where there is none."""
        ...

    async def write(self, name: str, content: bytes, *, if_generation: int | None = None) -> int | None:
        """Write one blob; its new generation, None where it was not written.

        With `if_generation` it is written only if it has this generation now; 0: only if there is none.
        """
        ...

    async def write_all(self, blobs: Mapping[str, bytes]) -> None:
        """Write these blobs in any order, whether they exist or not."""
        ...

    async def list(self, prefix: str) -> list[str]:
        """Names that start with `prefix`, in order."""
        ...

    async def delete(self, names: Collection[str]) -> None:
        """Delete these blobs; those that are missing are deleted already."""
        ...


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One entry as it can be searched for: what its leaf says."""

    index: int
    id: bytes
    tenant: str
    at_ms: int
    user: str
    workspace: str
    action: str
    domain: str
    result: str


@dataclass(frozen=True, slots=True)
class PackRow:
    """Where sealed parts lie. `first` is the index of the first entry in the pack."""

    tenant: str
    day: str
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries: those that match all that is given.

    Attributes:
        since_ms, until_ms: `[since, until)`.
        user: a pseudonym.
        action: a name, or with `.*` at its end all below it and itself.
        below: only entries with an index below this (a checkpoint's size).
    """

    since_ms: int | None = None
    until_ms: int | None = None
    user: str | None = None
    workspace: str | None = None
    action: str | None = None
    domain: str | None = None
    result: str | None = None
    below: int | None = None


Position = tuple[int, int]
"""An entry's place in the order of lists: milliseconds, index."""


class EntryIndex(Protocol):
    """Finds entries. Derived from the log: whatever is lost is filled in again."""

    async def size(self) -> int:
        """Entries `[0, size)` are all in the index."""
        ...

    async def known(self, ids: Sequence[bytes]) -> tuple[int, set[bytes]]:
        """The size, and those of `ids` that the index has, at one moment."""
        ...

    async def add(self, first: int, rows: Sequence[IndexRow], packs: Sequence[PackRow]) -> None:
        """Add the rows of entries `[first, first + len(rows))`; adding what is there changes nothing.

        Raises:
            CorruptLogError: there is another entry at one of the places.
            DependencyUnavailableError: there is a gap before `first`: the index is being made anew.
        """
        ...

    async def find(
        self, tenant: str, wanted: EntryFilter, limit: int, *, after: Position | None, newest_first: bool
    ) -> Sequence[IndexRow]:
        """Up to `limit` entries of `tenant` by time and index, beyond `after`."""
        ...

    async def entry(self, tenant: str, key: bytes | int) -> IndexRow | None:
        """One entry of `tenant` by id or index."""
        ...

    async def packs(self, tenant: str, places: Sequence[tuple[str, int]]) -> Sequence[PackRow | None]:
        """For each `(day, index)` the pack that the entry's sealed part is in, if it is kept."""
        ...

    async def drop_packs(self, packs: Sequence[PackRow]) -> None:
        """Forget packs that are deleted."""
        ...

    async def tenants(self) -> Sequence[str]:
        """All tenants that have entries."""
        ...

    async def clear(self) -> None:
        """Forget everything."""
        ...


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A wrapped key, or what is left of one.

    Attributes:
        wrapped: None after it was destroyed, until there is another.
        id: of a person's key: what sealed parts name it by; gone with it.
        reference: of a person's key: where it is kept, made of the person's name and the tenant's key.
        erased_ms: when a key of this owner was last destroyed; milliseconds since the Unix epoch.
    """

    wrapped: bytes | None
    erased_ms: int | None = None
    id: bytes | None = None
    reference: bytes = b""


class DataKeyStore(Protocol):
    """Keeps wrapped keys, and forgets them so that no trace is left. Never sees a name of a person."""

    async def tenant_key(self, tenant: str) -> StoredKey | None: ...

    async def add_tenant_key(self, tenant: str, wrapped: bytes) -> None:
        """Keep it unless there is one."""
        ...

    async def person_keys(self, tenant: str, references: Collection[bytes]) -> Sequence[StoredKey]: ...

    async def person_keys_by_id(self, tenant: str, ids: Collection[bytes]) -> Sequence[StoredKey]: ...

    async def add_person_keys(self, tenant: str, keys: Sequence[StoredKey]) -> None:
        """Keep each unless its reference has one."""
        ...

    async def destroy_person_key(self, tenant: str, reference: bytes, at_ms: int) -> bool:
        """Forget the key and its id for good, leaving the time; whether there was one."""
        ...

    async def destroy_tenant_key(self, tenant: str, at_ms: int) -> bool:
        """Forget the tenant's key and those of all its people for good; whether there was one."""
        ...


class KeyWrapper(Protocol):
    """The root of all keys: a file, or Cloud KMS. Its own key never leaves it."""

    async def wrap(self, key: bytes, context: bytes) -> bytes: ...

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key.

        Raises:
            UnreadableError: it was wrapped by another root or in another context.
        """
        ...


class PayloadMask(Protocol):
    """What of a payload may be kept (see `sluicegate.privacy.masking`)."""

    def __call__(self, payload: Mapping[str, Any], payload_class: str) -> Mapping[str, Any]: ...


class PersonalData(Protocol):
    """Keeps personal data outside the log: the ledger, the bus, the keys."""

    async def forget_person(self, tenant: str, person: str, pseudonym: str) -> int:
        """Put the pseudonym in the person's place, or delete; the number of records changed.

        When it returns no file of the store has the name any more. Doing it again changes nothing.
        """
        ...

    async def forget_tenant(self, tenant: str) -> int:
        """The same for everybody of the tenant."""
        ...


class Plans(Protocol):
    """Knows tenants' plans."""

    async def plan(self, tenant: str) -> str | None:
        """The plan; None where it is not known."""
        ...
