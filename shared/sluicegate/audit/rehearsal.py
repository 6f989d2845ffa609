"""Made-up events for a log, to measure it and to rehearse with: they look like a gateway's."""

from collections.abc import Iterator
from itertools import islice

from sluicegate.audit.consumer import AuditConsumer
from sluicegate.kernel.events import USAGE_RECORDED, Event

_SOURCE = "/functions/gateway"


def made_up_events(
    first: int = 0, *, tenants: int = 3, users: int = 50, at: float = 1.76e9
) -> Iterator[Event]:
    """Usage events without end, numbered from `first`; the same each time. `at` is the time of number 0."""
    number = first
    while True:
        request, tenant = f"req_{number:028x}", f"tenant-{number % tenants}"
        yield Event(
            id=request,
            source=_SOURCE,
            type=USAGE_RECORDED,
            time=at + number / 1_000,
            tenant=tenant,
            subject=request,
            data={
                "request_id": request,
                "tenant": tenant,
                "workspace": f"workspace-{number % 7}",
                "user": f"user-{number % users}",
                "key": f"key_{number % 11}",
                "model": "gpt-5.4-mini",
                "provider": "openai",
                "requested_model": "auto",
                "task": "code",
                "input_tokens": 100 + number % 900,
                "output_tokens": 20 + number % 180,
                "cost_nano": 12_345 + number,
                "held_nano": 20_000 + number,
                "estimated": False,
                "cache": "none",
                "outcome": "success",
            },
        )
        number += 1


async def append_made_up(consumer: AuditConsumer, count: int, *, first: int = 0, batch: int = 5_000) -> None:
    """Put `count` made-up entries into a log, `batch` at a time.

    Raises:
        DependencyUnavailableError: as `AuditConsumer.handle`.
    """
    events = made_up_events(first)
    for at in range(0, count, batch):
        await consumer.handle(list(islice(events, min(batch, count - at))))
