"""The comparisons, one function each; every one adds to the results and shows its table."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from benchmarks import (
    latency,
    memory,
    nginx,
    peer_targets,
    peers,
    report,
    stages,
    startup,
    streams,
    targets,
    throughput,
)
from benchmarks.processes import StartError, await_listening, await_quiet, free_port, running
from benchmarks.targets import Governed, Site, Target
from benchmarks.traffic import MODEL, PLAIN, STREAMED, Request, bearer

CONNECTIONS = 32
SPARE_FILES = 500
Results = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What to run and how much: rounds of `seconds`, `calls` per latency, `requests` for the memory."""

    cases: tuple[str, ...]
    install: bool
    rounds: int
    seconds: float
    calls: int
    requests: int
    streams: int


def run(site: Site, plan: Plan, results: Results, *, show: Say, say: Say) -> None:
    """Run the plan's cases."""
    with targets.upstream(site) as served:
        if {"throughput", "latency", "memory", "start", "profile"} & set(plan.cases):
            with targets.governed(served, name="governed") as base:
                _on_one_gateway(served, plan, base, results, show, say)
    if "latency" in plan.cases:
        _first_event(site, plan, results, show)
    if "streams" in plan.cases:
        _streams(site, plan, results, show, say)


def _on_one_gateway(site: Site, plan: Plan, base: Governed, results: Results, show: Say, say: Say) -> None:
    if "memory" in plan.cases:
        _memory(site, plan, base, results, say)
    if "throughput" in plan.cases:
        _throughput(site, plan, base, results, show, say)
    if "latency" in plan.cases:
        _latency(site, plan, base, results, show)
    if "start" in plan.cases:
        _start(site, plan, base, results, show, say)
    if "profile" in plan.cases:
        _profile(site, plan, base, results, show, say)
    if "throughput" in plan.cases or "memory" in plan.cases:
        _account(site, plan, base, results, say)


def _memory(site: Site, plan: Plan, base: Governed, results: Results, say: Say) -> None:
    found = memory.watch(site, base.target, requests=plan.requests, connections=CONNECTIONS, say=say)
    results["memory"] = found.as_json() | {
        "before_mib": round(found.before / 1024, 1),
        "after_mib": round(found.after / 1024, 1),
    }
    say(
        f"memory: {found.before / 1024:.1f} MiB before, {found.after / 1024:.1f} MiB after "
        f"{found.requests:,} requests, {found.growth:+,} KiB once warm"
    )


@contextmanager
def _compared(site: Site, plan: Plan, base: Governed, say: Say) -> Iterator[list[Target]]:
    """Everything that takes part in the comparison, running."""
    with ExitStack() as stack:
        chosen: list[Target] = []
        if nginx.installed():
            chosen.append(stack.enter_context(targets.nginx_proxy(site)))
        chosen.append(stack.enter_context(targets.passthrough(site)))
        chosen += [base.target, targets.cached(base)]
        try:
            chosen.append(stack.enter_context(targets.uvicorn(site, base)))
        except StartError as error:
            say(str(error))
        if targets.redis_installed():
            chosen.append(stack.enter_context(targets.governed(site, name="embedded", embedded=True)).target)
        python = peers.environment("litellm", install=plan.install, say=say)
        if python is not None:
            try:
                chosen.append(stack.enter_context(peer_targets.litellm(site, python)))
            except StartError as error:
                say(str(error))
        found = peers.portkey(install=plan.install, say=say)
        if found is not None:
            try:
                chosen.append(stack.enter_context(peer_targets.portkey(site, *found)))
            except StartError as error:
                say(str(error))
        yield chosen


def _throughput(site: Site, plan: Plan, base: Governed, results: Results, show: Say, say: Say) -> None:
    with _compared(site, plan, base, say) as chosen:
        found = throughput.compare(
            site, chosen, connections=CONNECTIONS, rounds=plan.rounds, seconds=plan.seconds, say=say
        )
    results["throughput"] = {name: each.as_json() for name, each in found.items()}
    governed = found["governed"]
    ratios = {}
    for name, each in found.items():
        if name != "governed":
            ratios[f"governed_to_{name}"] = round(governed.per_s / each.per_s, 3)
            ratios[f"governed_to_{name}_by_cpu"] = round(each.cpu_us / governed.cpu_us, 3)
    results["ratios"] = ratios
    show(report.throughput(results["throughput"], CONNECTIONS))


def _latency(site: Site, plan: Plan, base: Governed, results: Results, show: Say) -> None:
    direct = Target("upstream", "upstream itself", Request(site.upstream, PLAIN), ())
    with ExitStack() as stack:
        chosen = [direct]
        if nginx.installed():
            chosen.append(stack.enter_context(targets.nginx_proxy(site)))
        chosen.append(stack.enter_context(targets.passthrough(site)))
        chosen += [base.target, targets.cached(base)]
        await_quiet(base.target.all_pids)
        found = latency.compare({each.name: each.request for each in chosen}, count=plan.calls)
    results["latency"] = _added(chosen, found)
    show(report.latency("Latency of whole answers", results["latency"]))


def _first_event(site: Site, plan: Plan, results: Results, show: Say) -> None:
    with (
        targets.upstream(site, plain=True) as served,
        targets.passthrough(served) as bare,
        targets.governed(served) as base,
    ):
        direct = Target("upstream", "upstream itself", Request(served.upstream, PLAIN), ())
        chosen = [
            replace(each, request=replace(each.request, body=STREAMED))
            for each in (direct, bare, base.target)
        ]
        found = latency.compare(
            {each.name: each.request for each in chosen}, count=max(100, plan.calls // 5), streamed=True
        )
    results["first_event"] = _added(chosen, found)
    show(report.latency("Latency of a stream's first event", results["first_event"]))


def _added(chosen: list[Target], found: dict[str, latency.Latency]) -> Results:
    own = found["upstream"]
    return {
        each.name: {
            "title": each.title,
            "p50_ms": round(found[each.name].p50, 4),
            "p99_ms": round(found[each.name].p99, 4),
            "added_p50_ms": round(found[each.name].p50 - own.p50, 4),
            "added_p99_ms": round(found[each.name].p99 - own.p99, 4),
        }
        for each in chosen
    }


def _start(site: Site, plan: Plan, base: Governed, results: Results, show: Say, say: Say) -> None:
    runs = 3 if plan.rounds <= 3 else 7
    start: Results = {
        "interpreter_s": startup.interpreter_s(site, runs),
        "import_s": startup.import_s(site, "sluicegate.wiring.gateway", runs),
    }
    rows = [
        ("Python itself", f"{start['interpreter_s']:.3f}", "-", "-"),
        ("importing the gateway", f"{start['import_s']:.3f}", "-", "-"),
    ]

    def add(name: str, title: str, firsts: list[startup.First]) -> None:
        seconds = statistics.median(each.seconds for each in firsts)
        cpu_s = statistics.median(each.cpu_s for each in firsts)
        mib = round(firsts[-1].rss_kib / 1024)
        start.update({f"{name}_s": seconds, f"{name}_cpu_s": cpu_s, f"{name}_mib": mib})
        start[f"{name}_runs_s"] = [round(each.seconds, 3) for each in firsts]
        rows.append((title, f"{seconds:.3f}", f"{cpu_s:.2f}", str(mib)))

    try:
        add("gateway", "first governed answer", startup.governed_first_answer(site, base, runs, say))
        python = peers.environment("litellm", install=plan.install, say=say)
        if python is not None:
            add(
                "litellm",
                "LiteLLM's first answer",
                startup.litellm_first_answer(site, python, min(3, runs), say),
            )
    except StartError as error:
        say(str(error))
    results["start"] = start
    headings = ("", "seconds", "CPU s", "MiB then")
    show(report.table("From the start of the process (medians; files cached)", headings, rows))


def _profile(site: Site, plan: Plan, base: Governed, results: Results, show: Say, say: Say) -> None:
    python = peers.environment("tools", install=plan.install, say=say)
    if python is None:
        return
    seconds = max(5.0, plan.seconds * 2)
    results["profile"] = {}
    for target in (base.target, targets.cached(base)):
        await_quiet(base.target.all_pids)
        try:
            found = stages.sample(site, target, python, seconds=seconds, connections=CONNECTIONS)
        except RuntimeError as error:
            say(str(error))
            return
        results["profile"][target.name] = {stage: round(share, 4) for stage, share in found.items()}
        cpu_us = results.get("throughput", {}).get(target.name, {}).get("gateway_cpu_us")
        show(f"{target.title}: " + report.stages(found, cpu_us))


def _streams(site: Site, plan: Plan, results: Results, show: Say, say: Say) -> None:
    tokens, gap_ms = (20, 3_000) if plan.streams > 1_000 else (16, 500)
    prompt = f"[[tokens {tokens}]] [[delay {gap_ms}ms]]"
    found: Results = {}
    # A stream from an upstream over HTTP takes a second socket of the gateway.
    kinds = (("scripted, in process", "scripted-small", 1), ("upstream over HTTP", MODEL, 2))
    for title, model, sockets in kinds:
        wanted = min(plan.streams, (results["machine"]["open_files"] - SPARE_FILES) // sockets)
        messages = [{"role": "user", "content": prompt}]
        body = json.dumps({"model": model, "stream": True, "messages": messages}).encode()
        with _scripted_upstream(site) as served, targets.governed(served) as base:
            request = Request(base.target.request.port, body, headers=bearer(base.key))
            streams.hold_open(base.target, request, wanted=50, within_s=120)
            await_quiet(base.target.all_pids)
            done = streams.hold_open(base.target, request, wanted=wanted, within_s=300)
        found[title] = done.as_json()
        say(f"{title}: {done.complete:,} of {done.wanted:,} complete, {done.problems or 'no problems'}")
    results["streams"] = found
    show(report.streams(found))


@contextmanager
def _scripted_upstream(site: Site) -> Iterator[Site]:
    port = free_port()
    command = [sys.executable, "-m", "sluicegate.adapters.providers.scripted", "--port", str(port)]
    log = site.log("scripted")
    with running(command, cores=site.cores.rest, log=log) as process:
        await_listening(port, process, log)
        yield replace(site, upstream=port)


def _account(site: Site, plan: Plan, base: Governed, results: Results, say: Say) -> None:
    """Compare the answers of one more round with the rows the ledger gains by it.

    What the generator leaves under way when it ends may or may not be answered and charged: as many rows more
    than answers as there are connections are in order, one row less is not.
    """
    before = _settled_rows(base)
    answered = throughput.measure(
        site, base.target, connections=CONNECTIONS, seconds=plan.seconds
    ).load.requests
    rows = _settled_rows(base) - before
    exact = answered <= rows <= answered + CONNECTIONS
    results["ledger"] = {"answers": answered, "rows": rows, "exact": exact}
    say(f"ledger: {rows:,} rows for {answered:,} answers: {'exact' if exact else 'WRONG'}")


def _settled_rows(base: Governed) -> int:
    """The ledger's rows once it has caught up: three looks in a row, a second apart, see the same."""
    deadline = time.monotonic() + 180
    seen = [-1]
    while seen[-3:] != [seen[-1]] * 3 and time.monotonic() < deadline:
        await_quiet(base.target.all_pids)
        time.sleep(1)
        seen.append(_ledger_rows(base))
    return seen[-1]


def _ledger_rows(base: Governed) -> int:
    command = [sys.executable, "-m", "sluicegate", "spend", "--json", "--data", str(base.data)]
    done = subprocess.run(  # noqa: S603 - words of this package
        command, capture_output=True, text=True, check=True, env=os.environ | dict(base.environment)
    )
    return sum(int(group["requests"]) for group in json.loads(done.stdout)["groups"])
