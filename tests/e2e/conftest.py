"""Real gateways as processes, rehearsal upstreams behind them, the published SDKs in front."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from e2e_rig import vertex_server
from e2e_rig.drivers import Async, Sync
from e2e_rig.gateways import Gateway
from e2e_rig.places import POLICIES, overlay, service_account, written
from e2e_rig.processes import UPSTREAM_KEY, Upstream, clean_environment, stop, wait_for

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


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


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
    server = Upstream([sys.executable, vertex_server.__file__], clean_environment())
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
            DOCUMENT_STORE="sqlite",  # the project is for Vertex AI; the command line runs as in production
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
        gateway.http.close()
        stop(gateway.process)


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
