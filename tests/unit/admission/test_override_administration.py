import pytest
from jsonschema import Draft202012Validator

from sluicegate.admission.override_administration import OverrideAdministration
from sluicegate.admission.overrides import BudgetOverride
from sluicegate.events.registry import data_schema
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.errors import DependencyUnavailableError
from sluicegate.kernel.events import AUDIT_ACTION
from sluicegate.kernel.governed import Actor

ANN = Actor("cli:ann", "203.0.113.7", "curl")


class Overrides:
    """An override store in memory, and the bus: `order` says what came first."""

    def __init__(self):
        self.kept = {}
        self.order = []
        self.events = []
        self.away = self.full = False

    async def overrides(self, tenant):
        return [override for (owner, *_), override in self.kept.items() if owner == tenant]

    async def set_override(self, tenant, override):
        if self.full:
            raise DependencyUnavailableError("the disk is full")
        self.order.append("set")
        place = (tenant, override.scope, override.name, override.period)
        if override.limit_nano is None:
            self.kept.pop(place, None)
        else:
            self.kept[place] = override

    async def publish(self, events):
        if self.away:
            raise DependencyUnavailableError("bus.db is away")
        self.order.append("told")
        self.events += events


@pytest.fixture
def overrides():
    return Overrides()


@pytest.fixture
def administration(overrides):
    return OverrideAdministration(overrides, FixedClock(), overrides)


def growth(limit, scope="workspace", name="growth"):
    return BudgetOverride(scope, name, "day", limit)


async def test_a_limit_is_told_with_the_one_before_and_then_set(overrides, administration):
    for limit in (12_500_000_000, 1, None):
        await administration.set("acme", growth(limit), by=ANN)
    await administration.set("acme", growth(5, "user", "kim"), by=ANN)
    assert overrides.order == ["told", "set"] * 4
    assert overrides.kept == {("acme", "user", "kim", "day"): growth(5, "user", "kim")}
    assert [each.data["action"] for each in overrides.events] == ["budget.set"] * 2 + [
        "budget.cleared", "budget.set",
    ]  # fmt: skip
    payloads = [each.data["payload"] for each in overrides.events]
    assert [(each["old_usd"], each["new_usd"]) for each in payloads[:3]] == [
        (None, "12.5"), ("12.5", "0.000000001"), ("0.000000001", None),
    ]  # fmt: skip
    first, person = overrides.events[0], overrides.events[3]
    assert (first.tenant, first.data["user"], first.data["ip"]) == ("acme", "cli:ann", "203.0.113.7")
    assert (first.data["workspace"], first.data.get("subject")) == ("growth", None)
    assert person.data["subject"] == "kim", "it is about a person, and ends with them"
    for event in overrides.events:
        Draft202012Validator(data_schema(AUDIT_ACTION)).validate(event.data)


async def test_what_cannot_be_told_is_not_set(overrides, administration):
    overrides.away = True
    with pytest.raises(DependencyUnavailableError, match="nothing was done"):
        await administration.set("acme", growth(1), by=ANN)
    assert overrides.kept == {}


async def test_what_could_not_be_set_is_told(overrides, administration):
    overrides.full = True
    with pytest.raises(DependencyUnavailableError, match="disk is full"):
        await administration.set("acme", growth(1), by=ANN)
    assert [each.data["result"] for each in overrides.events] == ["success", "failure"]
    assert len({each.id for each in overrides.events}) == 2
