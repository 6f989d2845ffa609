"""A running gateway, its HTTP face and its command line."""

import contextlib
import io
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import anthropic
import httpx2
import openai

from e2e_rig.processes import wait_for
from sluicegate.cli import main


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
    # Plain HTTP on this machine: loading certificates would take longer than the requests.
    http: httpx2.Client = field(
        default_factory=lambda: httpx2.Client(verify=False, trust_env=False, timeout=30)
    )

    def request(self, method: str, path: str, *, key: str | None = None, body=None, **headers) -> Reply:
        """One HTTP request; `key` "" sends none. Header names are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        token = self.key if key is None else key
        if token:
            sent["authorization"] = f"Bearer {token}"
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if content is not None:
            sent.setdefault("content-type", "application/json")
        reply = self.http.request(method, self.url + path, headers=sent, content=content)
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
        """The command line's JSON answer, or what it complained of. Run in this process: it is quicker."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            status = main([*arguments, "--data", str(self.data), "--json"])
        assert not check or status == 0, err.getvalue()
        return json.loads(out.getvalue()) if status == 0 else err.getvalue()

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
        options = {"max_retries": 0, "http_client": self._plain(), **options}
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key or self.key, **options)

    def anthropic(self, key: str | None = None, **options) -> anthropic.Anthropic:
        options = {"max_retries": 0, "http_client": self._plain(), **options}
        return anthropic.Anthropic(base_url=self.url, api_key=key or self.key, **options)

    @staticmethod
    def _plain() -> httpx2.Client:
        return httpx2.Client(verify=False, trust_env=False, timeout=30)
