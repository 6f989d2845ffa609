"""The gateway, put together."""

import asyncio
import logging
import os
import random
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec

from sluicegate import __version__, settings
from sluicegate.adapters.local.blobs import FileBlobStore
from sluicegate.adapters.local.memory_cache import MemoryCache, container_memory
from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.adapters.redis.announcements import listen_for_keys, listen_for_overrides
from sluicegate.adapters.redis.cache import RedisBlobStore, RedisTagGenerations
from sluicegate.adapters.redis.client import RedisClient
from sluicegate.adapters.redis.health_board import RedisHealthBoard
from sluicegate.adapters.redis.idempotency import RedisIdempotency
from sluicegate.adapters.redis.outbound import RedisOutboundLimits
from sluicegate.adapters.web.http_client import HttpClient
from sluicegate.adapters.web.http_limits import ClientLimits
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.ports import RevocationReader
from sluicegate.admission.service import AdmissionService
from sluicegate.caching.counters import CacheCounters
from sluicegate.caching.policy import CachingPolicy, memory_bound
from sluicegate.caching.service import CacheService
from sluicegate.completions.limits import DEFAULT_LIMITS
from sluicegate.completions.pipeline.pipeline import CompletionPipeline
from sluicegate.completions.pipeline.policy import CompletionsPolicy
from sluicegate.completions.pipeline.reuse import Reuse
from sluicegate.completions.registry import codecs
from sluicegate.completions.translate import translator
from sluicegate.identity.authenticator import Authenticator
from sluicegate.kernel.clock import Clock, SystemClock
from sluicegate.kernel.errors import ConfigurationError, SluicegateError
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.kernel.telemetry import logs, metrics
from sluicegate.kernel.telemetry.lines import LINES
from sluicegate.kernel.telemetry.tallies import NANO
from sluicegate.kernel.telemetry.tracing import Tracing
from sluicegate.routing.catalogue import load_catalogue
from sluicegate.routing.checks import HealthChecks
from sluicegate.routing.complexity import load_classifier
from sluicegate.routing.policy import RoutingPolicy
from sluicegate.routing.service import Router
from sluicegate.routing.sharing import HealthSharing
from sluicegate.settings import GatewaySettings
from sluicegate.web.gateway.application import GatewayApplication, GatewayLimits, Mounted, Page
from sluicegate.web.gateway.cors import Cors
from sluicegate.web.gateway.pages import ModelPages, Pages
from sluicegate.web.gateway.scraping import ScrapeGuard
from sluicegate.web.gateway.service import GatewayService, Hook, Running, run_service
from sluicegate.wiring.control import PREFIX, MountedControl
from sluicegate.wiring.events import Bus, event_bus, event_service
from sluicegate.wiring.identity import authenticator, sign_in_log
from sluicegate.wiring.places import DEFAULT_DATA
from sluicegate.wiring.policy_changes import tell_policies
from sluicegate.wiring.providers import provider, stand_ins
from sluicegate.wiring.stores import Documents, documents, key_store, override_store, usage_store

P = ParamSpec("P")

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 600.0


def gateway(overrides: GatewaySettings | None = None) -> GatewayService:
    """The gateway, to be served by any ASGI server or by itself."""
    return GatewayService(lambda: _gateway(overrides or settings.load(GatewaySettings)))


def serve(service: GatewayService) -> None:
    """Serve the gateway on HOST and PORT until SIGTERM, as its container does.

    What is wrong with settings or policies goes to standard error in plain words, with status 2.
    """
    try:
        config: GatewaySettings = settings.load(GatewaySettings)
        run_service(service, host=config.host, port=config.port, drain_s=config.drain_seconds, started=None)
    except ConfigurationError as error:
        sys.stderr.write(f"sluicegate: {error.message}\n")
        sys.exit(2)


def _gateway(config: GatewaySettings) -> Running:
    logs.configure(config.log_level)
    ground = _ground(config)
    router = _router(ground)
    providers = {
        name: provider(entry, config, ground.http) for name, entry in router.catalogue.providers.items()
    }
    substitutes = stand_ins(config, providers)
    if config.embedded:
        log.warning(
            "ENVIRONMENT is development: embedded parts are in use; never expose this to a network",
            extra={"scripted_stand_ins": sorted(substitutes)},
        )
    keys = key_store(ground.database)
    bus = event_bus(ground.data, ground.clock)
    sign_ins = sign_in_log(config, ground.policies, bus.publisher, ground.clock)
    callers = authenticator(config, ground.policies, keys, ground.data, ground.http, ground.clock, sign_ins)
    admission = _admission(ground, keys)
    cache, archive = _cache(config, ground)
    tracing = _tracing(config)
    policy = ground.policies.load("completions", CompletionsPolicy)
    pipeline = CompletionPipeline(
        codecs=codecs(),
        translator=translator,
        providers=providers,
        stand_ins=substitutes,
        outbound=_outbound(ground, router),
        debug=config.embedded or config.debug_headers,
        running_usage=frozenset(
            name for name, entry in router.catalogue.providers.items() if entry.continuous_usage
        ),
        router=router,
        admission=admission,
        reuse=Reuse(admission, cache, RedisIdempotency(ground.redis), policy, ground.policies.version()),
        policy=policy,
        limits=DEFAULT_LIMITS,
        tracing=tracing,
    )
    control = MountedControl(ground.data, ground.policies, ground.clock, ground.database, bus, callers)
    # On one machine all functions share a port; elsewhere the load balancer tells them apart.
    mounts = {PREFIX: control} if config.embedded else {}
    application = _application(config, pipeline, callers, router, ground.redis, policy, mounts)

    ready = {name: each.check for name, each in providers.items() if each.ready() is None}
    checking = HealthChecks(router.health, ready, router.policy.health)
    sharing = HealthSharing(
        router.health, RedisHealthBoard(ground.redis, f"{os.getpid()}-{os.urandom(4).hex()}")
    )
    sweeping = _Repeating(archive.sweep, SWEEP_EVERY_S)
    books = _books(ground, bus) if config.ledger_consumer else _Books()

    async def start() -> None:
        await tell_policies(ground.data, ground.policies, bus.publisher, ground.clock, config.own_tenant)
        sign_ins.start()
        await admission.start()
        await books.start()
        sharing.start()
        checking.start()
        sweeping.start()
        await listen_for_keys(
            ground.redis,
            _each(callers.forget, admission.forget_key),
            _each(callers.forget_all, admission.forget_all),
        )
        await listen_for_overrides(ground.redis, admission.forget, admission.forget_all)

    async def settle() -> None:
        await pipeline.drain(config.drain_seconds / 4)

    async def deliver() -> None:
        left = await admission.stop(config.drain_seconds / 4)
        if left:
            log.error("settlements could not be delivered; their holds will be charged", extra={"left": left})

    closing: list[Hook] = [settle, deliver, checking.stop, sweeping.stop, sharing.stop]
    closing += [sign_ins.stop, books.stop]
    closing += [cache.close, *(each.close for each in (*providers.values(), *substitutes.values()))]
    closing += [ground.http.aclose, archive.close, ground.redis.close, control.close, books.close]
    closing += [bus.database.close, ground.database.close]
    if tracing is not None:
        closing.append(partial(asyncio.to_thread, tracing.close))
    closing.append(LINES.close)
    _show_admission(admission)
    _show_cache(cache.counters)
    return Running(application, [start], closing)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What the parts share: time, policies, the data folder and the clients."""

    clock: Clock
    policies: PolicySet
    data: Path
    redis: RedisClient
    database: Documents
    http: HttpClient


def _ground(config: GatewaySettings) -> _Ground:
    data = config.sluicegate_data_dir or DEFAULT_DATA
    if config.redis_url is None:
        raise ConfigurationError("REDIS_URL is not set; ./scripts/dev starts a private Redis and sets it")
    url = config.redis_url.get_secret_value()
    return _Ground(
        clock=SystemClock(),
        policies=PolicySet(config.sluicegate_policy_dir),
        data=data,
        redis=RedisClient.from_url(url, timeout_s=config.redis_timeout_seconds),
        database=documents(config, data),
        # Each request under way may need a connection, and all may go to one provider.
        http=HttpClient(ClientLimits(connections=config.max_concurrent_requests)),
    )


def _router(ground: _Ground) -> Router:
    policy = ground.policies.load("routing", RoutingPolicy)
    chance = random.Random()  # noqa: S311 - jitter and the power of two choices, not a secret
    classifier = load_classifier(policy.complexity.low_confidence)
    return Router(load_catalogue(ground.policies), policy, classifier, ground.clock, chance)


@dataclass(frozen=True, slots=True)
class _Books:
    """Who keeps the books in this process: nobody, where another process does."""

    opening: tuple[Hook, ...] = ()
    stopping: tuple[Hook, ...] = ()
    closing: tuple[Hook, ...] = ()

    async def start(self) -> None:
        for hook in self.opening:
            await hook()

    async def stop(self) -> None:
        for hook in self.stopping:
            await hook()

    async def close(self) -> None:
        for hook in self.closing:
            await hook()


def _books(ground: _Ground, bus: Bus) -> _Books:
    """The ledger and the transparency log, kept in this process."""
    # Imported here: only a gateway without another process beside it needs all that.
    from sluicegate.wiring.audit import local_log  # noqa: PLC0415

    opened = local_log(ground.data, ground.policies, ground.clock, ground.database, bus)
    audit = opened.log.consumer
    events = event_service(bus, ground.database, ground.redis, ground.policies, ground.clock, audit=audit)

    async def start() -> None:
        try:
            await opened.start()
        except ConfigurationError:
            raise
        except SluicegateError:
            # Callers are served, and the ledger goes on; the log's events wait for an operator.
            log.exception("the transparency log cannot be built upon")
        events.start()

    return _Books((start,), (events.stop,), (opened.close,))


def _outbound(ground: _Ground, router: Router) -> RedisOutboundLimits | None:
    limits = {
        name: (entry.requests_per_minute, entry.tokens_per_minute)
        for name, entry in router.catalogue.providers.items()
    }
    if all(limit == (None, None) for limit in limits.values()):
        return None
    return RedisOutboundLimits(ground.redis, limits)


def _admission(ground: _Ground, keys: RevocationReader) -> AdmissionService:
    budgets = ground.policies.load("budgets", BudgetPolicy)
    store = RedisAdmissionStore(ground.redis, lifetime_s=budgets.holds.lifetime_s)
    return AdmissionService(
        store,
        store,
        store,
        budgets,
        ground.policies.load("limits", LimitPolicy),
        overrides=override_store(ground.database),
        spend=usage_store(ground.database),
        revocations=keys,
        clock=ground.clock,
    )


def _application(
    config: GatewaySettings,
    pipeline: CompletionPipeline,
    callers: Authenticator,
    router: Router,
    redis: RedisClient,
    policy: CompletionsPolicy,
    mounts: Mapping[str, Mounted],
) -> GatewayApplication:
    token = None if config.metrics_token is None else config.metrics_token.get_secret_value()
    scrapers = ScrapeGuard(token, everybody=config.embedded)
    pages = Pages({"redis": _redis_check(redis)}, __version__, scrapers)
    routes: dict[str, Page] = {
        "/healthz": pages.healthz,
        "/readyz": pages.readyz,
        "/metrics": pages.metrics,
        "/openapi.json": pages.openapi,
    }
    application = GatewayApplication(
        pipeline=pipeline,
        authenticator=callers,
        codecs=codecs(),
        pages=routes,
        limits=GatewayLimits(config.max_body_bytes, config.max_concurrent_requests, config.max_bodies_bytes),
        cors=Cors(config.cors_origins),
        forwarded=frozenset(name.encode() for name in policy.forwarded_headers),
        mounts=mounts,
        trusted_proxies=config.trusted_proxies,
    )
    models = ModelPages(router, application.authenticate)
    routes["/v1/models"] = models.models
    routes["/v1/models/*"] = models.model
    return application


def _cache(config: GatewaySettings, ground: _Ground) -> tuple[CacheService, FileBlobStore]:
    policy = ground.policies.load("caching", CachingPolicy)
    archive = FileBlobStore(ground.data / "cache", ground.clock, limit_bytes=policy.l3.size)
    memory = memory_bound(policy.l1, config.cache_memory_bytes, container_memory())
    service = CacheService(
        policy,
        tags=RedisTagGenerations(ground.redis),
        memory=MemoryCache(memory, ground.clock) if memory else None,
        shared=RedisBlobStore(ground.redis),
        archive=archive,
        clock=ground.clock,
    )
    return service, archive


def _each(*calls: Callable[P, None]) -> Callable[P, None]:
    """Calls all of `calls`, in order."""

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        for each in calls:
            each(*args, **kwargs)

    return call


def _tracing(config: GatewaySettings) -> Tracing | None:
    if config.otel_exporter_otlp_endpoint is None:
        return None
    return Tracing(config.otel_exporter_otlp_endpoint, config.otel_service_name, __version__)


def _show_admission(admission: AdmissionService) -> None:
    """Let scrapes read what admission has open."""
    metrics.OPEN_GRANTS.set_function(lambda: admission.open_grants)
    metrics.PENDING_SETTLEMENTS.set_function(lambda: admission.pending_settlements)


def _show_cache(counters: CacheCounters) -> None:
    """Let scrapes read what the cache counts."""
    metrics.CACHE_UNAVAILABLE.set_function(lambda: counters.unavailable)
    metrics.CACHE_SAVED.set_function(lambda: counters.saved_nano * NANO)
    for event in ("misses", "stored", "invalidations", "dropped", "corrupt"):
        metrics.CACHE_EVENTS.labels(event).set_function(partial(getattr, counters, event))


def _redis_check(redis: RedisClient) -> Callable[[], Awaitable[str | None]]:
    async def check() -> str | None:
        try:
            await redis.execute("PING")
        except SluicegateError as error:
            # Anybody may read the answer; the address that the reason names is for the log.
            log.warning("redis does not answer: %s", error)
            return error.message
        return None

    return check


class _Repeating:
    """Awaits `work` again and again, `every_s` seconds apart; a failure is logged."""

    def __init__(self, work: Callable[[], Awaitable[object]], every_s: float) -> None:
        self._work = work
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self._work()
            except Exception:
                log.exception("repeated work failed")
