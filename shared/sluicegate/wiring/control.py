"""The control plane: a service of its own, or mounted in the gateway of a single machine.

What it is made of takes long to import, so that happens with the first request.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path

from sluicegate import settings
from sluicegate.identity.authenticator import Authenticator
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.web.exchange import Exchange
from sluicegate.web.gateway.service import GatewayService, run_service
from sluicegate.web.server.problems import Handler
from sluicegate.wiring.events import Bus
from sluicegate.wiring.stores import Documents

PREFIX = "/api/v1/"

_SERVICES = "sluicegate.wiring.control_services"


class MountedControl:
    """The control plane within another service. Nothing is opened before the first request.

    Args:
        callers: the other service's authenticator.
        bus: the folder's bus.
    """

    def __init__(
        self,
        data: Path,
        policies: PolicySet,
        clock: Clock,
        database: Documents,
        bus: Bus,
        callers: Authenticator,
    ) -> None:
        self._parts = (data, policies, clock, database, bus, callers)
        self._lock = asyncio.Lock()
        self._handler: Handler | None = None
        self._close: Callable[[], Awaitable[object]] | None = None

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one exchange."""
        handler = self._handler
        if handler is None:
            async with self._lock:
                handler = self._handler
                if handler is None:
                    build = (await asyncio.to_thread(import_module, _SERVICES)).mounted_control
                    handler, self._close = build(*self._parts)
                    self._handler = handler
        await handler(exchange)

    async def close(self) -> None:
        """Close what was opened."""
        if self._close is not None:
            await self._close()


def control() -> GatewayService:
    """The control plane, to be served by any ASGI server or by itself."""
    return GatewayService(
        lambda: import_module(_SERVICES).control_service(settings.load(settings.ControlSettings))
    )


def serve(service: GatewayService) -> None:
    """Serve the control plane on HOST and PORT until SIGTERM, as its container does.

    What is wrong with settings or policies goes to standard error in plain words, with status 2.
    """
    try:
        config: settings.ControlSettings = settings.load(settings.ControlSettings)
        run_service(service, host=config.host, port=config.port, drain_s=config.drain_seconds, started=None)
    except ConfigurationError as error:
        sys.stderr.write(f"sluicegate: {error.message}\n")
        sys.exit(2)
