"""What the suites of leases share."""

from typing import Any

from admission_suite import StoreSuite

from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.admission.counters import CounterSet
from sluicegate.admission.replies import (
    Amounts,
    Booked,
    Loan,
    NotLent,
)

NOTHING = Amounts()
SLICE = Amounts(80_000_000, 80, 4, 8)
COUNTERS = "slg:{acme}:counters"


class LeaseGround(StoreSuite):
    """Lending and telling, briefly."""

    async def lend(
        self,
        store: RedisAdmissionStore,
        each: CounterSet,
        amounts: Amounts = SLICE,
        lease: str = "lease-1",
        **more: Any,
    ) -> Loan | NotLent:
        terms = {"existing": False, "margin": 16, "window_ms": 50} | more
        return await store.lend(each, lease, amounts, **terms)

    async def lent(self, *args: Any, **more: Any) -> Loan:
        loan = await self.lend(*args, **more)
        assert isinstance(loan, Loan)
        return loan

    async def tell(
        self, store: RedisAdmissionStore, each: CounterSet, number: int, used: tuple[int, int], **more: Any
    ) -> Booked:
        told = {"lease": "lease-1", "beyond": (0, 0), "back": NOTHING, "at": 0, "events": (), "last": False}
        told |= more
        outcome, generation = await store.settle_shares(
            each, told["lease"], number, used, told["beyond"], told["back"], told["at"], told["events"],
            last=told["last"],
        )  # fmt: skip
        assert generation == "" or outcome is Booked.GONE
        return outcome

    async def open_slots(self, client: Any, each: CounterSet) -> int:
        return int(await client.execute("HGET", COUNTERS, each.slots[0].field) or 0)

    async def counted(self, client: Any, each: CounterSet, index: int = 0) -> tuple[int, int, int]:
        value = await client.execute("HGET", COUNTERS, each.rates[index].field)
        bucket, count, before = (int(part) for part in value.split())
        return bucket, count, before
