"""Processes with their documents in Firestore, chosen by settings: gateway, books, log and command line."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from firestore_process import SHARED, FirestoreProcess, skip_where_not_ours

from sluicegate.adapters.gcp.firestore.client import Firestore
from sluicegate.adapters.gcp.firestore.keys import FirestoreKeyStore
from sluicegate.adapters.local.sqlite import Database
from sluicegate.identity.api_keys import mint_key
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.settings import GatewaySettings, Settings
from sluicegate.wiring.stores import documents

pytest.importorskip("google.cloud.firestore_v1", reason="the extra 'gcp' is not installed")

PROJECT = "process-test"
PATIENCE_S = 60.0


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, Database),
        ({"gcp_project_id": "p"}, Firestore),
        ({"gcp_project_id": "p", "document_store": "sqlite"}, Database),
        ({"gcp_project_id": "p", "environment": "development"}, Database),
        ({"gcp_project_id": "p", "environment": "development", "document_store": "firestore"}, Firestore),
        (
            {"gcp_project_id": "p", "environment": "development", "firestore_emulator_host": "127.0.0.1:1"},
            Firestore,
        ),
        ({"firestore_emulator_host": "127.0.0.1:1"}, Database),
    ],
)
def test_settings_say_where_documents_are_kept(tmp_path, given, kind):
    assert type(documents(Settings(**given), tmp_path)) is kind


def test_firestore_without_a_project_is_a_wrong_setting(tmp_path):
    with pytest.raises(ConfigurationError, match="GCP_PROJECT_ID"):
        documents(GatewaySettings(environment="development", document_store="firestore"), tmp_path)


def test_the_library_is_not_loaded_before_the_first_document():
    code = (
        "import sys; from sluicegate.settings import Settings; from pathlib import Path\n"
        "from sluicegate.wiring import gateway\n"
        "from sluicegate.wiring.stores import documents, key_store, usage_store\n"
        "kept = documents(Settings(gcp_project_id='p'), Path('.')); key_store(kept); usage_store(kept)\n"
        "print([name for name in sys.modules if name.startswith(('grpc', 'google.api', 'google.cloud.'))])"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SHARED)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


class Running:
    """`sluicegate dev` on a data folder, with its documents in a Firestore server."""

    def __init__(self, data: Path, host: str) -> None:
        self.data = data
        self.environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": str(SHARED), "ENVIRONMENT": "development",
            "GCP_PROJECT_ID": PROJECT, "FIRESTORE_EMULATOR_HOST": host,
        }  # fmt: skip
        self.log = (data.parent / "log").open("wb")
        self.process = subprocess.Popen(
            self._command("dev", "--port", "0"), env=self.environment, stdout=self.log, stderr=self.log
        )
        self.variables: dict[str, str] = {}
        self.url = ""
        until = time.monotonic() + PATIENCE_S
        while not self._ready():
            assert self.process.poll() is None, (data.parent / "log").read_text()
            assert time.monotonic() < until, "the server does not start"
            time.sleep(0.05)

    def _ready(self) -> bool:
        file = self.data / "dev.env"
        if not file.exists():
            return False
        pairs = (line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
        self.variables = {name.removeprefix("export "): value.strip("'\"") for name, value in pairs}
        self.url = self.variables.get("SLUICEGATE_URL", "")
        return bool(self.url) and self.ask("/healthz", None, None)[0] == 200

    def ask(self, path, key, body):
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, headers)  # noqa: S310 - our own server
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310 - as above
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"{}")
        except OSError:
            return 0, {}

    def complete(self, text, key=None):
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
        return self.ask("/v1/chat/completions", key or self.variables["SLUICEGATE_API_KEY"], body)[0]

    def entries(self):
        path, key = "/api/v1/audit/entries?action=model.access", self.variables["SLUICEGATE_API_KEY"]
        status, answer = self.ask(path, key, None)
        assert status == 200, answer
        return answer["entries"]

    def command(self, *arguments):
        done = subprocess.run(
            self._command(*arguments), env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _command(self, *arguments):
        return [sys.executable, "-m", "sluicegate", *arguments, "--data", str(self.data)]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()


async def until(condition):
    """Wait for what takes an unknown time, and must come."""
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.1)


async def test_a_gateway_outlives_its_firestore_and_the_books_are_complete(tmp_path):
    skip_where_not_ours()
    server = FirestoreProcess(tmp_path / "journal")
    server.start()
    running = await asyncio.to_thread(Running, tmp_path / "data", server.host)
    try:
        assert await asyncio.to_thread(running.complete, "one") == 200
        await until(lambda: '"requests": 1' in running.command("spend", "--json", "--since", "1d"))

        server.kill()
        # Whoever is known goes on; who is not, is told that it cannot be known now, not that it is refused.
        assert await asyncio.to_thread(running.complete, "two") == 200
        assert await asyncio.to_thread(running.complete, "nothing", mint_key().text) == 503

        issued = await _issue(server, running)
        assert await asyncio.to_thread(running.complete, "three", issued) == 200
        assert await asyncio.to_thread(running.complete, "nothing", mint_key().text) == 401
        await until(lambda: '"requests": 3' in running.command("spend", "--json", "--since", "1d"))
        await until(lambda: len(running.entries()) == 3)
        assert not (running.data / "sluicegate.db").exists()
        assert not (running.data / "audit.db").exists()
    finally:
        await asyncio.to_thread(running.stop)
        server.kill()


async def _issue(server, running):
    """Start Firestore again and have a key made by the command line; it is found there."""
    await asyncio.to_thread(server.start)
    made = await asyncio.to_thread(
        running.command, "keys", "create", "--tenant", "default", "--workspace", "default", "--user", "kim",
        "--json",
    )  # fmt: skip
    text = json.loads(made)["key"]
    opened = Firestore(PROJECT, emulator=server.host)
    store = FirestoreKeyStore(opened)
    assert (await store.find_by_prefix(text.split("-")[2])).user == "kim"
    await opened.close()
    return text
