"""The arithmetic of a lease: what it holds is always accounted for."""

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.admission.counters import compile_counters
from sluicegate.admission.lease import Lease, Lending
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.replies import Amounts, Loan
from sluicegate.admission.state import TenantState
from sluicegate.admission.types import Grant, Subject

SUBJECT = Subject("acme", "growth", "ann", "k1", "m1")
COUNTED = compile_counters(
    SUBJECT,
    BudgetPolicy.model_validate({"budgets": [{"scope": "tenant", "period": "total", "limit_usd": 1}]}),
    LimitPolicy.model_validate(
        {
            "rates": [{"scope": "key", "period": "minute", "limit": 100}],
            "tokens": [{"scope": "key", "period": "day", "limit": 1000}],
            "concurrency": [{"scope": "key", "limit": 100}],
        }
    ),
    (),
    4_000_000_000.0,
)
BARE = compile_counters(SUBJECT, BudgetPolicy(), LimitPolicy(), (), 4_000_000_000.0)
LOAN = Loan("g1", 0.05, 0, 900, 0, 90, (0, 8, 0, 0))
SMALL = st.integers(0, 60)


def lease_of(counters, amounts):
    lease = Lease("lease-1", TenantState("acme"), counters, "g1", LOAN, 1.0, 0.5)
    lease.add(amounts, LOAN, 1.0, 0.5)
    return lease


def grant_of(nano, tokens):
    return Grant("r", SUBJECT, nano, tokens, None, "g1")


@given(
    st.lists(st.tuples(SMALL, SMALL, st.integers(0, 150), st.integers(0, 150)), max_size=12),
    st.randoms(use_true_random=False),
)
def test_what_is_lent_is_free_held_or_used(requests, rng):
    lease = lease_of(COUNTED, Amounts(200, 200, 5, 8))
    running, used, taken = [], [0, 0], 0
    for nano, tokens, cost, used_tokens in requests:
        if running and rng.random() < 0.5:
            grant, spent = running.pop(rng.randrange(len(running)))
            lease.put_back(grant, *spent)
            used = [used[0] + spent[0], used[1] + spent[1]]
        if lease.take((nano, tokens)):
            taken += 1
            running.append((grant_of(nano, tokens), (cost, used_tokens)))
        held = [sum(grant.held_nano for grant, _ in running), sum(grant.held_tokens for grant, _ in running)]
        assert lease.nano + held[0] + used[0] == 200 + lease.beyond_nano
        assert lease.tokens + held[1] + used[1] == 200 + lease.beyond_tokens
        assert (lease.under_way, lease.slots, lease.requests) == (len(running), 5 - len(running), 8 - taken)
        assert min(lease.nano, lease.tokens, lease.slots, lease.requests) >= 0
    assert taken <= 8


def test_takes_nothing_that_it_does_not_have():
    lease = lease_of(COUNTED, Amounts(10, 10, 1, 2))
    assert not lease.take((11, 0))
    assert not lease.take((0, 11))
    assert lease.take((10, 10))
    assert not lease.take((0, 0))  # no slot
    lease.put_back(grant_of(10, 10), 0, 0)
    assert lease.take((10, 10))
    lease.put_back(grant_of(10, 10), 4, 3)
    assert not lease.take((0, 0))  # no request
    assert lease.leftover() == Amounts(6, 7, 1, 0)
    assert lease.leftover() == Amounts()


def test_what_no_counter_asks_for_never_runs_short_but_money_is_accounted_for():
    """An estimate for a dead owner names the money that it held, whether or not there is a budget."""
    lease = lease_of(BARE, Amounts(100, 10, 1, 1))
    for _ in range(5):
        assert lease.take((20, 1000))
    assert not lease.take((1, 0))
    assert lease.lacks(3, (20, 1000)) == Amounts(60, 0, 0, 0)
    for _ in range(5):
        lease.put_back(grant_of(20, 1000), 5, 1)
    assert lease.leftover() == Amounts(75, 0, 0, 0)
    assert (lease.beyond_nano, lease.beyond_tokens) == (0, 0)


def test_more_is_asked_for_where_it_is_short():
    lease = lease_of(COUNTED, Amounts(100, 10, 4, 8))
    lease.take((30, 1))
    assert lease.lacks(4, (25, 5)) == Amounts(30, 11, 1, 0)
    lease.add(Amounts(30, 11, 1, 0), LOAN, 2.0, 1.5)
    assert (lease.nano, lease.tokens, lease.slots, lease.requests) == (100, 20, 4, 7)
    assert (lease.expires, lease.renew_at) == (2.0, 1.5)


def test_what_callers_are_told_counts_what_nobody_took_as_free():
    lease = lease_of(COUNTED, Amounts(100, 10, 4, 8))
    lease.take((30, 1))
    assert lease.money_left() == 970
    assert lease.rate_status().remaining == 99
    bare = lease_of(BARE, Amounts(100, 10, 4, 8))
    bare.loan = Loan("g1", 0.05, 0, None, None, 0, None)
    assert (bare.money_left(), bare.rate_status()) == (None, None)


def test_a_retired_lease_is_nobodys():
    lease, other = (lease_of(COUNTED, Amounts(1, 1, 1, 1)) for _ in range(2))
    COUNTED.lending = Lending(8, 128, lease=lease, count=3)
    other.retire()
    assert (COUNTED.lending.lease, COUNTED.lending.count) == (lease, 3)
    lease.retire()
    assert (COUNTED.lending.lease, COUNTED.lending.count) == (None, 0)
    assert lease.closed
    assert other.closed
