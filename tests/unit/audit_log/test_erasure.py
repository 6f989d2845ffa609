import pytest
from audit_rig.folder import Folder
from audit_rig.logs import START, Told, check, done, leaves_of, make_log, usage
from audit_rig.memory import Disk

from sluicegate.adapters.local.keys import SqliteKeyStore
from sluicegate.adapters.local.person_records import SqlitePersonRecords
from sluicegate.adapters.local.sqlite import Database
from sluicegate.audit.entry import Leaf
from sluicegate.audit.merkle import leaf_hash
from sluicegate.audit.ports import EntryFilter
from sluicegate.audit.proof import verify_inclusion
from sluicegate.audit.queries import Privacy
from sluicegate.identity.api_keys import ApiKey
from sluicegate.kernel.clock import FixedClock

PERSON = "alice.liddell"
# Everything that belongs to the person and to nobody else.
TRACES = (PERSON, "198.51.100.77", "LookingGlass/1.0", "because of the rabbit", "white-rabbit-project")


def about(number, user=PERSON, **more):
    return done(
        "data.changed",
        number,
        user=user,
        ip="198.51.100.77",
        user_agent="LookingGlass/1.0",
        reason="because of the rabbit",
        payload={"kind": "white-rabbit-project", "count": number},
        **more,
    )


def found_in(folder, traces):
    return {
        (path.name, trace)
        for path in folder.rglob("*")
        if path.is_file()
        for trace in traces
        if trace.encode() in path.read_bytes()
    }


async def test_no_file_has_the_plaintext_and_every_proof_stands(tmp_path):
    told, clock = Told(), FixedClock(START + 86_400)
    database = Database(tmp_path / "sluicegate.db")
    keys = SqliteKeyStore(database)
    await keys.add(
        ApiKey(
            id="key_1",
            tenant="acme",
            workspace="team",
            user=PERSON,
            name=f"laptop of {PERSON}",
            roles=(),
            permissions=None,
            models=(),
            plan="free",
            timezone="UTC",
            created_at=START,
            expires_at=None,
            revoked_at=None,
            revoked_reason=None,
            revision=1,
            secrets=(),
        )
    )
    holders = [SqlitePersonRecords(database, clock)]
    events = [usage(number, user="bob") for number in range(5)]
    events += [usage(number, user=PERSON) for number in range(10, 20)]
    events += [about(number) for number in range(3)]
    # Somebody else did it, to the person's data: both can read it, and either is enough to lose it.
    events += [about(7, user="bob", subject=PERSON)]
    async with Folder(tmp_path, events=told, clock=clock, holders=holders) as folder:
        log = folder.log
        assert await log.consumer.handle(events) == []
        before = await log.queries.entries("acme", reveal=True, limit=100)
        assert {record.privacy for record in before.records} == {Privacy.OPEN}
        assert {PERSON, "bob"} == {record.entry.userId for record in before.records}
        _, leaves = await leaves_of(folder.blobs)

        erased = await log.erasure.erase_person("acme", PERSON, by="bob", reason=f"asked by {PERSON}")
        assert erased.key_destroyed
        assert erased.records == 1
        assert await log.consumer.handle(told.events) == []

        after = await log.queries.entries("acme", reveal=True, limit=100)
        by_id = {record.entry.id: record for record in after.records}
        for record in before.records:
            now = by_id[record.entry.id]
            assert now.leaf == record.leaf
            lost = record.entry.userId == PERSON or record.entry.ipAddress is not None
            assert now.privacy is (Privacy.ERASED if lost else Privacy.OPEN)
            if lost:
                assert now.entry.payload is None
                assert now.private is None
        assert (await log.queries.checkpoint())[0].size == len(events) + 1
        for record in after.records:
            proof = await log.queries.inclusion("acme", record.entry.id)
            checkpoint, _ = await log.queries.checkpoint()
            verify_inclusion(
                leaf_hash(record.leaf), proof.index, checkpoint.size, proof.proof, checkpoint.root
            )
        assert (await leaves_of(folder.blobs))[1][: len(leaves)] == leaves
        key = await keys.find("acme", "key_1")
        assert key.user == erased.pseudonym
        assert key.revoked_at is not None
        # The pseudonym that stands elsewhere is the one in the leaves.
        assert erased.pseudonym in {record.entry.userId for record in after.records}
        # By name nothing is found any more.
        found = await log.queries.entries("acme", EntryFilter(user=PERSON))
        assert found.records == ()
    # While the files are still open by another, and after they were closed.
    assert found_in(tmp_path, TRACES) == set()
    await database.close()
    assert found_in(tmp_path, TRACES) == set()


async def test_the_files_did_have_what_is_searched_for(tmp_path):
    """Without encryption the search of the test above finds its traces: it looks at the right places."""
    database = Database(tmp_path / "sluicegate.db")
    await database.write(
        lambda connection: connection.execute(
            "INSERT INTO budget_overrides VALUES ('acme', 'user', ?, 'day', 1)", (PERSON,)
        )
    )
    assert any(trace == PERSON for _, trace in found_in(tmp_path, TRACES))
    records = SqlitePersonRecords(database, FixedClock(START))
    assert await records.forget_person("acme", PERSON, "u:x") == 1
    assert found_in(tmp_path, TRACES) == set()
    assert await records.forget_person("acme", PERSON, "u:x") == 0
    await database.close()


async def test_what_arrives_late_is_kept_without_its_private_part():
    disk, clock = Disk(), FixedClock(START + 100)
    log = make_log(disk, clock=clock)
    await log.consumer.handle([about(1, at=START)])
    await log.erasure.erase_person("acme", PERSON, by="bob")
    clock.advance(10)
    late, new = about(2, at=START + 50), about(3, at=START + 105)
    await log.consumer.handle([late, new])
    page = await log.queries.entries("acme", reveal=True, newest_first=False)
    assert [record.privacy for record in page.records] == [Privacy.ERASED, Privacy.ERASED, Privacy.OPEN]
    leaves = [Leaf.parse(record.leaf) for record in page.records]
    assert leaves[1].sealed is None
    # Three pseudonyms: nothing links what was erased, what came late, and who came back.
    assert len({leaf.user for leaf in leaves}) == 3
    await check(disk, [about(1), late, new])


async def test_who_erases_himself_does_not_come_back_by_it():
    told = Told()
    log = make_log(Disk(), events=told)
    await log.consumer.handle([about(1)])
    await log.erasure.erase_person("acme", PERSON, by=PERSON, reason=f"{PERSON} wants it")
    assert PERSON not in str(told.events)


async def test_a_tenant_is_erased_as_a_whole_and_others_are_not():
    disk, told = Disk(), Told()
    log = make_log(disk, events=told)
    events = [about(1), usage(1, user="bob"), usage(2, tenant="zeta")]
    await log.consumer.handle(events)
    erased = await log.erasure.erase_tenant("acme", by="operator", by_tenant="platform")
    assert erased.key_destroyed
    await log.consumer.handle(told.events)
    ours = await log.queries.entries("acme", reveal=True)
    assert {record.privacy for record in ours.records} == {Privacy.ERASED}
    theirs = await log.queries.entries("zeta", reveal=True)
    assert {record.privacy for record in theirs.records} == {Privacy.OPEN}
    told_of = await log.queries.entries("platform", reveal=True)
    assert told_of.records[0].entry.payload == {"scope": "tenant", "tenant": "acme", "records": 0}
    await check(disk, [*events, *told.events])


async def test_the_leaf_tells_of_the_erasure_to_who_has_no_key():
    told = Told()
    disk = Disk()
    log = make_log(disk, events=told)
    await log.consumer.handle([about(1)])
    erased = await log.erasure.erase_person("acme", PERSON, by="bob")
    await log.consumer.handle(told.events)
    record = (await log.queries.entries("acme")).records[0]
    assert record.privacy is Privacy.SEALED
    assert Leaf.parse(record.leaf).shown == {"scope": "person", "pseudonym": erased.pseudonym, "records": 0}


@pytest.mark.parametrize("fails", ["destroy_person_key", "forget_person", "publish"])
async def test_an_erasure_that_was_interrupted_is_done_by_doing_it_again(fails):
    class Failing:
        def __init__(self):
            self.failed = False

        def once(self, where):
            if where == fails and not self.failed:
                self.failed = True
                raise RuntimeError(where)

    failing, told, forgotten = Failing(), Told(), []

    class Holder:
        async def forget_person(self, tenant, person, pseudonym):
            failing.once("forget_person")
            forgotten.append((tenant, person))
            return 1

    class Publisher:
        async def publish(self, events):
            failing.once("publish")
            await told.publish(events)

    disk = Disk()
    log = make_log(disk, events=Publisher(), holders=[Holder()])
    await log.consumer.handle([about(1)])
    if fails == "destroy_person_key":
        keys = log._parts.keys
        destroy = keys.destroy_person_key

        async def destroyed(*arguments):
            await destroy(*arguments)
            failing.once(fails)
            return True

        keys.destroy_person_key = destroyed
    with pytest.raises(RuntimeError):
        await log.erasure.erase_person("acme", PERSON, by="bob")
    await log.erasure.erase_person("acme", PERSON, by="bob")
    assert forgotten
    assert len(told.events) == 1
    page = await log.queries.entries("acme", reveal=True)
    assert page.records[0].privacy is Privacy.ERASED
