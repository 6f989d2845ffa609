"""Others that are measured beside the gateway: how they are started."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import await_listening, free_port, running, tree
from benchmarks.targets import READY_WITHIN_S, Site, Target
from benchmarks.traffic import PLAIN, UPSTREAM_KEY, Request, bearer

LITELLM_KEY = "sk-bench-master"


@contextmanager
def litellm(site: Site, python: Path) -> Iterator[Target]:
    """LiteLLM's proxy with a master key and one worker: no database, no Redis, no budgets."""
    port = free_port()
    log = site.log("litellm")
    command, environment = litellm_command(site, python, port)
    with running(command, cores=site.cores.gateway, log=log, env=environment, cwd=site.folder) as process:
        await_listening(port, process, log, within_s=READY_WITHIN_S)
        yield Target(
            "litellm",
            "LiteLLM proxy, a key",
            Request(port, PLAIN, headers=bearer(LITELLM_KEY)),
            tree(process.pid),
        )


def litellm_command(site: Site, python: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """How LiteLLM is started: command and environment."""
    config = site.folder / "litellm.yaml"
    upstream_model = {
        "model": "openai/gpt-4o-mini",
        "api_base": site.upstream_url,
        "api_key": UPSTREAM_KEY,
    }
    # JSON is YAML.
    config.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": "gpt-4o-mini", "litellm_params": upstream_model}],
                "general_settings": {"master_key": LITELLM_KEY},
            }
        ),
        "utf-8",
    )
    command = [
        str(python.parent / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port),
        "--num_workers", "1",
    ]  # fmt: skip
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no look at the internet when it starts
        "LITELLM_TELEMETRY": "False",
        "LITELLM_LOG": "ERROR",
        "NO_PROXY": "127.0.0.1",
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    return command, environment


@contextmanager
def portkey(site: Site, script: Path, node: Path) -> Iterator[Target]:
    """Portkey's gateway: it knows no keys or budgets of its own, and passes the upstream's on."""
    port = free_port()
    log = site.log("portkey")
    loopback = Path(__file__).with_name("loopback.cjs")
    command = [str(node), "--require", str(loopback), str(script), f"--port={port}", "--headless"]
    environment = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1", "NODE_ENV": "production"}
    headers = {
        **bearer(UPSTREAM_KEY),
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": site.upstream_url,
    }
    with running(command, cores=site.cores.gateway, log=log, env=environment, cwd=site.folder) as process:
        await_listening(port, process, log, within_s=READY_WITHIN_S)
        yield Target(
            "portkey", "Portkey gateway, bare", Request(port, PLAIN, headers=headers), (process.pid,)
        )
