import json

import pytest

from sluicegate.adapters.local.policy_record import FilePolicyRecord
from sluicegate.audit.policy_changes import PoliciesInForce, PolicyChanges
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.errors import ConfigurationError, DependencyUnavailableError
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.wiring.policy_changes import tell_policies

A = PoliciesInForce("a", {"budgets.yaml": "1" * 64, "roles.yaml": "2" * 64})
B = PoliciesInForce("b", {"budgets.yaml": "3" * 64, "limits.yaml": "4" * 64, "roles.yaml": "2" * 64})


class Told:
    def __init__(self):
        self.events = []
        self.error = None

    async def publish(self, events):
        if self.error is not None:
            raise self.error
        self.events += events


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def record(tmp_path):
    return FilePolicyRecord(tmp_path / "data" / "policies-told.json")


@pytest.fixture
def changes(record, told):
    return PolicyChanges(record, told, FixedClock(), "platform")


async def test_a_change_is_told_once_with_what_changed(changes, told):
    assert [await changes.tell(each) for each in (A, A, B, B)] == [True, False, True, False]
    first, second = told.events
    assert (first.tenant, first.data["action"], first.data["user"]) == (
        "platform", "policy.changed", "system",
    )  # fmt: skip
    assert first.data["payload"]["before"] is None
    assert [each["file"] for each in first.data["payload"]["files"]] == ["budgets.yaml", "roles.yaml"]
    assert second.data["payload"] == {
        "before": "a",
        "after": "b",
        "files": [
            {"file": "budgets.yaml", "before": "1" * 64, "after": "3" * 64},
            {"file": "limits.yaml", "before": None, "after": "4" * 64},
        ],
    }


async def test_going_back_and_forth_is_a_change_each_time(changes, told):
    for each in (A, B, A, B):
        await changes.tell(each)
    assert len({event.id for event in told.events}) == 4


async def test_processes_that_start_at_once_or_die_in_between_tell_one_change(record, changes, told):
    await changes.tell(A)
    kept = await record.read()
    await changes.tell(B)
    await record.write(kept)  # as though it had died before it kept that it told, or another were as early
    await changes.tell(B)
    assert [event.id for event in told.events[1:]] == [told.events[1].id] * 2
    assert await changes.tell(B) is False


async def test_what_cannot_be_told_is_told_at_the_next_start(changes, told):
    await changes.tell(A)
    told.error = DependencyUnavailableError("away")
    with pytest.raises(DependencyUnavailableError):
        await changes.tell(B)
    told.error = None
    assert await changes.tell(B)
    assert len(told.events) == 2


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b'{"number": "x", "version": "a", "files": {}}', b"\xff"]
)
async def test_a_damaged_record_is_said(record, changes, content):
    await record.write(content)
    with pytest.raises(ConfigurationError, match="record of the policies"):
        await changes.tell(A)


async def test_the_files_in_force_are_told_with_their_digests(tmp_path, told):
    data, overlay = tmp_path / "data", tmp_path / "policies"
    overlay.mkdir()
    clock = FixedClock()
    await tell_policies(data, PolicySet(overlay), told, clock, "platform")
    (overlay / "events.yaml").write_text("batch: 100\n")
    assert await tell_policies(data, PolicySet(overlay), told, clock, "platform")
    assert not await tell_policies(data, PolicySet(overlay), told, clock, "platform")
    [changed] = told.events[1].data["payload"]["files"]
    assert changed["file"] == "events.yaml"
    assert len(changed["after"]) == 64
    assert told.events[1].data["payload"]["after"] == PolicySet(overlay).version()
    assert json.loads((data / "policies-told.json").read_bytes())["number"] == 2
    assert (data / "policies-told.json").stat().st_mode & 0o777 == 0o600


async def test_a_record_that_cannot_be_kept_is_unavailable(tmp_path):
    (tmp_path / "file").write_text("")
    record = FilePolicyRecord(tmp_path / "file" / "policies-told.json")
    with pytest.raises(DependencyUnavailableError):
        await record.read()
    with pytest.raises(DependencyUnavailableError):
        await record.write(b"x")
