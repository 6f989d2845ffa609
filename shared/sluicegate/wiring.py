"""The only place that chooses adapters: one function per deployable, and what they share."""

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from sluicegate import __version__, settings
from sluicegate.adapters.local.blobs import FileBlobStore
from sluicegate.adapters.local.events import SqliteEventStore
from sluicegate.adapters.local.keys import SqliteKeyStore
from sluicegate.adapters.local.memory_cache import MemoryCache, container_memory
from sluicegate.adapters.local.overrides import SqliteOverrideStore
from sluicegate.adapters.local.sqlite import Database
from sluicegate.adapters.local.usage_rows import SqliteUsageStore
from sluicegate.adapters.providers.anthropic import AnthropicProvider
from sluicegate.adapters.providers.google_tokens import GoogleTokens
from sluicegate.adapters.providers.openai import OpenAIProvider
from sluicegate.adapters.providers.scripted.provider import ScriptedProvider
from sluicegate.adapters.providers.vertex import VertexProvider
from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.adapters.redis.announcements import listen_for_keys, listen_for_overrides
from sluicegate.adapters.redis.cache import RedisBlobStore, RedisTagGenerations
from sluicegate.adapters.redis.client import RedisClient
from sluicegate.adapters.redis.health_board import RedisHealthBoard
from sluicegate.adapters.redis.idempotency import RedisIdempotency
from sluicegate.adapters.redis.outbox import RedisOutbox
from sluicegate.adapters.web.http_client import HttpClient
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.service import AdmissionService
from sluicegate.caching.policy import CachingPolicy, memory_bound
from sluicegate.caching.service import CacheService
from sluicegate.completions.limits import DEFAULT_LIMITS
from sluicegate.completions.pipeline.pipeline import CompletionPipeline
from sluicegate.completions.pipeline.policy import CompletionsPolicy
from sluicegate.completions.pipeline.reuse import Reuse
from sluicegate.completions.registry import codecs
from sluicegate.completions.translate import translator
from sluicegate.completions.types import Provider
from sluicegate.identity.attempts import AttemptsObserver, Breach
from sluicegate.identity.authenticator import Authenticator
from sluicegate.identity.key_sets import KeySet
from sluicegate.identity.key_verification import KeyVerifier
from sluicegate.identity.policy import IdentityPolicy, RolesPolicy
from sluicegate.identity.tokens import TokenVerifier
from sluicegate.kernel.clock import Clock, SystemClock
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.kernel.telemetry import logs, metrics
from sluicegate.kernel.telemetry.tracing import Tracing
from sluicegate.ledger.consumer import OutboxConsumer
from sluicegate.routing.catalogue import load_catalogue
from sluicegate.routing.catalogue_policy import ProviderPolicy
from sluicegate.routing.checks import HealthChecks
from sluicegate.routing.complexity import load_classifier
from sluicegate.routing.policy import RoutingPolicy
from sluicegate.routing.service import Router
from sluicegate.routing.sharing import HealthSharing
from sluicegate.settings import GatewaySettings
from sluicegate.web.gateway.application import GatewayApplication, GatewayLimits
from sluicegate.web.gateway.cors import Cors
from sluicegate.web.gateway.pages import ModelPages, Pages
from sluicegate.web.gateway.service import GatewayService, Running

log = logging.getLogger(__name__)

DATABASE_NAME = "sluicegate.db"
TOKEN_KEY_NAME = "token-key.pem"  # noqa: S105 - the name of a file, not its content
DEFAULT_DATA = Path(".sluicegate")
SWEEP_EVERY_S = 600.0
ARCHIVE_BYTES = 4 << 30


def gateway(overrides: GatewaySettings | None = None) -> GatewayService:
    """The gateway, to be served by any ASGI server or by itself."""
    return GatewayService(lambda: _gateway(overrides or settings.load(GatewaySettings)))


def _gateway(config: GatewaySettings) -> Running:
    logs.configure(config.log_level)
    clock = SystemClock()
    policies = PolicySet(config.sluicegate_policy_dir)
    data = config.sluicegate_data_dir or DEFAULT_DATA
    if config.redis_url is None:
        raise ConfigurationError("REDIS_URL is not set; ./scripts/dev starts a private Redis and sets it")
    redis = RedisClient.from_url(config.redis_url.get_secret_value(), timeout_s=config.redis_timeout_seconds)
    database = Database(data / DATABASE_NAME)
    keys, overrides = SqliteKeyStore(database), SqliteOverrideStore(database)
    usage, events = SqliteUsageStore(database), SqliteEventStore(database)
    http = HttpClient()

    catalogue = load_catalogue(policies)
    providers = {name: _provider(entry, config, http) for name, entry in catalogue.providers.items()}
    routing = policies.load("routing", RoutingPolicy)
    # Jitter and the power of two choices need chance, not secrecy.
    rng = random.Random()  # noqa: S311
    router = Router(catalogue, routing, load_classifier(), clock, rng)
    sharing = HealthSharing(router.health, RedisHealthBoard(redis, f"{os.getpid()}-{os.urandom(4).hex()}"))

    roles = policies.load("roles", RolesPolicy)
    identity = policies.load("identity", IdentityPolicy)
    identity.check(roles)
    authenticator = Authenticator(
        KeyVerifier(keys, roles, identity, clock),
        identity,
        clock,
        tokens=_tokens(config, data, http, roles, identity, clock),
        observer=_SignIns(),
    )

    budgets = policies.load("budgets", BudgetPolicy)
    store = RedisAdmissionStore(redis)
    admission = AdmissionService(
        store,
        store,
        budgets,
        policies.load("limits", LimitPolicy),
        overrides=overrides,
        spend=usage,
        revocations=keys,
        clock=clock,
    )
    outbox = RedisOutbox(redis)
    consumer = OutboxConsumer(outbox, usage, events, outbox.tenants, clock)

    completions = policies.load("completions", CompletionsPolicy)
    archive = FileBlobStore(data / "cache", clock, limit_bytes=ARCHIVE_BYTES)
    cache = _cache(config, policies.load("caching", CachingPolicy), redis, archive, clock)
    tracing = None
    if config.otel_exporter_otlp_endpoint is not None:
        tracing = Tracing(config.otel_exporter_otlp_endpoint, config.otel_service_name, __version__)
    stand_ins = _stand_ins(config, providers)
    pipeline = CompletionPipeline(
        codecs=codecs(),
        translator=translator,
        providers=providers,
        stand_ins=stand_ins,
        router=router,
        admission=admission,
        reuse=Reuse(admission, cache, RedisIdempotency(redis), completions, policies.version()),
        policy=completions,
        limits=DEFAULT_LIMITS,
        tracing=tracing,
    )
    pages = Pages({"redis": _redis_check(redis)}, __version__)
    routes = {
        "/healthz": pages.healthz,
        "/readyz": pages.readyz,
        "/metrics": pages.metrics,
        "/openapi.json": pages.openapi,
    }
    application = GatewayApplication(
        pipeline=pipeline,
        authenticator=authenticator,
        codecs=codecs(),
        pages=routes,
        limits=GatewayLimits(config.max_body_bytes, config.max_concurrent_requests),
        cors=Cors(config.cors_origins),
        forwarded=frozenset(name.encode() for name in completions.forwarded_headers),
    )
    models = ModelPages(router, application.authenticate)
    routes["/v1/models"] = models.models
    routes["/v1/models/*"] = models.model
    checks = {name: each.check for name, each in providers.items() if each.ready() is None}
    checking = HealthChecks(router.health, checks, routing.health)
    sweeping = _Repeating(archive.sweep, SWEEP_EVERY_S)

    metrics.OPEN_GRANTS.set_function(lambda: admission.open_grants)
    metrics.PENDING_SETTLEMENTS.set_function(lambda: admission.pending_settlements)
    metrics.CACHE_UNAVAILABLE.set_function(lambda: cache.counters.unavailable)

    async def open_all() -> None:
        await admission.start()
        if config.ledger_consumer:
            consumer.start()
        sharing.start()
        checking.start()
        sweeping.start()
        await listen_for_keys(redis, authenticator.forget, authenticator.forget_all)
        await listen_for_overrides(redis, admission.forget, admission.forget_all)

    async def settle_all() -> None:
        await pipeline.drain(config.drain_seconds / 4)
        left = await admission.stop(config.drain_seconds / 4)
        if left:
            log.error("settlements could not be delivered; their holds will be charged", extra={"left": left})

    async def close_clients() -> None:
        await checking.stop()
        await sweeping.stop()
        await sharing.stop()
        await consumer.stop()
        await cache.close()
        for provider in (*providers.values(), *stand_ins.values()):
            await provider.close()
        await http.aclose()
        await archive.close()
        await redis.close()
        await database.close()
        if tracing is not None:
            await asyncio.to_thread(tracing.close)

    if config.embedded:
        log.warning(
            "ENVIRONMENT is development: embedded parts are in use; never expose this to a network",
            extra={"scripted_stand_ins": sorted(stand_ins)},
        )
    return Running(application, [open_all], [settle_all, close_clients])


def _provider(entry: ProviderPolicy, config: GatewaySettings, http: HttpClient) -> Provider:
    credential = settings.secret(entry.credential) if entry.credential is not None else None
    base_url = entry.base_url or ""
    if entry.base_url_setting is not None:
        override = settings.secret(entry.base_url_setting)
        base_url = override.get_secret_value() if override is not None else base_url
    if entry.kind == "openai":
        return OpenAIProvider(
            entry.name, base_url, credential, http, credential_name=entry.credential or "its credential"
        )
    if entry.kind == "anthropic":
        return AnthropicProvider(
            entry.name, base_url, credential, http, credential_name=entry.credential or "its credential"
        )
    if entry.kind == "vertex":
        return VertexProvider(
            entry.name,
            config.gcp_project_id or "",
            config.vertex_location,
            http,
            GoogleTokens(),
            base_url=base_url or None,
        )
    return ScriptedProvider(entry.name)


def _stand_ins(config: GatewaySettings, providers: Mapping[str, Provider]) -> dict[str, Provider]:
    """In development, the scripted model answers for providers without a credential."""
    if not config.embedded:
        return {}
    return {name: ScriptedProvider() for name, provider in providers.items() if provider.ready() is not None}


def _tokens(
    config: GatewaySettings,
    data: Path,
    http: HttpClient,
    roles: RolesPolicy,
    identity: IdentityPolicy,
    clock: Clock,
) -> TokenVerifier | None:
    """Verifies JWTs by the key set of `JWT_JWKS_URL`; in development by the local issuer's key."""
    if config.jwt_jwks_url is not None:
        endpoint = http.endpoint("GET", config.jwt_jwks_url)

        async def fetch() -> bytes:
            reply = await endpoint.send([], b"", connect_s=5, first_byte_s=5, idle_s=5, total_s=10)
            try:
                body = await reply.read()
            finally:
                reply.close()
            if reply.status != 200:
                raise ConnectionError(f"the key set's server answered {reply.status}")
            return body

    elif config.embedded:
        import json  # noqa: PLC0415 - only with local tokens

        from sluicegate.identity.issuing import TokenIssuer, load_or_create_key  # noqa: PLC0415 - likewise

        async def fetch() -> bytes:
            key = await asyncio.to_thread(load_or_create_key, data / TOKEN_KEY_NAME)
            issuer = TokenIssuer(key, roles, identity.tokens, clock)
            return json.dumps(issuer.public_jwks()).encode()

    else:
        return None
    return TokenVerifier(KeySet(fetch, identity.tokens, clock), roles, identity.tokens, clock)


def _cache(
    config: GatewaySettings, policy: CachingPolicy, redis: RedisClient, archive: FileBlobStore, clock: Clock
) -> CacheService:
    memory = memory_bound(policy.l1, config.cache_memory_bytes, container_memory())
    return CacheService(
        policy,
        tags=RedisTagGenerations(redis),
        memory=MemoryCache(memory, clock) if memory else None,
        shared=RedisBlobStore(redis),
        archive=archive,
        clock=clock,
    )


def _redis_check(redis: RedisClient) -> Callable[[], Awaitable[str | None]]:
    async def check() -> str | None:
        try:
            await redis.execute("PING")
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it is the answer
            return str(error)
        return None

    return check


class _SignIns(AttemptsObserver):
    """Failed sign-ins go to the metrics, breaches also to the log, where an alert watches for them."""

    def failed(self, reason: str) -> None:
        metrics.FAILED_SIGN_INS.inc()
        log.info("a sign-in failed", extra={"reason": reason})

    def breached(self, breach: Breach) -> None:
        metrics.SECURITY_BREACHES.inc()
        log.error(
            "security_breach: repeated failed sign-ins",
            extra={"source_kind": breach.kind, "source": breach.source, "failures": breach.failures},
        )


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
