"""What a month costs: with nobody calling, and under a stated load."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from compliance.declared import at
from preview.recorder import Resource
from preview.tables import table
from stack.plan import Plan

SOURCE = Path(__file__).with_name("prices.yaml")
SECONDS = 730 * 3_600
HOURS = 730
_BUSY_SHARE = 0.6
_GIB = 1024**2  # KiB
_SERIES, _SAMPLES = 400, SECONDS / 30
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Line:
    """One position, in dollars a month."""

    what: str
    idle: float
    load: float
    how: str


class Prices:
    """The file of prices."""

    def __init__(self) -> None:
        read: dict[str, Any] = yaml.safe_load(SOURCE.read_text("utf-8"))
        self.prices: dict[str, Any] = read["prices"]
        self.load: dict[str, Any] = read["load"]
        self.assumptions: list[str] = read["assumptions"]

    def __getitem__(self, name: str) -> float:
        return float(self.prices[name]["usd"])


def cost_page(plan: Plan, resources: Sequence[Resource]) -> str:
    """The estimate, its load, its prices."""
    prices = Prices()
    lines = estimate(plan, resources, prices)
    load = prices.load[plan.config.environment]
    idle, busy = sum(each.idle for each in lines), sum(each.idle + each.load for each in lines)
    rows = [(each.what, f"{each.idle:.2f}", f"{each.idle + each.load:.2f}", each.how) for each in lines]
    return (
        f"# Cost of {plan.config.environment}, USD a month\n\n"
        f"**{idle:.0f} idle, {busy:.0f} at {load['requests']:,} requests a month** of {load['seconds_per_request']} s, "
        f"{load['kib_in']} KiB in and {load['kib_out']} KiB out, {load['gpu_hours']} GPU hours. List prices without "
        "free tiers; what providers charge for tokens is not in it.\n\n"
        + table(("what", "idle", "under load", "how"), [*rows, ("**sum**", f"{idle:.2f}", f"{busy:.2f}", "")])
        + "\n## Assumptions\n\n"
        + "".join(f"- {each}\n" for each in prices.assumptions)
        + "\n## Prices\n\n"
        + table(
            ("price", "USD", "per", "source", "read there"),
            (
                (k, v["usd"], v["per"], v["source"], "yes" if v["checked"] else "no")
                for k, v in prices.prices.items()
            ),
        )
    )


def estimate(plan: Plan, resources: Sequence[Resource], prices: Prices) -> list[Line]:
    """All positions; `load` is what comes on top of `idle`."""
    load = prices.load[plan.config.environment]
    return [
        *_functions(plan, resources, prices, load),
        *_redis(resources, prices),
        *_front(resources, prices, load),
        *_stores(resources, prices, load),
        *_seen(resources, prices, load),
    ]


def _functions(
    plan: Plan, resources: Sequence[Resource], prices: Prices, load: dict[str, Any]
) -> Iterator[Line]:
    for each in resources:
        if each.type.startswith("gcp:cloudrunv2/service:"):
            yield _service(plan, each, prices, load)
        elif each.type.startswith("gcp:cloudrunv2/job:"):
            limits = at(each.inputs, "template.template.containers")[0]["resources"]["limits"]
            second = (
                float(limits["cpu"]) * prices["run_cpu_always"]
                + _gib(limits["memory"]) * prices["run_memory_always"]
            )
            second += prices["run_gpu_l4"] if "nvidia.com/gpu" in limits else 0.0
            hours = load["gpu_hours"]
            yield Line(
                str(each.inputs["name"]), 0.0, hours * 3_600 * second, f"{hours} hours, nothing in between"
            )


def _service(plan: Plan, each: Resource, prices: Prices, load: dict[str, Any]) -> Line:
    template = each.inputs["template"]
    least = template["scaling"]["minInstanceCount"]
    always = not template["containers"][0]["resources"]["cpuIdle"]
    cpu = sum(float(part["resources"]["limits"]["cpu"]) for part in template["containers"])
    memory = sum(_gib(part["resources"]["limits"]["memory"]) for part in template["containers"])
    kind = "always" if always else "request"
    second = cpu * prices[f"run_cpu_{kind}"] + memory * prices[f"run_memory_{kind}"]
    waiting = second if always else cpu * prices["run_idle_cpu"] + memory * prices["run_memory_request"]
    idle = least * SECONDS * waiting
    name = str(each.inputs["name"])
    hot = plan.named(name.removeprefix("sluicegate-")).trigger.public
    # Public functions carry every request; the others one event a request, in batches.
    busy = (
        load["requests"]
        * load["seconds_per_request"]
        / (template["maxInstanceRequestConcurrency"] * _BUSY_SHARE)
    )
    if not hot:
        busy = load["requests"] / _BATCH
    share = 1.0 if "/v1/*" in plan.named(name.removeprefix("sluicegate-")).trigger.http or not hot else 0.05
    seconds = busy * share
    covered = least * SECONDS if always else 0.0
    extra = max(0.0, seconds - covered) * second + load["requests"] * share / 1e6 * prices["run_requests"]
    return Line(
        name,
        idle,
        extra,
        f"{cpu:g} vCPU, {memory:g} GiB, at least {least}, {seconds / 3_600:,.0f} busy hours",
    )


def _gib(memory: str) -> float:
    return int(memory[:-2]) / (1 if memory.endswith("Gi") else 1024)


def _redis(resources: Sequence[Resource], prices: Prices) -> Iterator[Line]:
    for each in resources:
        if each.type.startswith("gcp:redis/instance:"):
            kind = "redis_standard" if each.inputs["tier"] == "STANDARD_HA" else "redis_basic"
            size = each.inputs["memorySizeGb"]
            yield Line("Redis", size * HOURS * prices[kind], 0.0, f"{size} GB, {each.inputs['tier']}")
        elif each.type.startswith("gcp:redis/cluster:"):
            nodes = each.inputs["shardCount"] * (1 + each.inputs["replicaCount"])
            yield Line("Redis cluster", nodes * HOURS * prices["redis_cluster_node"], 0.0, f"{nodes} nodes")


def _front(resources: Sequence[Resource], prices: Prices, load: dict[str, Any]) -> Iterator[Line]:
    if not any(each.kind == "GlobalForwardingRule" for each in resources):
        return
    gib_in, gib_out = (load["requests"] * load[way] / _GIB for way in ("kib_in", "kib_out"))
    yield Line(
        "Load balancer",
        HOURS * prices["balancer_rule"],
        (gib_in + gib_out) * prices["balancer_data"] + gib_out * prices["egress"],
        f"{gib_in:.0f} GiB in, {gib_out:.0f} GiB out",
    )
    rules = sum(len(each.inputs["rules"]) for each in resources if each.kind == "SecurityPolicy")
    yield Line(
        "Cloud Armor",
        prices["armor_policy"] + rules * prices["armor_rule"],
        load["requests"] / 1e6 * prices["armor_requests"],
        f"{rules} rules",
    )
    yield Line("Address translation", HOURS * prices["nat_gateway"], 0.0, "one instance of fetch")


def _stores(resources: Sequence[Resource], prices: Prices, load: dict[str, Any]) -> Iterator[Line]:
    keys = [
        each.inputs["versionTemplate"]["protectionLevel"] for each in resources if each.kind == "CryptoKey"
    ]
    hsm = keys.count("HSM")
    # A year's rotation leaves four versions, all of which are still read with.
    yield Line(
        "Keys", 4 * (hsm * prices["key_hsm"] + (len(keys) - hsm) * prices["key_software"]), 0.0,
        f"{len(keys)} keys, {hsm} of them in hardware, four versions each",
    )  # fmt: skip
    secrets = sum(each.kind == "Secret" for each in resources)
    yield Line(
        "Secrets", 2 * secrets * prices["secret_version"], 0.0, f"{secrets} secrets, two versions each"
    )
    events = load["requests"] / _GIB  # GiB, at 1 KiB each
    yield Line(
        "Firestore", 0.0, load["requests"] / 1e5 * prices["firestore_write"] + 2 * events * prices["firestore_storage"],
        "a row a request; indexes as large as the rows",
    )  # fmt: skip
    yield Line("Pub/Sub", 0.0, 2 * events / 1024 * prices["pubsub_data"], "each event in and out once")
    yield Line(
        "Cloud Storage", 0.0,
        events * prices["storage"] + 4 * load["requests"] / _BATCH / 1e4 * prices["storage_writes"],
        "the log and its payloads, in batches",
    )  # fmt: skip
    jobs = sum(each.type.startswith("gcp:cloudscheduler") for each in resources)
    yield Line("Scheduler", jobs * prices["scheduler_job"], 0.0, f"{jobs} jobs")


def _seen(resources: Sequence[Resource], prices: Prices, load: dict[str, Any]) -> Iterator[Line]:
    conditions = sum(len(each.inputs["conditions"]) for each in resources if each.kind == "AlertPolicy")
    yield Line("Alerts", conditions * prices["alert_condition"], 0.0, f"{conditions} conditions")
    scraped = sum(
        each.inputs["template"]["scaling"]["minInstanceCount"]
        for each in resources
        if each.type.startswith("gcp:cloudrunv2/service:") and len(each.inputs["template"]["containers"]) > 1
    )
    yield Line(
        "Metrics",
        scraped * _SERIES * _SAMPLES / 1e6 * prices["samples"],
        0.0,
        f"{scraped} instances, every 30 s",
    )
    yield Line("Logs", 0.0, load["requests"] / 2 / _GIB * prices["logs"], "half a KiB a request")
