"""Where the time goes: samples of the gateway's stack under load, by stage of a request."""

import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.load import drive
from benchmarks.machine import pinned
from benchmarks.targets import Site, Target

HERTZ = 400

# The innermost frame that is listed decides; a frame is `function (file:line)`. First match wins.
_STAGES: Sequence[tuple[str, str, tuple[str, ...]]] = (
    ("admission", "redis/admission_store.py", ("admit", "_encode", "_plan", "_admit_reply")),
    ("settlement, usage event", "redis/admission_store.py", ("settle",)),
    ("Redis client", "adapters/redis/", ()),
    ("upstream client", "adapters/web/", ()),
    ("upstream client", "adapters/providers/", ()),
    ("identity", "sluicegate/identity/", ()),
    ("routing", "sluicegate/routing/", ()),
    ("settlement, usage event", "admission/service.py", ("settle", "release", "_apply", "_closed")),
    ("settlement, usage event", "admission/settlements.py", ()),
    ("settlement, usage event", "pipeline/settlement.py", ()),
    ("settlement, usage event", "pipeline/record.py", ()),
    ("admission", "sluicegate/admission/", ()),
    ("cache", "sluicegate/caching/", ()),
    ("cache", "pipeline/reuse.py", ()),
    ("cache", "adapters/local/memory_cache.py", ()),
    ("answer's headers", "pipeline/headers.py", ()),
    ("request: parse, inspect, size", "completions/body.py", ()),
    ("request: parse, inspect, size", "completions/fields.py", ()),
    ("request: parse, inspect, size", "inspection.py", ()),
    ("request: parse, inspect, size", "pipeline/sizing.py", ()),
    ("request: parse, inspect, size", "pipeline/controls.py", ()),
    ("provider's answer: check, usage", "completions/openai_chat/", ()),
    ("pipeline, tries", "completions/", ()),
    ("gateway's edge", "web/gateway/application.py", ()),
    (
        "HTTP out",
        "server/exchange.py",
        ("respond", "answer", "start", "write", "finish", "_head_of", "_flush"),
    ),
    ("HTTP out", "server/heads.py", ("line", "header_lines")),
    ("HTTP out", "server/connection.py", ("answered", "writable")),
    ("HTTP in", "web/server/", ()),
    ("metrics, ids, logs", "sluicegate/kernel/", ()),
)
LOOP = "event loop, reading and polling sockets"
# The gateway works on the main thread; other threads mostly wait, which py-spy takes for work.
_OTHER_THREADS = "Thread._bootstrap "


def sample(site: Site, target: Target, python: Path, *, seconds: float, connections: int) -> dict[str, float]:
    """Shares of the gateway's CPU time by stage, the largest first, from py-spy under load.

    Raises:
        RuntimeError: py-spy failed (it needs the right to read another process); quotes it.
    """
    raw = site.folder / "profile.raw"
    command = [
        str(python.parent / "py-spy"), "record", "--pid", str(target.gateway[0]),
        "--duration", str(round(seconds)), "--rate", str(HERTZ), "--format", "raw", "--output", str(raw),
        "--nolineno",
    ]  # fmt: skip
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(
            drive,
            target.request,
            connections=connections,
            seconds=seconds + 2,
            cores=site.cores.rest,
            folder=site.folder,
        )
        with pinned(site.cores.rest):
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our words
        load.result()
    if done.returncode != 0 or not raw.is_file():
        raise RuntimeError(f"py-spy failed: {done.stderr[-300:]}")
    return shares(raw.read_text("utf-8").splitlines())


def shares(lines: Iterable[str]) -> dict[str, float]:
    """Shares by stage of samples in folded form: `frame;frame;frame count`."""
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if not frames[0].startswith(_OTHER_THREADS):
            counts[_stage(frames)] += int(count)
    total = sum(counts.values()) or 1
    return {stage: count / total for stage, count in counts.most_common()}


def _stage(frames: Sequence[str]) -> str:
    for frame in reversed(frames):
        for stage, part, functions in _STAGES:
            if part in frame and (not functions or frame.split(" ", 1)[0].rpartition(".")[2] in functions):
                return stage
    return LOOP
