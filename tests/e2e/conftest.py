"""Real gateways as processes, rehearsal upstreams behind them, the published SDKs in front."""

import asyncio
import contextlib
import inspect
import json
import operator
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anthropic
import httpx2
import openai
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / "shared"
POLICIES = SHARED / "policies"
UPSTREAM_KEY = "sk-upstream-e2e"
START_S = 30.0

# The rehearsal's requests come fast and fail often; what they show is not the limits.
LIFTED = {
    "limits": {
        "rates": [
            {"scope": "agent", "name": "coder", "period": "minute", "limit": 10},
            {"scope": "agent", "name": "creative", "period": "minute", "limit": 2},
        ],
        "concurrency": [{"scope": "key", "limit": 100}],
    },
    "identity": {"failed_attempts": {"limit": 1_000, "window_s": 60, "block_s": 1, "addresses": 100}},
    "routing": {
        "retry": {"base_delay_s": 0.01, "max_delay_s": 0.05, "budget_minimum": 1_000},
        "health": {
            "unhealthy_threshold": 1_000,
            "breaker": {"consecutive_failures": 10_000, "minimum_volume": 100_000},
        },
    },
    "completions": {"abandoned_seconds": 0.2},
}


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without anybody's keys."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONPATH": str(SHARED), **variables}


def wait_for(condition, what: str, seconds: float = START_S):
    """The first true value of `condition()`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited {seconds} s for {what}")


def stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def overlay(folder: Path, changes: dict[str, dict], models: str | None = None) -> Path:
    """A policy folder whose files are the shipped ones with some fields changed, one level deep."""
    folder.mkdir(parents=True)
    for name, fields in changes.items():
        policy = yaml.safe_load((POLICIES / f"{name}.yaml").read_text("utf-8"))
        for key, value in fields.items():
            old = policy.get(key)
            policy[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
            if key == "health" and name == "routing":
                policy[key]["breaker"] = {**old["breaker"], **value.get("breaker", {})}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(policy), "utf-8")
    if models is not None:
        (folder / "models.yaml").write_text(models, "utf-8")
    return folder


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def events(self) -> list:
        """The data of a server-sent stream, parsed; `[DONE]` as text."""
        lines = [line[6:] for line in self.body.decode().splitlines() if line.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]


@dataclass
class Gateway:
    """A running `sluicegate dev` and the command line on its data."""

    url: str
    key: str
    data: Path
    environment: dict[str, str]
    process: subprocess.Popen
    log: Path
    clients: list = field(default_factory=list)

    def request(self, method: str, path: str, *, key: str | None = None, body=None, **headers) -> Reply:
        """One HTTP request; `key` "" sends none. Header names are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        token = self.key if key is None else key
        if token:
            sent["authorization"] = f"Bearer {token}"
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if content is not None:
            sent.setdefault("content-type", "application/json")
        reply = httpx2.request(
            method, self.url + path, headers=sent, content=content, timeout=30, trust_env=False
        )
        return Reply(reply.status_code, dict(reply.headers), reply.content)

    def chat(self, text: str = "hello", *, model: str = "scripted-small", key=None, fields=None, **headers):
        body = {"model": model, "messages": [{"role": "user", "content": text}], **(fields or {})}
        return self.request("POST", "/v1/chat/completions", key=key, body=body, **headers)

    def metric(self, name: str) -> float:
        """A metric without labels."""
        text = self.request("GET", "/metrics").body.decode()
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))

    def wait_for_requests(self, number: int) -> None:
        """Until `number` completions are under way."""
        wait_for(lambda: self.metric("sluicegate_requests_in_flight") >= number, "requests under way")

    def cli(self, *arguments: str, check: bool = True):
        """The command line's JSON answer."""
        command = [sys.executable, "-W", "error", "-m", "sluicegate", *arguments]
        done = subprocess.run(
            [*command, "--data", str(self.data), "--json"],
            env=self.environment,
            cwd=self.data.parent,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr

    def make_key(self, **options: str) -> dict:
        """A new key as `keys create` shows it."""
        flat = [part for name, value in options.items() for part in (f"--{name}", value)]
        return self.cli("keys", "create", *flat)

    def spend(self, tenant: str, by: str = "model") -> dict:
        return self.cli("spend", "--tenant", tenant, "--by", by)

    def spend_of(self, tenant: str, requests: int) -> dict:
        """Spend once the ledger has taken `requests` rows of the tenant."""

        def taken():
            report = self.spend(tenant)
            return report if sum(line["requests"] for line in report["groups"]) >= requests else None

        return wait_for(taken, f"{requests} usage rows of {tenant}")

    def openai(self, key: str | None = None, **options) -> openai.OpenAI:
        options = {"max_retries": 0, **options}
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key or self.key, **options)

    def anthropic(self, key: str | None = None, **options) -> anthropic.Anthropic:
        options = {"max_retries": 0, **options}
        return anthropic.Anthropic(base_url=self.url, api_key=key or self.key, **options)


class Sync:
    """Calls a synchronous SDK client by the dotted name of the method."""

    def __init__(self, client) -> None:
        self.client = client

    def call(self, method: str, /, **arguments):
        result = operator.attrgetter(method)(self.client)(**arguments)
        return list(result) if arguments.get("stream") else result

    def raw(self, method: str, /, **arguments):
        """The headers of an answer, and the answer."""
        reply = operator.attrgetter(f"{method}.with_raw_response.create")(self.client)(**arguments)
        return reply.headers, reply.parse()

    def watch(self, method: str, final: str, /, **arguments):
        """The events of an SDK's stream helper, and what its method `final` returns."""
        with operator.attrgetter(method)(self.client)(**arguments) as stream:
            events = list(stream)
            return events, getattr(stream, final)()

    def having(self, **options):
        return Sync(self.client.with_options(**options))


class Async:
    """The same on an asynchronous client, in one event loop."""

    def __init__(self, client, runner: asyncio.Runner) -> None:
        self.client = client
        self.runner = runner

    def call(self, method: str, /, **arguments):
        async def run():
            result = await operator.attrgetter(method)(self.client)(**arguments)
            return [event async for event in result] if arguments.get("stream") else result

        return self.runner.run(run())

    def raw(self, method: str, /, **arguments):
        async def run():
            reply = await operator.attrgetter(f"{method}.with_raw_response.create")(self.client)(**arguments)
            parsed = reply.parse()
            return reply.headers, await parsed if inspect.isawaitable(parsed) else parsed

        return self.runner.run(run())

    def watch(self, method: str, final: str, /, **arguments):
        async def run():
            async with operator.attrgetter(method)(self.client)(**arguments) as stream:
                events = [event async for event in stream]
                return events, await getattr(stream, final)()

        return self.runner.run(run())

    def having(self, **options):
        return Async(self.client.with_options(**options), self.runner)


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


class Upstream:
    """A rehearsal provider in a process of its own."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), self.url

    def produced(self) -> dict:
        """What was really produced, per model."""
        with urllib.request.urlopen(f"{self.url}/produced") as reply:  # noqa: S310 - its own server
            return json.load(reply)["models"]

    def close(self) -> None:
        stop(self.process)
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """OpenAI's and Anthropic's stand-in."""
    command = [sys.executable, "-m", "sluicegate.adapters.providers.scripted", "--key", UPSTREAM_KEY]
    server = Upstream(command, clean_environment())
    yield server
    server.close()


@pytest.fixture(scope="session")
def vertex() -> Iterator[Upstream]:
    """Vertex AI's stand-in, which also gives out Google access tokens."""
    server = Upstream(
        [sys.executable, str(Path(__file__).with_name("vertex_server.py"))], clean_environment()
    )
    yield server
    server.close()


@pytest.fixture(scope="session")
def start_gateway(tmp_path_factory, upstream, vertex):
    """Start gateways; `changes` to policies by file and field, `beside` another one shares all its state."""
    started: list[Gateway] = []
    folder = tmp_path_factory.mktemp("gateways")
    credentials = service_account(folder / "service-account.json", vertex.url)
    models = (POLICIES / "models.yaml").read_text("utf-8")
    models = models.replace("    kind: vertex\n", f"    kind: vertex\n    base_url: {vertex.url}\n")

    def start(name: str, changes=None, beside: Gateway | None = None, **variables: str) -> Gateway:
        place = folder / name
        place.mkdir()
        environment = clean_environment(
            OPENAI_BASE_URL=f"{upstream.url}/v1",
            OPENAI_API_KEY=UPSTREAM_KEY,
            ANTHROPIC_BASE_URL=upstream.url,
            ANTHROPIC_API_KEY=UPSTREAM_KEY,
            GCP_PROJECT_ID="e2e-project",
            GOOGLE_APPLICATION_CREDENTIALS=str(credentials),
            SLUICEGATE_POLICY_DIR=str(overlay(place / "policies", changes or {}, models)),
            **variables,
        )
        data = place / "data"
        if beside is not None:
            data = beside.data
            environment["REDIS_URL"] = written(data)["REDIS_URL"]
            (data / "dev.env").rename(data / "dev.env.before")
        log = place / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "sluicegate", "dev", "--port", "0", "--data", str(data)],
                env=environment, cwd=place, stdout=stream, stderr=stream,
            )  # fmt: skip
        gateway = Gateway("", "", data, environment, process, log)
        started.append(gateway)

        def ready():
            assert process.poll() is None, log.read_text()[-800:]
            return written(data)

        found = wait_for(ready, f"gateway {name}")
        gateway.url, gateway.key = found["SLUICEGATE_URL"], found["SLUICEGATE_API_KEY"]
        return gateway

    yield start
    for gateway in reversed(started):
        stop(gateway.process)


def written(data: Path) -> dict[str, str]:
    """What a gateway wrote into `dev.env`; empty before it is ready."""
    with contextlib.suppress(FileNotFoundError):
        lines = (data / "dev.env").read_text("utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)
    return {}


def service_account(path: Path, token_url: str) -> Path:
    """A Google service account's key file whose tokens come from `token_url`."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "e2e-project",
        "private_key_id": "e2e",
        "private_key": key.decode(),
        "client_email": "gateway@e2e-project.iam.gserviceaccount.com",
        "token_uri": f"{token_url}/token",
    }
    path.write_text(json.dumps(account), "utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def gateway(start_gateway) -> Gateway:
    """The gateway of most tests, its limits lifted."""
    return start_gateway("lifted", LIFTED, CORS_ORIGINS="https://app.example.com")


@pytest.fixture(scope="session", params=["sync", "async"])
def openai_sdk(request, gateway, runner):
    """OpenAI's SDK in both flavours, as `Sync` or `Async`."""
    if request.param == "sync":
        client = gateway.openai()
        yield Sync(client)
        client.close()
    else:
        client = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)
        yield Async(client, runner)
        runner.run(client.close())


@pytest.fixture(scope="session", params=["sync", "async"])
def anthropic_sdk(request, gateway, runner):
    """Anthropic's SDK in both flavours."""
    if request.param == "sync":
        client = gateway.anthropic()
        yield Sync(client)
        client.close()
    else:
        client = anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0)
        yield Async(client, runner)
        runner.run(client.close())


# One model of each kind of provider, by its catalogue name.
MODELS = {
    "scripted": "scripted-small",
    "openai": "gpt-4.1",
    "anthropic": "claude-sonnet-4-6",
    "vertex-gemini": "gemini-2.5-flash",
    "vertex-claude": "claude-haiku-5-5@vertex",
}
PROVIDERS = {"vertex-gemini": "vertex", "vertex-claude": "vertex"}


@pytest.fixture(params=list(MODELS))
def kind(request) -> str:
    return request.param


@pytest.fixture
def model(kind) -> str:
    return MODELS[kind]


@pytest.fixture
def provider(kind) -> str:
    return PROVIDERS.get(kind, kind)


def have_redis() -> bool:
    return shutil.which("redis-server") is not None
