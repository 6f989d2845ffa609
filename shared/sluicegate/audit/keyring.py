"""Keys of tenants and people: made when first needed, kept wrapped, gone for good when destroyed.

The root wraps the tenant's key; keys derived from the tenant's key wrap the keys of its people, and make the
references under which those are kept, so that no store of keys has a name. A wrapped key is looked up each
time; what is remembered is only how it unwraps, so that destroying one anywhere ends its use everywhere.
"""

import hmac
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from os import urandom
from typing import Generic, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sluicegate.audit.errors import UnreadableError
from sluicegate.audit.ports import DataKeyStore, KeyWrapper, StoredKey
from sluicegate.kernel.errors import DependencyUnavailableError

V = TypeVar("V")

KEY_SIZE = 32
NONCE_SIZE = 12
ID_SIZE = 16
_REFERENCE_SIZE = 16


def derive(key: bytes, purpose: bytes, value: bytes = b"") -> bytes:
    """HMAC-SHA256 under `key`: a key for one purpose, or one value's stand-in (NIST SP 800-108 in spirit)."""
    return hmac.digest(key, b"sluicegate audit %b\0%b" % (purpose, value), "sha256")


@dataclass(frozen=True, slots=True)
class PersonKey:
    """A person's key, unwrapped.

    Attributes:
        id: what sealed parts name it by; it is derived from the key, and cannot be had without it.
        pseudonym: what leaves show for the person.
    """

    key: bytes
    id: bytes
    pseudonym: str


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of a person: the key, if there is one; when an earlier one was last destroyed."""

    key: PersonKey | None
    erased_ms: int | None = None


class _Tenant:
    """A tenant's key, unwrapped, and what derives from it."""

    __slots__ = ("reference_key", "wrapping")

    def __init__(self, key: bytes) -> None:
        self.reference_key = derive(key, b"reference")
        self.wrapping = AESGCM(derive(key, b"wrapping"))

    def reference(self, person: str) -> bytes:
        return derive(self.reference_key, b"person", person.encode())[:_REFERENCE_SIZE]


class Keyring:
    """The keys of all tenants.

    Args:
        store: where wrapped keys are.
        root: what wraps the tenants' keys.
        remembered: unwrapped keys kept in memory, of people and of tenants each.
    """

    def __init__(self, store: DataKeyStore, root: KeyWrapper, *, remembered: int = 20_000) -> None:
        self._store = store
        self._root = root
        self._tenants: _Recent[_Tenant] = _Recent(remembered)
        self._people: _Recent[bytes] = _Recent(remembered)

    async def people(
        self, tenant: str, names: Collection[str], *, create: bool = False
    ) -> tuple[Mapping[str, Person], int | None]:
        """What is known of these people of `tenant`; and when the tenant was last erased, if ever.

        With `create` the keys that are missing are made; else who has none is absent, or has no key.

        Raises:
            UnreadableError: a stored key does not unwrap.
        """
        stored = await self._store.tenant_key(tenant)
        if (stored is None or stored.wrapped is None) and create:
            fresh = await self._root.wrap(urandom(KEY_SIZE), _tenant_context(tenant))
            await self._store.add_tenant_key(tenant, fresh)
            stored = await self._store.tenant_key(tenant)
        if stored is None or stored.wrapped is None:
            return {}, None if stored is None else stored.erased_ms
        owner = await self._tenant(tenant, stored.wrapped)
        references = {name: owner.reference(name) for name in names}
        found = await self._stored(tenant, references.values())
        if create:
            missing = [ref for ref in references.values() if _is_missing(found.get(ref))]
            if missing:
                await self._store.add_person_keys(tenant, [_fresh(owner, tenant, ref) for ref in missing])
                found |= await self._stored(tenant, missing)
                if any(_is_missing(found.get(ref)) for ref in missing):
                    # Erased in the same moment; asked again, it gets a key of its own.
                    raise DependencyUnavailableError("keys are being erased just now", retry_after=0.1)
        people = {
            name: Person(self._person(owner, tenant, name, record), record.erased_ms)
            for name, ref in references.items()
            if (record := found.get(ref)) is not None
        }
        return people, stored.erased_ms

    async def keys(self, tenant: str, ids: Collection[bytes]) -> Mapping[bytes, bytes]:
        """Those of the people's keys with these ids that are not destroyed.

        Raises:
            UnreadableError: a stored key does not unwrap.
        """
        stored = await self._store.tenant_key(tenant)
        if stored is None or stored.wrapped is None:
            return {}
        owner = await self._tenant(tenant, stored.wrapped)
        records = await self._store.person_keys_by_id(tenant, ids)
        return {
            record.id: self._unwrap(owner, tenant, record)
            for record in records
            if record.id and record.wrapped
        }

    async def destroy_person(self, tenant: str, person: str, at_ms: int) -> bool:
        """Destroy a person's key; whether there was one.

        What is still on its way and is not later than `at_ms` will not be kept when it arrives.
        """
        stored = await self._store.tenant_key(tenant)
        if stored is None or stored.wrapped is None:
            return False
        owner = await self._tenant(tenant, stored.wrapped)
        return await self._store.destroy_person_key(tenant, owner.reference(person), at_ms)

    async def destroy_tenant(self, tenant: str, at_ms: int) -> bool:
        """Destroy a tenant's key and those of all its people; whether there was one."""
        return await self._store.destroy_tenant_key(tenant, at_ms)

    async def _stored(self, tenant: str, references: Collection[bytes]) -> dict[bytes, StoredKey]:
        return {record.reference: record for record in await self._store.person_keys(tenant, references)}

    async def _tenant(self, tenant: str, wrapped: bytes) -> _Tenant:
        known = self._tenants.get(wrapped)
        if known is None:
            known = _Tenant(await self._root.unwrap(wrapped, _tenant_context(tenant)))
            self._tenants.put(wrapped, known)
        return known

    def _person(self, owner: _Tenant, tenant: str, name: str, record: StoredKey) -> PersonKey | None:
        if record.wrapped is None:
            return None
        key = self._unwrap(owner, tenant, record)
        return PersonKey(key, _id(key), pseudonym(derive(key, b"pseudonym"), name))

    def _unwrap(self, owner: _Tenant, tenant: str, record: StoredKey) -> bytes:
        wrapped = record.wrapped or b""
        key = self._people.get(wrapped)
        if key is None:
            nonce, sealed = wrapped[:NONCE_SIZE], wrapped[NONCE_SIZE:]
            try:
                key = owner.wrapping.decrypt(nonce, sealed, _context(tenant, record.reference))
            except (InvalidTag, ValueError) as error:
                raise UnreadableError(
                    "A person's key does not unwrap: it or the tenant's was changed."
                ) from error
            self._people.put(wrapped, key)
        return key


class _Recent(Generic[V]):
    """The values used last, by wrapped key."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[bytes, V] = OrderedDict()

    def get(self, key: bytes) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: bytes, value: V) -> None:
        self._values[key] = value
        if len(self._values) > self._limit:
            self._values.popitem(last=False)


def pseudonym(key: bytes, person: str) -> str:
    """`u:` and 22 characters of base64url: HMAC-SHA256 of the name under the person's own key."""
    return f"u:{urlsafe_b64encode(hmac.digest(key, person.encode(), 'sha256'))[:22].decode()}"


def _is_missing(record: StoredKey | None) -> bool:
    return record is None or record.wrapped is None


def _fresh(owner: _Tenant, tenant: str, reference: bytes) -> StoredKey:
    key, nonce = urandom(KEY_SIZE), urandom(NONCE_SIZE)
    wrapped = nonce + owner.wrapping.encrypt(nonce, key, _context(tenant, reference))
    return StoredKey(wrapped, id=_id(key), reference=reference)


def _id(key: bytes) -> bytes:
    return derive(key, b"id")[:ID_SIZE]


def _context(tenant: str, reference: bytes) -> bytes:
    return tenant.encode() + b"\0" + reference


def _tenant_context(tenant: str) -> bytes:
    return b"sluicegate audit tenant key\0" + tenant.encode()
