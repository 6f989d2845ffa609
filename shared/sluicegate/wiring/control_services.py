"""What the control plane is made of. Imported with its first request; see `wiring.control`."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from sluicegate import settings
from sluicegate.adapters.redis.announcements import listen_for_keys
from sluicegate.adapters.redis.client import RedisClient
from sluicegate.adapters.web.http_client import HttpClient
from sluicegate.identity.authenticator import Authenticator
from sluicegate.kernel.clock import Clock, SystemClock
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.kernel.telemetry import logs
from sluicegate.ledger.service import SpendReports
from sluicegate.settings import ControlSettings
from sluicegate.web.control.application import control_application
from sluicegate.web.control.services import ControlServices
from sluicegate.web.gateway.service import Hook, Running
from sluicegate.web.server.mount import asgi_handler
from sluicegate.web.server.problems import Handler
from sluicegate.wiring.audit import local_log
from sluicegate.wiring.events import Bus, event_bus
from sluicegate.wiring.identity import authenticator, sign_in_log
from sluicegate.wiring.places import DEFAULT_DATA
from sluicegate.wiring.policy_changes import tell_policies
from sluicegate.wiring.stores import Documents, documents, key_store, usage_store

MAX_BODY_BYTES = 256 * 1024

_OWN_TENANT = "default"


def mounted_control(
    data: Path, policies: PolicySet, clock: Clock, database: Documents, bus: Bus, callers: Authenticator
) -> tuple[Handler, Callable[[], Awaitable[object]]]:
    """The handler of `/api/v1`, and what closes what it opens."""
    config: ControlSettings = settings.load(ControlSettings)
    log = local_log(data, policies, clock, database, bus)
    services = ControlServices(
        authenticator=callers,
        events=bus.publisher,
        clock=clock,
        blobs=log.blobs,
        publisher=log.log.publisher,
        queries=log.log.queries,
        exports=log.exports,
        spend=SpendReports(usage_store(database)),
        platform_tenant=config.platform_tenant or (_OWN_TENANT if config.embedded else None),
        trusted_proxies=config.trusted_proxies,
    )
    application = control_application(services)
    return asgi_handler(application, body_limit=MAX_BODY_BYTES), log.close


def control_service(config: ControlSettings) -> Running:
    """The control plane as a service of its own.

    Raises:
        ConfigurationError: a setting or a policy is wrong.
    """
    logs.configure(config.log_level)
    if config.redis_url is None or config.sluicegate_data_dir is None:
        raise ConfigurationError("REDIS_URL and SLUICEGATE_DATA_DIR must be set")
    data, clock, policies = (
        config.sluicegate_data_dir or DEFAULT_DATA,
        SystemClock(),
        PolicySet(config.sluicegate_policy_dir),
    )
    redis = RedisClient.from_url(config.redis_url.get_secret_value())
    database, http = documents(config, data), HttpClient()
    bus = event_bus(data, clock)
    sign_ins = sign_in_log(config, policies, bus.publisher, clock)
    callers = authenticator(config, policies, key_store(database), data, http, clock, sign_ins)
    handler, close = mounted_control(data, policies, clock, database, bus, callers)

    async def start() -> None:
        await tell_policies(data, policies, bus.publisher, clock, config.own_tenant)
        sign_ins.start()
        await listen_for_keys(redis, callers.forget, callers.forget_all)

    closing: list[Hook] = [close, sign_ins.stop, http.aclose, redis.close, bus.database.close, database.close]
    return Running(handler, [start], closing)
