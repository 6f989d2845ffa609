from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sluicegate.caching.policy import CachingPolicy, MemoryLevel, memory_bound
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.policy_files import PolicySet

SHIPPED = Path(__file__).parents[3] / "shared" / "policies"


def test_the_shipped_policy_is_what_the_documents_ask_for() -> None:
    policy = PolicySet(shipped=SHIPPED).load("caching", CachingPolicy)
    assert (policy.l1.ttl, policy.l2.ttl, policy.l3.ttl) == (300, 3_600, 604_800)
    assert policy.l1.size == 10**9
    assert set(policy.invalidated_by) == {"feedback_received", "code_changed"}
    assert policy == CachingPolicy()


def test_an_error_names_line_and_form(tmp_path: Path) -> None:
    (tmp_path / "caching.yaml").write_text("enabled: true\nl1:\n  ttl: 300\n")
    with pytest.raises(ConfigurationError, match=r"caching\.yaml:3: l1\.ttl: .*like 5m"):
        PolicySet(tmp_path, SHIPPED).load("caching", CachingPolicy)


@pytest.mark.parametrize(
    "wrong",
    [
        {"poll": "0s"},
        {"answer_limit": "1 parsec"},
        {"store": "sometimes"},
        {"invalidated_by": ["Not A Name"]},
        {"l4": {}},
    ],
)
def test_wrong_policies_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CachingPolicy.model_validate(wrong)


def test_memory_is_the_least_of_policy_setting_and_share() -> None:
    level = MemoryLevel()
    assert memory_bound(level, 64 << 20, None) == 64 << 20
    assert memory_bound(level, 64 << 20, 100 << 20) == 25 << 20
    assert memory_bound(level, 1 << 40, None) == 10**9
