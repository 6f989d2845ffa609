"""The process that keeps the books: sole writer of the ledger's rows and of the transparency log.

In production it is the function `audit`; on one machine `sluicegate ledger run` is the same process.
"""

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path

from sluicegate import settings
from sluicegate.adapters.redis.embedded.parent import die_with_parent
from sluicegate.audit.policy import AuditPolicy
from sluicegate.kernel.errors import ConfigurationError, DependencyUnavailableError, SluicegateError
from sluicegate.kernel.telemetry import logs
from sluicegate.wiring.audit import LocalLog, open_log
from sluicegate.wiring.events import event_service, open_bus
from sluicegate.wiring.local import open_local
from sluicegate.wiring.policy_changes import tell_policies

log = logging.getLogger(__name__)

NICENESS = 10


def consume(data: Path | None = None, *, parent: int | None = None) -> None:
    """Take events until SIGTERM or SIGINT, then once more what is there.

    Args:
        data: the local data folder; the settings' one where None.
        parent: a process that this one ends with, where the system can tell (Linux).

    Raises:
        ConfigurationError: a policy or a setting is wrong, or there is no outbox.
    """
    if parent is not None and not die_with_parent(parent):
        return
    # Callers wait for the gateway and for Redis, nobody for the books: on a busy machine they stand back.
    os.nice(NICENESS)
    logs.configure(settings.load(settings.Settings).log_level)
    asyncio.run(_consume(data))


async def _consume(data: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with (
        open_local(data) as local,
        open_bus(local.data, local.clock) as bus,
        open_log(local.data, local.policies, local.clock, local.database, bus) as opened,
    ):
        if local.redis is None:
            raise ConfigurationError("REDIS_URL is not set and no local server runs: there is no outbox")
        tenant = settings.load(settings.Settings).own_tenant
        await tell_policies(local.data, local.policies, bus.publisher, local.clock, tenant)
        await _start(opened)
        service = event_service(
            bus,
            local.database,
            local.redis,
            local.policies,
            local.clock,
            audit=opened.log.consumer,
            audit_batch=local.policies.load("audit", AuditPolicy).batch.entries,
        )
        service.start()
        await stop.wait()
        await service.stop()
        with contextlib.suppress(DependencyUnavailableError):  # the events wait where they are
            await service.drain()


async def _start(opened: LocalLog) -> None:
    """Start the log. Where that fails the ledger goes on, and the log's events wait for an operator."""
    try:
        await opened.start()
    except ConfigurationError:
        raise
    except SluicegateError:
        log.exception("the transparency log cannot be built upon")
