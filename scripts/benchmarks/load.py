"""Throughput: a closed loop of connections against one target, by wrk or by our own generator."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import pinned
from benchmarks.traffic import Request

# wrk reads its script in Lua; `done` runs once, at the end.
_SCRIPT = """
wrk.method = "POST"
wrk.body = {body}
{headers}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\n{{"requests":%d,"seconds":%f,"refused":%d,"failed":%d,"p50_ms":%f,"p99_ms":%f}}\\n',
    summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True)
class Load:
    """What came of one run: `refused` answers were no 2xx, `failed` requests had none."""

    requests: int
    seconds: float
    refused: int
    failed: int
    p50_ms: float
    p99_ms: float

    @property
    def per_s(self) -> float:
        return (self.requests - self.refused) / self.seconds


def generator() -> str:
    """What makes the load: `wrk`, or our own where that is not installed."""
    return "wrk" if shutil.which("wrk") else "our own generator (wrk is not installed)"


def drive(
    request: Request, *, connections: int, seconds: float, cores: frozenset[int] | None, folder: Path
) -> Load:
    """Keep `connections` requests under way for about `seconds` seconds.

    Raises:
        RuntimeError: the generator failed; quotes it.
    """
    wrk = shutil.which("wrk")
    if wrk is not None:
        script = folder / "request.lua"
        script.write_text(_lua(request), "utf-8")
        command = [
            wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "20s",
            "-s", str(script), f"http://127.0.0.1:{request.port}{request.path}",
        ]  # fmt: skip
    else:
        raw = folder / "request.raw"
        raw.write_bytes(request.raw())
        command = [
            sys.executable, "-m", "benchmarks.generator",
            str(request.port), str(raw), str(connections), str(seconds),
        ]  # fmt: skip
    with pinned(cores):
        done = subprocess.run(  # noqa: S603 - words of this package, and no shell
            command, capture_output=True, text=True, check=False, timeout=seconds + 60
        )
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"requests"')]
    if done.returncode != 0 or not lines:
        raise RuntimeError(f"the load generator failed: {(done.stderr or done.stdout)[-400:]}")
    return Load(**json.loads(lines[-1]))


def _lua(request: Request) -> str:
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in request.all_headers.items())
    # A long bracket keeps the JSON as it is; its level is one that JSON does not contain.
    return _SCRIPT.format(body=f"[==[{request.body.decode()}]==]", headers=headers)
