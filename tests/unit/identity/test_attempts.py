import pytest

from sluicegate.identity.attempts import FailedAttempts, address_source
from sluicegate.identity.policy import AttemptsPolicy

POLICY = AttemptsPolicy(limit=5, window_s=60, block_s=30, addresses=3)


def test_the_sixth_failure_in_a_minute_blocks():
    attempts = FailedAttempts(POLICY)
    assert [attempts.record("a", 100.0 + i) for i in range(6)] == [None] * 5 + [6]
    assert attempts.blocked_for("a", 105.0) == 30.0
    assert attempts.blocked_for("a", 134.5) == 0.5
    assert attempts.blocked_for("a", 136.0) == 0.0
    assert attempts.blocked_for("b", 105.0) == 0.0


def test_failures_older_than_the_window_do_not_count():
    attempts = FailedAttempts(POLICY)
    for i in range(20):
        assert attempts.record("a", i * 12.5) is None


def test_a_breach_is_told_once_per_block():
    attempts = FailedAttempts(POLICY)
    told = [attempts.record("a", 0.0) for _ in range(50)]
    assert [count for count in told if count] == [6]


def test_only_so_many_sources_are_remembered():
    attempts = FailedAttempts(POLICY)
    for i in range(1000):
        attempts.record(str(i), 0.0)
    assert len(attempts._records) == 3


@pytest.mark.parametrize(
    ("client", "source"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_one_subscriber_is_one_source(client, source):
    assert address_source(client) == source
