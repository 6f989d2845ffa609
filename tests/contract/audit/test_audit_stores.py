"""The log's stores: one suite for each port, over the adapters and over the stores in memory."""

import asyncio
import os
import stat

import pytest
from audit_rig.memory import Disk, MemoryBlobs, MemoryIndex, MemoryKeys

from sluicegate.adapters.gcp.firestore.audit_index import PROGRESS, FirestoreEntryIndex
from sluicegate.adapters.gcp.firestore.data_keys import FirestoreDataKeys
from sluicegate.adapters.gcp.firestore.documents import Put
from sluicegate.adapters.local.audit_index import SqliteEntryIndex
from sluicegate.adapters.local.data_keys import SqliteDataKeys
from sluicegate.adapters.local.log_files import LogFiles
from sluicegate.adapters.local.root_key import FileRootKey
from sluicegate.adapters.local.signing_key import FileSigningKey
from sluicegate.audit.errors import CorruptLogError, UnreadableError
from sluicegate.audit.keys import ed25519_verifies
from sluicegate.audit.ports import EntryFilter, IndexRow, PackRow, StoredKey
from sluicegate.kernel.errors import ConfigurationError, DependencyUnavailableError


class BlobStoreSuite:
    """`audit.ports.BlobStore`."""

    async def test_what_is_written_is_read(self, blobs):
        assert await blobs.read("tile/0/000") is None
        generation = await blobs.write("tile/0/000", b"\0\xff" * 500)
        assert await blobs.read("tile/0/000") == (b"\0\xff" * 500, generation)
        assert generation > 0
        await blobs.write("tile/0/000", b"")
        assert (await blobs.read("tile/0/000")).content == b""

    async def test_a_conditional_write_needs_the_generation_that_is_there(self, blobs):
        assert await blobs.write("state", b"a", if_generation=5) is None
        first = await blobs.write("state", b"a", if_generation=0)
        assert await blobs.write("state", b"b", if_generation=0) is None
        second = await blobs.write("state", b"b", if_generation=first)
        assert second != first
        assert await blobs.write("state", b"c", if_generation=first) is None
        assert await blobs.read("state") == (b"b", second)

    async def test_of_many_conditional_writes_at_once_one_is_done(self, blobs):
        before = await blobs.write("state", b"0", if_generation=0)
        for turn in range(5):
            contents = [b"%d-%d" % (turn, number) for number in range(8)]
            written = await asyncio.gather(
                *(blobs.write("state", content, if_generation=before) for content in contents)
            )
            (before,) = [generation for generation in written if generation is not None]
            assert await blobs.read("state") == (contents[written.index(before)], before)

    async def test_many_are_written_at_once_and_listed_in_order(self, blobs):
        names = [
            "tile/0/000",
            "tile/0/000.p/7",
            "tile/0/x001/234",
            "tile/entries/000",
            "tilt/1",
            "checkpoint",
        ]
        await blobs.write_all({name: name.encode() for name in names})
        for name in names:
            assert (await blobs.read(name)).content == name.encode()
        assert await blobs.list("tile/") == sorted(names[:4])
        assert await blobs.list("tile/0/000") == ["tile/0/000", "tile/0/000.p/7"]
        assert await blobs.list("tile/0/000.p/") == ["tile/0/000.p/7"]
        assert await blobs.list("") == sorted(names)
        assert await blobs.list("nothing/") == []

    async def test_what_is_deleted_is_gone_and_may_be_deleted_again(self, blobs):
        await blobs.write_all({"a/b/1": b"1", "a/b/2": b"2", "a/c": b"3"})
        await blobs.delete(["a/b/1", "a/b/2", "a/missing"])
        await blobs.delete(["a/b/1"])
        assert await blobs.list("") == ["a/c"]
        await blobs.write("a/b/1", b"again")
        assert (await blobs.read("a/b/1")).content == b"again"
        assert await blobs.write("a/b/2", b"new", if_generation=0)


class TestMemoryBlobs(BlobStoreSuite):
    @pytest.fixture
    def blobs(self):
        return MemoryBlobs(Disk())


class TestLogFiles(BlobStoreSuite):
    @pytest.fixture
    async def blobs(self, tmp_path):
        store = LogFiles(tmp_path / "log")
        yield store
        await store.close()

    async def test_a_web_server_can_serve_the_folder(self, blobs, tmp_path):
        await blobs.write("checkpoint", b"note", if_generation=0)
        await blobs.write_all({"tile/0/x001/234.p/5": b"tile"})
        files = {
            str(path.relative_to(tmp_path / "log")): path.read_bytes()
            for path in (tmp_path / "log").rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }
        assert files == {"checkpoint": b"note", "tile/0/x001/234.p/5": b"tile"}

    async def test_only_its_owner_can_read_it(self, blobs, tmp_path):
        await blobs.write("sealed/acme/2026-01-01/0-1", b"x")
        for path in (tmp_path / "log", *(tmp_path / "log").rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path

    async def test_what_a_killed_writer_left_is_no_blob(self, blobs, tmp_path):
        await blobs.write("a/b", b"x")
        (tmp_path / "log" / "a" / ".aside-1-1").write_bytes(b"half")
        assert await blobs.list("a/") == ["a/b"]

    @pytest.mark.parametrize(
        "name", ["../x", "/etc/passwd", "a/../b", ".lock", "a//b", "", "a/.aside-1", "a\0b"]
    )
    async def test_no_name_leads_out_of_the_folder(self, blobs, name):
        with pytest.raises(ValueError, match="name"):
            await blobs.write(name, b"x")
        with pytest.raises(ValueError, match="name"):
            await blobs.read(name)

    async def test_a_folder_that_is_a_file_is_said_so(self, blobs, tmp_path):
        (tmp_path / "log").write_bytes(b"")
        with pytest.raises(DependencyUnavailableError):
            await blobs.write("a", b"x")
        assert await blobs.read("a") is None


def row(index, tenant="acme", at_ms=None, user="u:a", action="model.access", **more):
    names = {"workspace": "team", "domain": "code", "result": "success", **more}
    at_ms = 1_000 + index // 3 if at_ms is None else at_ms
    return IndexRow(
        index,
        b"%016d" % index,
        tenant,
        at_ms,
        user,
        names["workspace"],
        action,
        names["domain"],
        names["result"],
    )


ROWS = [
    row(
        index,
        tenant=("acme", "zeta")[index % 5 == 4],
        user=f"u:{index % 3}",
        action=("model.access", "key.created", "key", "keyring.made")[index % 4],
        workspace=f"w{index % 2}",
        result=("success", "failure")[index % 7 == 0],
    )
    for index in range(60)
]


class EntryIndexSuite:
    """`audit.ports.EntryIndex`."""

    async def test_it_grows_without_gaps_and_adding_again_changes_nothing(self, index):
        assert await index.size() == 0
        packs = [PackRow("acme", "2026-01-01", 0, 5)]
        for _ in range(2):
            await index.add(0, ROWS[:10], packs)
            assert await index.size() == 10
        await index.add(5, ROWS[5:20], ())
        await index.add(3, ROWS[3:6], ())
        assert await index.size() == 20
        with pytest.raises(DependencyUnavailableError):
            await index.add(21, ROWS[21:22], ())
        assert await index.size() == 20

    async def test_another_entry_at_a_place_or_one_at_two_places_is_refused(self, index):
        await index.add(0, ROWS[:3], ())
        other = IndexRow(2, b"x" * 16, *list(fields(ROWS[2]))[2:])
        with pytest.raises(CorruptLogError):
            await index.add(2, [other], ())
        twice = IndexRow(3, ROWS[0].id, *list(fields(ROWS[3]))[2:])
        with pytest.raises(CorruptLogError):
            await index.add(3, [twice], ())
        assert await index.size() == 3

    async def test_it_knows_what_it_has(self, index):
        await index.add(0, ROWS[:30], ())
        assert await index.known([r.id for r in ROWS]) == (30, {r.id for r in ROWS[:30]})
        assert await index.known([]) == (30, set())
        many = [b"?%015d" % number for number in range(2_000)]
        assert await index.known([*many, ROWS[3].id]) == (30, {ROWS[3].id})

    @pytest.mark.parametrize("newest_first", [True, False])
    @pytest.mark.parametrize(
        "wanted",
        [
            EntryFilter(),
            EntryFilter(since_ms=1_005),
            EntryFilter(until_ms=1_005),
            EntryFilter(since_ms=1_005, until_ms=1_006),
            EntryFilter(user="u:1"),
            EntryFilter(workspace="w1"),
            EntryFilter(action="key"),
            EntryFilter(action="key.*"),
            EntryFilter(action="model.access", user="u:2", result="success"),
            EntryFilter(result="failure"),
            EntryFilter(domain="code", below=17),
            EntryFilter(domain="none"),
            EntryFilter(user="u:'; DROP TABLE entries"),
        ],
    )
    async def test_it_finds_what_matches_in_order_page_by_page(self, index, wanted, newest_first):
        await index.add(0, ROWS, ())
        model = MemoryIndex(Disk())
        await model.add(0, ROWS, ())
        for tenant in ("acme", "zeta", "nobody"):
            expected = await model.find(tenant, wanted, 100, after=None, newest_first=newest_first)
            found, after = [], None
            while part := await index.find(tenant, wanted, 4, after=after, newest_first=newest_first):
                found += part
                after = part[-1].at_ms, part[-1].index
            assert found == expected

    async def test_an_entry_is_found_by_its_own_tenant_only(self, index):
        await index.add(0, ROWS, ())
        for each in ROWS[:6]:
            for key in (each.id, each.index):
                assert await index.entry(each.tenant, key) == each
                assert await index.entry("other", key) is None
        assert await index.entry("acme", 1_000) is None

    async def test_it_finds_the_pack_that_an_entry_can_be_in(self, index):
        day = "2026-01-01"
        packs = [PackRow("acme", day, 0, 3), PackRow("acme", day, 10, 3), PackRow("zeta", day, 5, 1)]
        await index.add(0, ROWS[:20], packs)
        places = [(day, 0), (day, 9), (day, 10), (day, 19), ("2026-01-02", 10)]
        found = await index.packs("acme", places)
        assert found == [packs[0], packs[0], packs[1], packs[1], None]
        await index.drop_packs([packs[1], packs[1]])
        assert await index.packs("acme", places[2:3]) == [packs[0]]
        assert await index.packs("zeta", [(day, 6)]) == [packs[2]]
        assert await index.packs("zeta", [(day, 4)]) == [None]

    async def test_it_lists_tenants_and_can_be_emptied(self, index):
        assert await index.tenants() == []
        await index.add(0, ROWS, [PackRow("acme", "2026-01-01", 0, 1)])
        assert await index.tenants() == ["acme", "zeta"]
        await index.clear()
        assert await index.size() == 0
        assert await index.tenants() == []
        assert await index.packs("acme", [("2026-01-01", 0)]) == [None]
        await index.add(0, ROWS[::-1][:0], ())
        await index.add(0, ROWS, ())
        assert await index.entry("acme", 0) == ROWS[0]


def fields(row):
    return (getattr(row, name) for name in IndexRow.__slots__)


class TestMemoryIndex(EntryIndexSuite):
    @pytest.fixture
    def index(self):
        return MemoryIndex(Disk())


class TestSqliteEntryIndex(EntryIndexSuite):
    @pytest.fixture
    async def index(self, tmp_path):
        store = SqliteEntryIndex(tmp_path / "audit.db")
        yield store
        await store.close()

    async def test_another_process_that_empties_it_does_not_confuse_this_one(self, index, tmp_path):
        await index.add(0, ROWS[:30], ())
        other = SqliteEntryIndex(tmp_path / "audit.db")
        await other.clear()
        await other.add(0, [row(0, user="u:new", action="first.one")], ())
        await other.close()
        await index.add(1, [row(1, user="u:0", action="key")], ())
        assert [
            r.action for r in (await index.find("acme", EntryFilter(), 9, after=None, newest_first=False))
        ] == [
            "first.one",
            "key",
        ]

    async def test_no_list_reads_all_entries(self, index):
        """Each list of one tenant goes by an index, in its order: SQLite says so."""
        await index.add(0, ROWS, ())
        for wanted in (
            EntryFilter(),
            EntryFilter(user="u:1"),
            EntryFilter(action="key"),
            EntryFilter(since_ms=5),
        ):
            plans = await _plans(index, wanted)
            assert any("USING INDEX entries_by_" in plan for plan in plans), plans
            assert not any("SCAN e" in plan or "TEMP B-TREE" in plan for plan in plans), plans


class TestFirestoreEntryIndex(EntryIndexSuite):
    """Over the wire, against a server that answers only what an index of `ledger/indexes.py` finds."""

    @pytest.fixture
    async def index(self, firestore):
        return FirestoreEntryIndex(firestore)

    async def test_what_is_left_of_an_emptied_index_does_not_stand_in_the_way(self, index, firestore):
        await index.add(0, ROWS[:30], ())
        await index._commit([Put(PROGRESS, {"size": 0})])  # killed right after this, emptying deletes nothing
        await index.add(0, ROWS, ())
        assert await index.size() == len(ROWS)
        assert await index.known([r.id for r in ROWS]) == (60, {r.id for r in ROWS})

    async def test_two_who_add_the_same_at_once_add_it_once(self, index, other_firestore):
        other = FirestoreEntryIndex(other_firestore)
        many = [row(number, tenant=f"t{number % 3}") for number in range(700)]
        packs = [PackRow("t0", "2026-01-01", 0, 1)]
        await asyncio.gather(*(each.add(0, many, packs) for each in (index, other, index, other)))
        assert await index.size() == 700
        found = [
            await index.find(f"t{n}", EntryFilter(), 700, after=None, newest_first=False) for n in range(3)
        ]
        assert sorted(each.index for part in found for each in part) == list(range(700))


async def _plans(index, wanted):
    """How SQLite would find what a list asks for."""
    real, found = index._database, []

    class Explaining:
        async def read(self, query):
            return await real.read(lambda connection: query(Explained(connection)))

    class Explained:
        def __init__(self, connection):
            self._connection = connection

        def execute(self, sql, values):
            found.extend(r["detail"] for r in self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", values))
            return []

    index._database = Explaining()
    try:
        await index.find("acme", wanted, 5, after=(1, 1), newest_first=True)
    finally:
        index._database = real
    return found


class DataKeyStoreSuite:
    """`audit.ports.DataKeyStore`."""

    async def test_the_first_key_stays(self, keys):
        assert await keys.tenant_key("acme") is None
        await keys.add_tenant_key("acme", b"first")
        await keys.add_tenant_key("acme", b"second")
        assert await keys.tenant_key("acme") == StoredKey(b"first")
        await keys.add_person_keys("acme", [key(1), key(2)])
        await keys.add_person_keys("acme", [StoredKey(b"other", None, b"o", key(1).reference), key(3)])
        found = await keys.person_keys("acme", [key(n).reference for n in (1, 3, 9)])
        assert sorted(found, key=lambda each: each.id) == [key(1), key(3)]

    async def test_keys_are_found_by_their_id_and_by_their_own_tenant_only(self, keys):
        await keys.add_person_keys("acme", [key(n) for n in range(1_200)])
        assert await keys.person_keys_by_id("acme", [key(7).id, b"none"]) == [key(7)]
        assert len(await keys.person_keys_by_id("acme", [key(n).id for n in range(2_000)])) == 1_200
        assert list(await keys.person_keys_by_id("zeta", [key(7).id])) == []
        assert list(await keys.person_keys("zeta", [key(7).reference])) == []

    async def test_a_destroyed_person_s_key_leaves_the_time_only(self, keys):
        await keys.add_person_keys("acme", [key(1), key(2)])
        assert await keys.destroy_person_key("acme", key(1).reference, 77)
        assert not await keys.destroy_person_key("acme", key(1).reference, 88)
        assert await keys.person_keys("acme", [key(1).reference]) == [
            StoredKey(None, 88, None, key(1).reference)
        ]
        assert list(await keys.person_keys_by_id("acme", [key(1).id])) == []
        new = StoredKey(b"new", None, b"new id", key(1).reference)
        await keys.add_person_keys("acme", [new])
        assert await keys.person_keys("acme", [key(1).reference]) == [
            StoredKey(b"new", 88, b"new id", new.reference)
        ]
        assert not await keys.destroy_person_key("acme", b"never seen", 5)

    async def test_a_destroyed_tenant_s_people_are_gone(self, keys):
        await keys.add_tenant_key("acme", b"first")
        await keys.add_person_keys("acme", [key(1)])
        await keys.add_person_keys("zeta", [key(1)])
        assert await keys.destroy_tenant_key("acme", 77)
        assert not await keys.destroy_tenant_key("acme", 78)
        assert await keys.tenant_key("acme") == StoredKey(None, 78)
        assert list(await keys.person_keys("acme", [key(1).reference])) == []
        assert await keys.person_keys("zeta", [key(1).reference]) == [key(1)]
        await keys.add_tenant_key("acme", b"new")
        assert await keys.tenant_key("acme") == StoredKey(b"new", 78)


def key(number):
    return StoredKey(b"wrapped-%04d" % number, None, b"id-%04d" % number, b"reference-%04d" % number)


class TestMemoryKeys(DataKeyStoreSuite):
    @pytest.fixture
    def keys(self):
        return MemoryKeys(Disk())


class TestSqliteDataKeys(DataKeyStoreSuite):
    @pytest.fixture
    async def keys(self, tmp_path):
        store = SqliteDataKeys(tmp_path / "keys.db")
        yield store
        await store.close()

    async def test_no_file_has_a_destroyed_key(self, keys, tmp_path):
        secret = os.urandom(60)
        await keys.add_person_keys("acme", [StoredKey(secret, None, b"i", b"r"), key(5)])
        assert traces(tmp_path, secret)
        await keys.destroy_person_key("acme", b"r", 1)
        assert not traces(tmp_path, secret)
        await keys.add_tenant_key("acme", secret)
        assert traces(tmp_path, secret)
        await keys.destroy_tenant_key("acme", 1)
        assert not traces(tmp_path, secret)
        assert not traces(tmp_path, key(5).wrapped)


class TestFirestoreDataKeys(DataKeyStoreSuite):
    @pytest.fixture
    async def keys(self, firestore):
        return FirestoreDataKeys(firestore)


def traces(folder, secret):
    return [path.name for path in folder.iterdir() if secret in path.read_bytes()]


# --- keys in files


async def test_a_root_key_wraps_and_unwraps_in_one_context(tmp_path):
    root = FileRootKey(tmp_path / "keys" / "root.key")
    wrapped = await root.wrap(b"k" * 32, b"context")
    assert b"k" * 8 not in wrapped
    assert await FileRootKey(tmp_path / "keys" / "root.key").unwrap(wrapped, b"context") == b"k" * 32
    for other, context in ((root, b"another"), (FileRootKey(tmp_path / "other.key"), b"context")):
        with pytest.raises(UnreadableError):
            await other.unwrap(wrapped, context)
    with pytest.raises(UnreadableError):
        await root.unwrap(b"", b"context")


async def test_a_signing_key_stays_the_same(tmp_path):
    one, two = (FileSigningKey(tmp_path / "keys" / "log.key") for _ in range(2))
    signature = await one.sign(b"message")
    assert ed25519_verifies(two.public_key, b"message", signature)
    assert len({FileSigningKey(tmp_path / name).public_key for name in "ab"}) == 2


async def test_of_many_who_start_at_once_all_have_the_same_key(tmp_path):
    path = tmp_path / "keys" / "log.key"
    found = await asyncio.gather(
        *(asyncio.to_thread(lambda: FileSigningKey(path).public_key) for _ in range(16))
    )
    assert len(set(found)) == 1
    assert [each.name for each in path.parent.iterdir()] == ["log.key"]


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [(b"x", 0o600, "32 bytes"), (b"", 0o600, "32 bytes"), (b"\xff", 0o600, "read"), (None, 0o644, "chmod")],
)
def test_a_key_file_that_must_not_be_used_is_not(tmp_path, content, mode, said):
    path = tmp_path / "log.key"
    assert FileSigningKey(path).public_key
    if content is not None:
        path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=said):
        _ = FileSigningKey(path).public_key
