"""`sluicegate ledger run`: the process that takes usage events from the outbox to the ledger."""

import asyncio
import contextlib
import os
import signal
from argparse import Namespace

from sluicegate import settings
from sluicegate.adapters.local.events import SqliteEventStore
from sluicegate.adapters.redis.embedded.parent import die_with_parent
from sluicegate.adapters.redis.outbox import RedisOutbox
from sluicegate.cli.context import Local, run
from sluicegate.kernel.errors import ConfigurationError, DependencyUnavailableError
from sluicegate.kernel.telemetry import logs
from sluicegate.ledger.consumer import OutboxConsumer

NICENESS = 10


def run_consumer(args: Namespace) -> None:
    """Take events until SIGTERM or SIGINT, then once more what is there."""
    if args.parent is not None and not die_with_parent(args.parent):
        return
    # Callers wait for the gateway and for Redis, nobody for the ledger: on a busy machine it stands back.
    os.nice(NICENESS)
    logs.configure(settings.load(settings.Settings).log_level)

    async def work(local: Local) -> None:
        if local.redis is None:
            raise ConfigurationError("REDIS_URL is not set and no local server runs: there is no outbox")
        outbox = RedisOutbox(local.redis)
        events = SqliteEventStore(local.database)
        consumer = OutboxConsumer(outbox, local.usage, events, outbox.tenants, local.clock)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        consumer.start()
        await stop.wait()
        await consumer.stop()
        with contextlib.suppress(DependencyUnavailableError):  # the events wait where they are
            await consumer.drain()

    run(args.data, work)
