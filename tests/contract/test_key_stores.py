import asyncio
from dataclasses import replace

import pytest

from sluicegate.adapters.gcp.firestore.keys import FirestoreKeyStore
from sluicegate.adapters.local.keys import SqliteKeyStore
from sluicegate.adapters.local.sqlite import Database
from sluicegate.identity.api_keys import ApiKey, KeySecret


def secret(prefix: str, **fields) -> KeySecret:
    return KeySecret(prefix, prefix.encode() * 4, **{"created_at": 100.0, **fields})


def key(name: str = "aaaaaaaa", **fields) -> ApiKey:
    return ApiKey(
        **{
            "id": f"key_{name}", "tenant": "acme", "workspace": "growth", "user": "kim", "name": "CI",
            "roles": ("ai_service",), "secrets": (secret(name),), "created_at": 100.0, **fields,
        }
    )  # fmt: skip


class KeyStoreContract:
    """What every `identity.ports.KeyStore` does. `store` writes, `other` is another process's view."""

    async def test_a_key_comes_back_as_it_went_in(self, store, other):
        full = key(
            permissions=("access_models",), models=("gpt-*",), plan="pro", timezone="Europe/Berlin",
            expires_at=500.5, revoked_at=400.25, revoked_reason="leaked",
            secrets=(secret("aaaaaaaa", expires_at=300.0), secret("bbbbbbbb", created_at=200.0)),
        )  # fmt: skip
        assert await store.add(full)
        for view in (store, other):
            assert await view.find("acme", full.id) == full
            assert await view.find_by_prefix("aaaaaaaa") == full
            assert await view.find_by_prefix("bbbbbbbb") == full
        assert await store.add(key("cccccccc", permissions=()))
        assert (await store.find("acme", "key_cccccccc")).permissions == ()

    async def test_what_is_not_there_is_none(self, store):
        assert await store.find_by_prefix("aaaaaaaa") is None
        assert await store.find("acme", "key_aaaaaaaa") is None
        assert list(await store.keys("acme")) == []

    async def test_one_tenant_never_finds_anothers_key_by_id(self, store):
        await store.add(key())
        assert await store.find("other", "key_aaaaaaaa") is None
        assert list(await store.keys("other")) == []

    async def test_keys_are_listed_oldest_first(self, store):
        for name, at in (("bbbbbbbb", 2.0), ("aaaaaaaa", 3.0), ("cccccccc", 1.0)):
            await store.add(key(name, created_at=at))
        assert [k.id[4:] for k in await store.keys("acme")] == ["cccccccc", "bbbbbbbb", "aaaaaaaa"]

    async def test_ids_and_prefixes_are_taken_once_over_all_tenants(self, store):
        first = key()
        assert await store.add(first)
        assert not await store.add(replace(first, tenant="other", secrets=(secret("bbbbbbbb"),)))
        assert not await store.add(replace(first, tenant="other", id="key_other"))
        assert await store.find_by_prefix("bbbbbbbb") is None
        assert await store.find_by_prefix("aaaaaaaa") == first
        assert list(await store.keys("other")) == []

    async def test_a_replacement_replaces_everything(self, store, other):
        await store.add(key())
        after = key(secrets=(secret("dddddddd"),), revoked_at=7.0, revision=2)
        assert await store.replace(after)
        assert await other.find("acme", after.id) == after
        assert await other.find_by_prefix("aaaaaaaa") is None
        assert await other.find_by_prefix("dddddddd") == after

    async def test_of_two_changes_at_once_one_is_refused(self, store, other):
        await store.add(key())
        assert await store.replace(key(revoked_at=7.0, revision=2))
        assert not await other.replace(key(revision=2))
        assert (await store.find("acme", "key_aaaaaaaa")).revoked_at == 7.0

    async def test_a_replacement_needs_the_key_and_its_tenant(self, store):
        assert not await store.replace(key(revision=2))
        await store.add(key())
        assert not await store.replace(key(tenant="other", revision=2))
        assert await store.find("acme", "key_aaaaaaaa") == key()

    async def test_a_replacement_never_takes_anothers_prefix(self, store):
        await store.add(key())
        await store.add(key("bbbbbbbb"))
        assert not await store.replace(key(secrets=(secret("bbbbbbbb"),), revision=2))
        assert (await store.find_by_prefix("bbbbbbbb")).id == "key_bbbbbbbb"
        assert await store.find("acme", "key_aaaaaaaa") == key()

    async def test_it_lists_tenants_and_revoked_keys(self, store):
        await store.add(key())
        await store.add(key("bbbbbbbb", revoked_at=1.0))
        await store.add(key("cccccccc", tenant="zebra", revoked_at=1.0))
        assert list(await store.tenants()) == ["acme", "zebra"]
        assert list(await store.revoked("acme")) == ["key_bbbbbbbb"]

    async def test_of_many_changes_at_once_one_goes_through(self, store, other):
        await store.add(key())
        changes = [key(secrets=(secret(f"{n:08}"),), revision=2) for n in range(8)]
        done = await asyncio.gather(*((store, other)[n % 2].replace(each) for n, each in enumerate(changes)))
        assert sum(done) == 1
        winner = changes[done.index(True)]
        assert await store.find("acme", "key_aaaaaaaa") == winner
        found = [await store.find_by_prefix(f"{n:08}") for n in range(8)]
        assert [each for each in found if each is not None] == [winner]


class TestSqliteKeyStore(KeyStoreContract):
    @pytest.fixture
    async def store(self, tmp_path):
        database = Database(tmp_path / "data" / "sluicegate.db")
        yield SqliteKeyStore(database)
        await database.close()

    @pytest.fixture
    async def other(self, tmp_path):
        database = Database(tmp_path / "data" / "sluicegate.db")
        yield SqliteKeyStore(database)
        await database.close()


class TestFirestoreKeyStore(KeyStoreContract):
    @pytest.fixture
    async def store(self, firestore):
        return FirestoreKeyStore(firestore)

    @pytest.fixture
    async def other(self, other_firestore):
        return FirestoreKeyStore(other_firestore)
