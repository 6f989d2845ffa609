"""`sluicegate dev`: everything on one port of this machine, for trying out and for developing."""

import asyncio
import importlib.util
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from sluicegate import settings
from sluicegate.cli.kept_process import KeptProcess
from sluicegate.cli.operator import operator
from sluicegate.cli.output import say
from sluicegate.identity.administration import KeyRequest
from sluicegate.identity.api_keys import parse_key
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.manifest import Manifest, read_manifests
from sluicegate.web.gateway.service import GatewayService, run_service
from sluicegate.web.server.server import Server
from sluicegate.wiring.local import LocalRedis, open_local, private_redis, read_environment
from sluicegate.wiring.places import DEFAULT_DATA, ENVIRONMENT_NAME

FUNCTIONS = Path(__file__).resolve().parents[3] / "functions"
KEY_NAME = "made by the local server"
# Whoever tries this out may see everything there is.
KEY_ROLES = ("ai_service", "auditor", "log_verifier")


def run(args: Namespace) -> int:
    """Start what is needed, serve until interrupted, stop what was started."""
    data: Path = (args.data or DEFAULT_DATA).resolve()
    _prepare(data)
    settings.develop({"SLUICEGATE_DATA_DIR": str(data), "PORT": str(args.port), "HOST": args.host})
    configured = settings.load(settings.Settings).redis_url
    redis: LocalRedis | None = None
    ledger: KeptProcess | None = None
    if configured is None:
        redis = private_redis(data, prefer=args.redis)
        settings.develop({"REDIS_URL": redis.url})
    try:
        settings.develop({"LEDGER_CONSUMER": "false"})
        ledger = _start_ledger(data)
        config = settings.load(settings.GatewaySettings)
        service, manifest = _function("gateway")
        key = asyncio.run(_key(data))
        url = configured.get_secret_value() if configured is not None else redis.url if redis else ""

        def started(server: Server) -> None:
            address = f"http://{_shown(args.host)}:{server.port}"
            environment = {
                "SLUICEGATE_URL": address,
                "SLUICEGATE_API_KEY": key,
                "REDIS_URL": url,
                "SLUICEGATE_DATA_DIR": str(data),
            }
            _write(data / ENVIRONMENT_NAME, environment)
            kind = "yours (REDIS_URL)" if redis is None else f"a private {_KINDS[redis.kind]}"
            _announce(address, data, kind, manifest)

        run_service(service, host=args.host, port=args.port, drain_s=config.drain_seconds, started=started)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {args.host}:{args.port}: {error.strerror or error}; try --port 0"
        ) from None
    finally:
        # The ledger takes what the gateway settled last; Redis must outlive both.
        if ledger is not None:
            ledger.stop()
        if redis is not None:
            redis.stop()
    return 0


def _prepare(data: Path) -> None:
    if not str(data).isprintable():
        raise ConfigurationError(f"--data: {str(data)[:200]!r} has characters that no folder should have")
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(f"--data: {data} cannot be a folder: {error.strerror or error}") from None
    if (data / ENVIRONMENT_NAME).is_dir():
        raise ConfigurationError(f"{data / ENVIRONMENT_NAME} is a folder; move it away")


def _start_ledger(data: Path) -> KeptProcess:
    """The process that takes usage events to the ledger; it ends with this one."""
    command = [sys.executable, "-m", "sluicegate", "ledger", "run", "--data", str(data)]
    return KeptProcess([*command, "--parent", str(os.getpid())], "the ledger's process")


_KINDS = {"server": "redis-server", "embedded": "embedded Redis"}


def _function(name: str) -> tuple[GatewayService, Manifest]:
    """The service in `functions/<name>/main.py`, with its manifest."""
    manifests = {manifest.name: manifest for manifest in read_manifests(FUNCTIONS)}
    path = FUNCTIONS / name / "main.py"
    if name not in manifests or not path.is_file():
        raise ConfigurationError(f"{path} is missing: run this from a clone of the repository")
    service = getattr(_load(path, f"sluicegate_function_{name}"), "app", None)
    if not isinstance(service, GatewayService):
        raise ConfigurationError(f"{path} has no service called app")
    return service, manifests[name]


def _load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def _key(data: Path) -> str:
    """The API key in `dev.env`, if it still works, else a new one."""
    async with open_local(data) as local:
        kept = read_environment(data / ENVIRONMENT_NAME).get("SLUICEGATE_API_KEY", "")
        parsed = parse_key(kept.encode())
        if parsed is not None:
            found = await local.key_store.find_by_prefix(parsed.prefix)
            if found is not None and found.revoked_at is None:
                return kept
        request = KeyRequest(
            tenant="default", workspace="default", user="developer", name=KEY_NAME, roles=KEY_ROLES
        )
        return (await local.keys.create(request, by=operator())).text


def _write(path: Path, variables: Mapping[str, str]) -> None:
    """Write the variables for `source`, readable by this user only."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        # A folder's name may have blanks, or worse, in it; plain values stay as they are.
        stream.writelines(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    draft.replace(path)


def _shown(host: str) -> str:
    return "127.0.0.1" if host in {"", "0.0.0.0"} else host  # noqa: S104 - compared, not bound


def _announce(address: str, data: Path, redis: str, manifest: Manifest) -> None:
    say(f"Sluicegate is ready at {address}")
    say(f"  functions  {manifest.name}: {', '.join(manifest.trigger.http)}")
    say(f"  redis      {redis}")
    say(f"  state      {data}")
    say(f"  key        in {data / ENVIRONMENT_NAME} (use: set -a; . {data / ENVIRONMENT_NAME}; set +a)")
    say("  stop       Ctrl-C")
    sys.stdout.flush()
