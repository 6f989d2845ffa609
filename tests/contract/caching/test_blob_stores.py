"""What every store of blobs must do, whatever it stands on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sluicegate.adapters.local.blobs import FileBlobStore
from sluicegate.adapters.redis.cache import RedisBlobStore
from sluicegate.adapters.redis.client import RedisClient
from sluicegate.caching.errors import CacheLevelError
from sluicegate.caching.ports import BlobStore
from sluicegate.caching.types import CacheSlot
from sluicegate.kernel.clock import FixedClock, SystemClock

SLOT = CacheSlot("acme", "0123456789abcdef.0011")
BINARY = bytes(range(256)) * 40


class BlobStoreContract:
    """The suite; subclasses say which store."""

    async def test_what_was_put_is_got(self, store: BlobStore) -> None:
        await store.put(SLOT, BINARY, 60)
        assert await store.get(SLOT) == BINARY

    async def test_an_unknown_slot_is_nothing(self, store: BlobStore) -> None:
        assert await store.get(SLOT) is None

    async def test_a_later_put_wins(self, store: BlobStore) -> None:
        await store.put(SLOT, b"old", 60)
        await store.put(SLOT, b"", 60)
        assert await store.get(SLOT) == b""

    async def test_tenants_and_slots_are_apart(self, store: BlobStore) -> None:
        await store.put(SLOT, b"mine", 60)
        assert await store.get(CacheSlot("acme2", SLOT.name)) is None
        assert await store.get(CacheSlot("acme", "0123456789abcdef.0012")) is None

    async def test_what_was_deleted_is_gone_and_deleting_nothing_is_fine(self, store: BlobStore) -> None:
        await store.put(SLOT, b"x", 60)
        await store.delete(SLOT)
        await store.delete(SLOT)
        assert await store.get(SLOT) is None

    async def test_time_is_up_at_some_time(self, store: BlobStore) -> None:
        await store.put(SLOT, b"x", 0.001)
        await self.pass_time()
        assert await store.get(SLOT) is None

    async def pass_time(self) -> None:
        raise NotImplementedError


class TestFiles(BlobStoreContract):
    @pytest.fixture
    def clock(self) -> FixedClock:
        return FixedClock()

    @pytest.fixture
    async def store(self, tmp_path: Path, clock: FixedClock) -> AsyncIterator[FileBlobStore]:
        self.clock_in_use = clock
        store = FileBlobStore(tmp_path / "blobs", clock, limit_bytes=25_000)
        yield store
        await store.close()

    async def pass_time(self) -> None:
        self.clock_in_use.advance(0.002)

    async def test_nobody_else_can_read_the_files(self, store: FileBlobStore, tmp_path: Path) -> None:
        await store.put(SLOT, b"x", 60)
        file = tmp_path / "blobs" / "acme" / "01" / SLOT.name
        assert file.stat().st_mode & 0o077 == 0
        assert file.parent.stat().st_mode & 0o077 == 0
        assert [entry.name for entry in file.parent.iterdir()] == [SLOT.name]

    @pytest.mark.parametrize("name", ["../../etc/passwd", "", "UPPER000", "ab/cd", "0123456789abcdef.00.11"])
    async def test_no_name_leaves_the_folder(self, store: FileBlobStore, name: str) -> None:
        with pytest.raises(CacheLevelError):
            await store.put(CacheSlot("acme", name), b"x", 60)
        with pytest.raises(ValueError, match="tenant"):
            await store.put(CacheSlot("../acme", SLOT.name), b"x", 60)

    async def test_sweeping_removes_the_expired_and_then_the_oldest(
        self, store: FileBlobStore, clock: FixedClock, tmp_path: Path
    ) -> None:
        await store.put(CacheSlot("acme", "0" * 16), b"x", 1)
        clock.advance(2)
        for index in range(1, 4):
            await store.put(CacheSlot("acme", f"{index:016}"), b"x" * 10_000, 60)
        (tmp_path / "blobs" / "acme" / "fresh.tmp").write_bytes(b"")
        assert await store.sweep() == 2
        kept = [await store.get(CacheSlot("acme", f"{index:016}")) is not None for index in range(4)]
        assert kept[0] is False
        assert sum(kept) == 2
        assert (tmp_path / "blobs" / "acme" / "fresh.tmp").exists()

    async def test_a_folder_that_cannot_be_used_is_a_level_away(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        store = FileBlobStore(tmp_path / "file", SystemClock(), limit_bytes=1)
        with pytest.raises(CacheLevelError):
            await store.put(SLOT, b"x", 60)
        await store.close()

    async def test_a_torn_file_is_nothing(self, store: FileBlobStore, tmp_path: Path) -> None:
        await store.put(SLOT, b"x", 60)
        (tmp_path / "blobs" / "acme" / "01" / SLOT.name).write_bytes(b"123")
        assert await store.get(SLOT) is None


class TestRedis(BlobStoreContract):
    @pytest.fixture
    def store(self, cache_redis: RedisClient) -> RedisBlobStore:
        self.client = cache_redis
        return RedisBlobStore(cache_redis)

    async def pass_time(self) -> None:
        for _ in range(200):
            if not await self.client.execute("EXISTS", f"slg:{{acme}}:cache:{SLOT.name}"):
                return

    async def test_keys_carry_the_tenant_and_an_expiry(self, store: RedisBlobStore) -> None:
        await store.put(SLOT, b"x", 60)
        assert await self.client.execute("KEYS", "*") == [f"slg:{{acme}}:cache:{SLOT.name}".encode()]
        left = await self.client.execute("PTTL", f"slg:{{acme}}:cache:{SLOT.name}")
        assert 0 < left <= 60_000

    async def test_a_key_of_another_kind_and_a_server_away_are_a_level_away(
        self, store: RedisBlobStore
    ) -> None:
        await self.client.execute("SADD", f"slg:{{acme}}:cache:{SLOT.name}", "x")
        with pytest.raises(CacheLevelError):
            await store.get(SLOT)
        away = RedisClient.from_url("redis://127.0.0.1:1/0")
        with pytest.raises(CacheLevelError):
            await RedisBlobStore(away).put(SLOT, b"x", 60)
        await away.close()
