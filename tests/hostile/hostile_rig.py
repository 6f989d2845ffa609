"""A gateway as a process, a provider that sends whatever a test says, and clients that know no manners."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / "shared"
POLICIES = SHARED / "policies"
UPSTREAM_KEY = "sk-upstream-hostile-0123456789"
SECRET_TEXT = "the-prompt-nobody-may-log"
READY_S = 30.0

# Hostile traffic is fast and fails on purpose; what it shows is not the limits.
LIFTED: dict[str, dict] = {
    "limits": {
        "rates": [{"scope": "tenant", "period": "minute", "limit": 1_000_000}],
        "tokens": [],
        "concurrency": [],
    },
    "identity": {"failed_attempts": {"limit": 10_000, "window_s": 60, "block_s": 1, "addresses": 100}},
    "budgets": {"budgets": [{"scope": "workspace", "period": "day", "limit_usd": 1000}]},
    "completions": {"abandoned_seconds": 0.3, "linger_seconds": 0.1},
    "routing": {
        "retry": {
            "base_delay_s": 0.01,
            "max_delay_s": 0.02,
            "attempts_per_model": 1,
            "max_attempts": 1,
        },
        "deadlines": {"first_byte_s": 2, "idle_s": 1, "total_s": 10},
        "health": {
            "unhealthy_threshold": 100_000,
            "breaker": {"consecutive_failures": 100_000, "minimum_volume": 1_000_000},
        },
    },
}


def wait_for(condition: Callable, what: str, seconds: float = 15.0):
    """The first true value of `condition()`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for {what}")


def stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def overlay(folder: Path, changes: dict[str, dict]) -> Path:
    """A policy folder: the shipped files with some fields changed, two levels deep."""
    folder.mkdir(parents=True)
    for name, fields in changes.items():
        policy = yaml.safe_load((POLICIES / f"{name}.yaml").read_text("utf-8"))
        for key, value in fields.items():
            old = policy.get(key)
            if isinstance(old, dict) and isinstance(value, dict):
                for inner, change in value.items():
                    kept = old.get(inner)
                    merge = isinstance(kept, dict) and isinstance(change, dict)
                    old[inner] = {**kept, **change} if merge else change
            else:
                policy[key] = value
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(policy), "utf-8")
    return folder


Step = bytes | float | str


class Upstream:
    """A provider on a port of its own. `plays` says, by a word in the request, what it answers.

    A play is a list of steps: bytes are sent, a number is a pause in seconds, "reset" breaks the connection.
    The connection closes at the end; the first request of a connection is the only one.
    """

    def __init__(self) -> None:
        self.plays: dict[str, Sequence[Step]] = {}
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._closed = False
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._closed = True
        self._listener.close()

    def _serve(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._play, args=(connection,), daemon=True).start()

    def _play(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(20)
            request = _whole_request(connection)
            self.requests.append(request)
            found = re.search(rb"play:([a-z0-9_-]+)", request)
            for step in self.plays.get(found[1].decode() if found else "", ()):
                if isinstance(step, bytes):
                    connection.sendall(step)
                elif step == "reset":
                    # Linger of zero seconds: the close becomes a reset.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    return
                else:
                    time.sleep(float(step))


def _whole_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65_536)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    while length is not None and len(body) < int(length[1]):
        piece = connection.recv(65_536)
        if not piece:
            break
        body += piece
    return head + b"\r\n\r\n" + body


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes = b""

    def json(self):
        return json.loads(self.body)


def read_reply(connection: socket.socket, method: str = "POST") -> Reply | None:
    """The next answer on `connection`; None when it closed without one."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            piece = connection.recv(65_536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            return None
        data += piece
        while data.startswith(b"HTTP/1.1 100"):
            data = data.partition(b"\r\n\r\n")[2]
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if method != "HEAD" and int(lines[0].split(" ")[1]) not in {204, 304}:
        if "content-length" in headers:
            while len(body) < int(headers["content-length"]):
                piece = connection.recv(65_536)
                if not piece:
                    break
                body += piece
        else:
            body = _rest(connection, body)
            if headers.get("transfer-encoding") == "chunked":
                body = _unchunked(body)
    return Reply(int(lines[0].split(" ")[1]), headers, body, data)


def _rest(connection: socket.socket, data: bytes) -> bytes:
    while not data.endswith(b"0\r\n\r\n"):
        try:
            piece = connection.recv(65_536)
        except ConnectionResetError:
            break
        if not piece:
            break
        data += piece
    return data


def _unchunked(data: bytes) -> bytes:
    out = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        if not length:
            break
        out += data[:length]
        data = data[length + 2 :]
    return out


@dataclass
class Gateway:
    """A running `sluicegate dev`, and the command line on its data."""

    url: str
    key: str
    data: Path
    environment: dict[str, str]
    process: subprocess.Popen
    log: Path
    keys: dict[str, dict] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def connect(self, timeout: float = 20.0) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def send(self, data: bytes, method: str = "POST") -> Reply | None:
        """`data` as it is on a connection of its own, and the first answer."""
        with self.connect() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data)
            return read_reply(connection, method)

    def head(self, path: str, length: int | None, key: str | None = None, extra: bytes = b"") -> bytes:
        lines = [
            f"POST {path} HTTP/1.1".encode(),
            b"host: 127.0.0.1",
            b"authorization: Bearer " + (key or self.key).encode(),
            b"content-type: application/json",
        ]
        if length is not None:
            lines.append(b"content-length: %d" % length)
        return b"\r\n".join(lines) + b"\r\n" + extra + b"\r\n"

    def post(self, path: str, body, key: str | None = None, extra: bytes = b"") -> Reply | None:
        """`body` (bytes as they are, anything else as JSON) posted on a connection of its own."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send(self.head(path, len(content), key, extra) + content)

    def get(self, path: str) -> Reply:
        request = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.key}\r\n\r\n"
        reply = self.send(request.encode(), "GET")
        assert reply is not None
        return reply

    def metric(self, name: str) -> float:
        text = self.get("/metrics").body.decode()
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))

    def cli(self, *arguments: str):
        """The command line's JSON answer."""
        done = subprocess.run(
            [sys.executable, "-m", "sluicegate", *arguments, "--data", str(self.data), "--json"],
            env=self.environment,
            cwd=self.data.parent,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def rss_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def connections(self) -> int:
        """Sockets that the process holds."""
        count = 0
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                count += str(entry.readlink()).startswith("socket:")
        return count

    def assert_whole(self, tenant: str = "default") -> None:
        """Nothing is stuck, lost or told to the wrong ear."""
        assert self.process.poll() is None, self.log.read_text()[-2_000:]
        wait_for(lambda: self.metric("sluicegate_open_grants") == 0, "open grants to be settled")
        wait_for(lambda: self.metric("sluicegate_pending_settlements") == 0, "settlements to be told")
        wait_for(lambda: self.metric("sluicegate_requests_in_flight") == 0, "requests to end")
        wait_for(lambda: self.books(tenant), "budget and ledger to agree")
        assert self.trouble() == []

    def books(self, tenant: str = "default") -> tuple[str, str] | None:
        """What the budget and the ledger say was spent, once they say the same and nothing is held."""
        budgets = self.cli("budget", "show", "--tenant", tenant)
        spend = self.cli("spend", "--tenant", tenant, "--by", "workspace")
        spent = {line["group"]: line["cost_usd"] for line in spend["groups"]}
        for budget in budgets:
            if budget["scope"] != "workspace":
                continue
            if budget["held_usd"] != "0" or budget["settled_usd"] != spent.get(budget["name"], "0"):
                return None
        return ("budgets agree", str(spent))

    def trouble(self) -> list[str]:
        """Lines of the log that tell of a bug, or tell what must not be told."""
        words = ("Traceback", "unexpectedly", "never retrieved", SECRET_TEXT, UPSTREAM_KEY, self.key)
        lines = self.log.read_text(errors="replace").splitlines()
        return [line[:2_000] for line in lines if any(word in line for word in words)]


def written(data: Path) -> dict[str, str]:
    with contextlib.suppress(FileNotFoundError):
        lines = (data / "dev.env").read_text("utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)
    return {}
