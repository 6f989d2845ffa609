"""Histories in which slices of the counters are lent as well."""

from itertools import count
from typing import Any

from admission_history import ANY, NANO, NOW, SETS, TOKENS, AdmissionHistory, Slice
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from sluicegate.admission.counters import CounterSet
from sluicegate.admission.replies import Amounts, Booked, Grown, Loan, NotLent

LEASES = st.sampled_from(["lease-1", "lease-2", "lease-3"])
MARGIN = 2
# Small enough that most are lent, and in steps that meet the margin exactly.
LENT_NANO = st.integers(0, 12).map(lambda number: number * 25)
LENT_TOKENS = st.integers(0, 100)


class LeaseHistory(AdmissionHistory):
    """Leases beside single holds: lent, shared out, settled, given back, reaped, detached."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: set[str] = set()

    def lease(self, data: Any) -> tuple[str, Slice]:
        name = data.draw(st.sampled_from(sorted(self.model.leases)))
        return name, self.model.leases[name]

    @rule(
        name=LEASES, each=st.sampled_from(SETS), nano=LENT_NANO, tokens=LENT_TOKENS, slots=st.integers(0, 1)
    )
    def lend(self, name: str, each: CounterSet, nano: int, tokens: int, slots: int) -> None:
        model = self.model
        one = model.leases.get(name)
        if one is not None:
            each = one.each
        elif name in self.ended:
            return  # ids of leases are never used again
        amounts = {"n": nano, "t": tokens}
        wanted = [(amounts[counter.unit], model.left(counter)) for counter in each.amounts]
        wanted.append((slots, each.slots[0].limit - model.slots(each)))
        fits = all(more * MARGIN <= left and left > 0 for more, left in wanted)
        self.do(self.client.execute("HDEL", "slg:{acme}:counters", "lent", "unlent"))
        reply = self.do(
            self.store.lend(
                each,
                name,
                Amounts(nano, tokens, slots),
                existing=one is not None,
                margin=MARGIN,
                window_ms=50,
            )
        )
        assert isinstance(reply, Loan) if fits else reply is NotLent.NO
        if not fits:
            return
        one = model.leases.setdefault(name, Slice(each, 0, 0, 0))
        one.nano += nano
        one.tokens += tokens
        one.slots += slots

    @precondition(lambda self: any(one.slots for one in self.model.leases.values()))
    @rule(data=st.data(), nano=LENT_NANO, tokens=LENT_TOKENS)
    def take(self, data: Any, nano: int, tokens: int) -> None:
        """A request is admitted without the store."""
        name, one = self.lease(data)
        if one.slots < 1 or nano > one.nano or tokens > one.tokens:
            return
        share = next(name for number in count() if (name := f"h{number}") not in self.used)
        self.used.add(share)
        one.slots -= 1
        one.nano -= nano
        one.tokens -= tokens
        one.shares[share] = (nano, tokens)

    @precondition(lambda self: any(one.shares for one in self.model.leases.values()))
    @rule(data=st.data(), nano=NANO, tokens=TOKENS)
    def grow_share(self, data: Any, nano: int, tokens: int) -> None:
        name, one = self.lease(data)
        if not one.shares:
            return
        share = data.draw(st.sampled_from(sorted(one.shares)))
        amounts = {"n": nano, "t": tokens}
        fits = all(self.model.left(counter) >= amounts[counter.unit] for counter in one.each.amounts)
        grown = self.do(self.store.grow(one.each, name, nano, tokens))
        assert grown is (Grown.GROWN if fits else Grown.REFUSED)
        if fits:
            held, held_tokens = one.shares[share]
            one.shares[share] = (held + nano, held_tokens + tokens)

    @precondition(lambda self: self.model.leases)
    @rule(
        data=st.data(), closing=st.booleans(), rest=st.booleans(), within=st.booleans(), again=st.booleans()
    )
    def settle_shares(self, data: Any, *, closing: bool, rest: bool, within: bool, again: bool) -> None:
        """Some shares end at what they used; with the last of them so does a lease that closes."""
        name, one = self.lease(data)
        ended = data.draw(st.sets(st.sampled_from(sorted(one.shares)))) if one.shares else set()
        used = [0, 0]
        beyond = [0, 0]
        for share in sorted(ended):
            held = one.shares.pop(share)
            took = [data.draw(NANO), data.draw(TOKENS)]
            took = [min(took[kind], held[kind]) if within else took[kind] for kind in (0, 1)]
            used = [used[kind] + took[kind] for kind in (0, 1)]
            one.slots += 1
            one.nano += held[0] - took[0]
            one.tokens += held[1] - took[1]
            # What the lease has left pays what a request used above its hold; the rest is beyond.
            beyond = [beyond[0] + max(0, -one.nano), beyond[1] + max(0, -one.tokens)]
            one.nano, one.tokens = max(0, one.nano), max(0, one.tokens)
        self.overdrawn = self.overdrawn or beyond != [0, 0]
        last = closing and not one.shares
        # With the last word the store finds by itself what is left.
        back = Amounts(one.nano, one.tokens, one.slots) if closing and not (last and rest) else Amounts()
        one.nano, one.tokens, one.slots = (
            one.nano - back.nano,
            one.tokens - back.tokens,
            one.slots - back.slots,
        )
        one.number += 1
        self.model.book(one.each, *used)
        telling = (one.each, name, one.number, tuple(used), tuple(beyond), back, 0, [b"{}"] * len(ended))
        assert self.do(self.store.settle_shares(*telling, last=last)) == (Booked.SETTLED, "")
        if last:
            del self.model.leases[name]
            self.ended.add(name)
        if again:
            outcome = (Booked.GONE, f"g{self.model.generation}") if last else (Booked.AGAIN, "")
            assert self.do(self.store.settle_shares(*telling, last=last)) == outcome

    @precondition(lambda self: any(one.shares for one in self.model.leases.values()))
    @rule(data=st.data())
    def detach(self, data: Any) -> None:
        """A share becomes a hold of its own; nothing else changes."""
        name, one = self.lease(data)
        if not one.shares:
            return
        share = data.draw(st.sampled_from(sorted(one.shares)))
        held = one.shares.pop(share)
        self.model.holds[share] = (one.each, *held, f"g{self.model.generation}")
        assert self.do(self.store.detach(one.each, name, share, Amounts(*held), NOW))

    @precondition(lambda self: self.model.leases)
    @rule(data=st.data(), returns=st.booleans(), nano=NANO, tokens=TOKENS)
    def owner_of_lease_dies(self, data: Any, nano: int, tokens: int, *, returns: bool) -> None:
        """It is charged at what is left of it; unless its owner was only late, and tells what was used."""
        model = self.model
        name, one = self.lease(data)
        assert self.do(self.store.reap("acme", name)) is None
        self.do(self.client.execute("ZADD", "slg:{acme}:due", 1, name))
        held = one.held
        del model.leases[name]
        self.ended.add(name)
        model.book(one.each, *held)
        assert self.do(self.store.reap("acme", name)) == held[0]
        if not returns:
            return
        told = (one.each, name, one.number + 1, (nano, tokens), (0, 0), Amounts(), 0, [b"{}"])
        assert self.do(self.store.settle_shares(*told, last=True)) == (Booked.REAPED, "")
        if one.number:
            told = (one.each, name, one.number, *told[3:])
            assert self.do(self.store.settle_shares(*told, last=False)) == (Booked.AGAIN, "")
        for share in one.shares:
            model.past[share] = None
            model.book(one.each, nano, tokens)
            self.overdrawn = True
            self.do(self.store.charge(one.each, share, nano, tokens, b"{}"))
        model.book(one.each, -held[0], -held[1])
        self.do(self.store.settle(one.each, name, "none", 0, 0, b""))

    @rule(name=LEASES, hold=ANY)
    def no_such_lease(self, name: str, hold: str) -> None:
        if name in self.model.leases:
            return
        each = SETS[0]
        lending = self.store.lend(each, name, Amounts(1), existing=True, margin=MARGIN, window_ms=50)
        assert self.do(lending) is NotLent.GONE
        assert self.do(self.store.grow(each, name, 1, 1)) is Grown.GONE
        assert not self.do(self.store.detach(each, name, hold, Amounts(1, 1), NOW))
