"""What is kept of people beside usage and the log: one suite, over SQLite and over Firestore."""

import pytest

from sluicegate.adapters.gcp.firestore.keys import FirestoreKeyStore
from sluicegate.adapters.gcp.firestore.overrides import FirestoreOverrideStore
from sluicegate.adapters.gcp.firestore.person_records import FirestorePersonRecords
from sluicegate.adapters.gcp.firestore.tenant_plans import FirestoreKeyPlans
from sluicegate.adapters.local.keys import SqliteKeyStore
from sluicegate.adapters.local.overrides import SqliteOverrideStore
from sluicegate.adapters.local.person_records import SqlitePersonRecords
from sluicegate.adapters.local.sqlite import Database
from sluicegate.adapters.local.tenant_plans import KeyPlans
from sluicegate.admission.overrides import BudgetOverride
from sluicegate.identity.api_keys import ApiKey, KeySecret
from sluicegate.kernel.clock import FixedClock

NOW = 1_800_000_000.0


def key(letter, **fields):
    return ApiKey(
        **{
            "id": f"key_{letter}", "tenant": "acme", "workspace": "growth", "user": "kim", "name": "CI",
            "roles": (), "secrets": (KeySecret(letter * 8, b"d" * 32, 1.0),), "created_at": 1.0, **fields,
        }
    )  # fmt: skip


class PersonRecordsSuite:
    """`audit.ports.PersonalData` and `audit.ports.Plans` over keys and budgets."""

    async def test_a_person_s_keys_are_revoked_under_a_pseudonym(self, people, keys):
        await keys.add(key("a"))
        await keys.add(key("b", revoked_at=5.0, revoked_reason="kim left"))
        await keys.add(key("c", user="lee", name="made by kim for lee", revoked_reason="kimono"))
        await keys.add(key("d", tenant="other"))
        assert await people.forget_person("acme", "kim", "u:1") == 3
        found = {each.id[4:]: each for each in await keys.keys("acme")}
        assert [(found[n].user, found[n].name, found[n].revoked_at) for n in "ab"] == [
            ("u:1", "erased", NOW), ("u:1", "erased", 5.0),
        ]  # fmt: skip
        assert (found["c"].user, found["c"].name) == ("lee", "made by u:1 for lee")
        assert (found["c"].revoked_reason, found["c"].revoked_at) == ("kimono", None)
        assert {found[n].revision for n in "ab"} == {2}
        assert await keys.find("other", "key_d") == key("d", tenant="other")
        assert await keys.find_by_prefix("aaaaaaaa") == found["a"]
        assert await people.forget_person("acme", "kim", "u:1") == 0

    async def test_budgets_of_a_person_are_gone(self, people, overrides):
        for scope, name in (("user", "kim"), ("user", "lee"), ("workspace", "kim")):
            await overrides.set_override("acme", BudgetOverride(scope, name, "day", 5))
        assert await people.forget_person("acme", "kim", "u:1") == 1
        assert {(each.scope, each.name) for each in await overrides.overrides("acme")} == {
            ("user", "lee"), ("workspace", "kim"),
        }  # fmt: skip

    async def test_a_tenant_is_forgotten_as_a_whole(self, people, keys, overrides):
        await keys.add(key("a"))
        await keys.add(key("b", user="lee"))
        await overrides.set_override("acme", BudgetOverride("user", "lee", "day", 5))
        await overrides.set_override("other", BudgetOverride("user", "lee", "day", 5))
        assert await people.forget_tenant("acme") == 3
        assert await people.forget_tenant("acme") == 0
        assert {(each.user, each.revoked_at) for each in await keys.keys("acme")} == {("erased", NOW)}
        assert len(await overrides.overrides("other")) == 1

    async def test_the_plan_is_the_highest_of_the_keys_that_work(self, plans, keys):
        assert await plans.plan("acme") is None
        await keys.add(key("a", plan="pro"))
        await keys.add(key("b"))
        await keys.add(key("c", plan="enterprise", revoked_at=1.0))
        await keys.add(key("d", plan="studio", tenant="other"))
        assert await plans.plan("acme") == "pro"


class TestSqlite(PersonRecordsSuite):
    @pytest.fixture
    async def database(self, tmp_path):
        opened = Database(tmp_path / "sluicegate.db")
        yield opened
        await opened.close()

    @pytest.fixture
    def keys(self, database):
        return SqliteKeyStore(database)

    @pytest.fixture
    def overrides(self, database):
        return SqliteOverrideStore(database)

    @pytest.fixture
    def people(self, database):
        return SqlitePersonRecords(database, FixedClock(NOW))

    @pytest.fixture
    def plans(self, database):
        return KeyPlans(database)


class TestFirestore(PersonRecordsSuite):
    @pytest.fixture
    def keys(self, firestore):
        return FirestoreKeyStore(firestore)

    @pytest.fixture
    def overrides(self, firestore):
        return FirestoreOverrideStore(firestore)

    @pytest.fixture
    def people(self, other_firestore):
        return FirestorePersonRecords(other_firestore, FixedClock(NOW))

    @pytest.fixture
    def plans(self, other_firestore):
        return FirestoreKeyPlans(other_firestore)
