"""What is reachable, permitted, fresh and expired, each with the command that mends it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from sluicegate import settings
from sluicegate.adapters.web.http_client import HttpClient
from sluicegate.completions.types import Provider, UpstreamFailure
from sluicegate.identity.api_keys import ApiKey
from sluicegate.kernel.errors import ConfigurationError, SluicegateError
from sluicegate.routing.catalogue import load_catalogue
from sluicegate.wiring.diagnosis_google import google_checks
from sluicegate.wiring.findings import Finding, State
from sluicegate.wiring.local import Local, open_local
from sluicegate.wiring.providers import provider, stand_ins

Check = tuple[str, Callable[[], Awaitable[Sequence[Finding]]]]

_WITHIN_S = 20.0
_WAITS_TOO_LONG_S = 60.0


async def diagnose(data: Path | None, *, offline: bool = False) -> Sequence[Finding]:
    """Findings about the data folder `data` and all that the settings name, in the order of the checks.

    With `offline` nothing is asked beyond this machine and Redis. Whatever goes wrong is a finding.
    """
    try:
        config: settings.GatewaySettings = settings.load(settings.GatewaySettings)
    except ConfigurationError as error:
        return [Finding("settings", "wrong", error.message, "set it, or see .env.example")]
    found = [Finding("settings", "ok", f"environment {config.environment.value}")]
    try:
        async with open_local(data) as local:
            checks: list[Check] = [
                ("redis", lambda: _redis(local)), ("documents", lambda: _keys(local)),
                ("events", lambda: _events(local)),
            ]  # fmt: skip
            if not offline:
                checks.append(("providers", lambda: _providers(local, config)))
                checks += google_checks(local.clock)
            for each in await asyncio.gather(*(_checked(*check) for check in checks)):
                found += each
    except ConfigurationError as error:
        found.append(Finding("policies", "wrong", error.message, "sluicegate policy check"))
    return found


async def _checked(name: str, work: Callable[[], Awaitable[Sequence[Finding]]]) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(_WITHIN_S):
            return await work()
    except TimeoutError:
        return [Finding(name, "wrong", f"no answer within {_WITHIN_S:.0f} s", "see whether it is reachable")]
    except SluicegateError as error:
        return [Finding(name, "wrong", error.message, None)]


async def _redis(local: Local) -> Sequence[Finding]:
    redis = local.redis
    if redis is None:
        return [Finding("redis", "wrong", "no server is known", "./scripts/dev, or set REDIS_URL")]
    try:
        await redis.execute("PING")
        facts = await redis.execute("INFO")
    except SluicegateError as error:
        mend = "start it, and compare REDIS_URL and the firewall; ./scripts/dev starts a private one"
        return [Finding("redis", "wrong", error.message, mend)]
    lines = bytes(facts).decode("utf-8", "replace").splitlines()
    known = dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))
    found = [Finding("redis", "ok", f"version {known.get('redis_version', 'unknown')} answers")]
    if known.get("maxmemory_policy", "noeviction") != "noeviction":
        policy = known["maxmemory_policy"]
        mend = "redis-cli CONFIG SET maxmemory-policy noeviction"
        found.append(Finding("redis", "wrong", f"maxmemory-policy is {policy}: budgets may be lost", mend))
    if known.get("aof_enabled") == "0":
        says = "no append-only file: counters are rebuilt from the ledger after a restart"
        found.append(Finding("redis", "warning", says, "redis-cli CONFIG SET appendonly yes"))
    return found


async def _keys(local: Local) -> Sequence[Finding]:
    keys = await local.key_store.keys(local.own_tenant)
    found = [Finding("documents", "ok", "can be read")]
    now = local.clock.now()
    alive = [key for key in keys if key.revoked_at is None and not _over(key, now)]
    overdue = [key for key in alive if local.keys.rotate_by(key) <= now]
    if not alive:
        says = f"tenant {local.own_tenant} has no key that works"
        mend = f"sluicegate keys create --tenant {local.own_tenant}"
        return [*found, Finding("keys", "warning", says, mend)]
    found += [
        Finding("keys", "warning", f"{key.id} is overdue for rotation", f"sluicegate keys rotate {key.id}")
        for key in overdue
    ]
    found += [
        Finding("keys", "warning", f"{key.id} has expired", f"sluicegate keys revoke {key.id}")
        for key in keys
        if key.revoked_at is None and _over(key, now)
    ]
    return [*found, Finding("keys", "ok", f"{len(alive)} of tenant {local.own_tenant} work")]


def _over(key: ApiKey, now: float) -> bool:
    return key.expires_at is not None and key.expires_at <= now


async def _events(local: Local) -> Sequence[Finding]:
    found = []
    now = local.clock.now()
    for group in await local.bus.bus.groups():
        about = f"events of {group.group}"
        state: State = "ok"
        says, mend = f"{group.waiting} wait", None
        if group.oldest_at is not None and now - group.oldest_at > _WAITS_TOO_LONG_S:
            state, mend = "warning", "sluicegate ledger run, or see why it does not get on"
            says += f", the oldest for {now - group.oldest_at:.0f} s"
        found.append(Finding(about, state, says, mend))
        if group.dead:
            says = f"{group.dead} could not be applied"
            mend = f"sluicegate events dead list --group {group.group}"
            found.append(Finding(about, "warning", says, mend))
    return found or [Finding("events", "unused", "none were told yet")]


async def _providers(local: Local, config: settings.GatewaySettings) -> Sequence[Finding]:
    http = HttpClient()
    catalogue = load_catalogue(local.policies)
    made = {name: provider(entry, config, http) for name, entry in catalogue.providers.items()}
    substitutes = stand_ins(config, made)
    try:
        return await asyncio.gather(
            *(_provider(name, each, name in substitutes) for name, each in made.items())
        )
    finally:
        for each in (*made.values(), *substitutes.values()):
            await each.close()
        await http.aclose()


async def _provider(name: str, one: Provider, stood_in: bool) -> Finding:  # noqa: FBT001 - private
    about = f"provider {name}"
    problem = one.ready()
    if problem is not None:
        says = f"{problem}; the scripted model answers in its place" if stood_in else problem
        return Finding(about, "unused", says, None)
    try:
        async with asyncio.timeout(_WITHIN_S / 2):
            await one.check()
    except (UpstreamFailure, TimeoutError, SluicegateError) as error:
        return Finding(
            about, "wrong", str(error) or "no answer", "compare its key and address in the settings"
        )
    return Finding(about, "ok", "answers, and takes our credential")
