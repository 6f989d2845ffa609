"""A picture of the stack: who calls, what answers, what it writes to."""

from dataclasses import dataclass
from html import escape

from components.network import RANGES
from sluicegate.manifest import Manifest
from stack.environments import ClusterRedis
from stack.inventory import BUCKETS, TOPICS
from stack.plan import Plan

_WIDE, _BOX, _LINE = 1_330, 250, 17
_COLUMNS = {"callers": 20, "front": 340, "functions": 700, "stores": 1_060}
_GAP, _TOP = 18, 112
_STYLE = """
text{font:13px system-ui,sans-serif;fill:#1d2733} .title{font-size:20px;font-weight:600}
.head{font-weight:600} .small{font-size:12px;fill:#52606d} .column{font-size:13px;font-weight:600;fill:#52606d}
rect{fill:#fff;stroke:#9aa5b1;rx:6} .front{fill:#fff4e5;stroke:#d98e04} .functions{fill:#e8f1fd;stroke:#3b7ddd}
.messages{fill:#f1ebfb;stroke:#7b4fc9} .stores{fill:#e8f6ec;stroke:#2f9e5b} .alone{stroke-dasharray:5 4}
path{fill:none;stroke:#7b8794;stroke-width:1.3} .pushes{stroke:#7b4fc9} .writes{stroke:#2f9e5b} .calls{stroke:#3b7ddd}
"""


@dataclass
class Box:
    """Something with a name and a few lines about it."""

    name: str
    column: str
    lines: list[str]
    alone: bool = False
    look: str | None = None
    x: int = 0
    y: int = 0

    @property
    def height(self) -> int:
        return 30 + _LINE * len(self.lines)


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one box to another."""

    start: str
    end: str
    kind: str


def diagram(plan: Plan) -> str:
    """The stack as SVG. Grants to Google's own agents and alerts are left out: see the tables."""
    boxes = {each.name: each for each in _boxes(plan)}
    arrows = [each for each in _arrows(plan) if each.start in boxes and each.end in boxes]
    height = _place(list(boxes.values()))
    drawn = [_arrow(boxes, arrows, number) for number in range(len(arrows))]
    drawn += [_box(each) for each in boxes.values()]
    heads = {
        "callers": "who calls", "front": "ways in: load balancer, Pub/Sub", "functions": "functions (Cloud Run)",
        "stores": "what is kept, what is reached",
    }  # fmt: skip
    titles = "".join(
        f'<text class="column" x="{x}" y="92">{heads[name]}</text>' for name, x in _COLUMNS.items()
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {height + 60}" width="{_WIDE}" '
        f'height="{height + 60}"><style>{_STYLE}</style>'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" style="fill:#7b8794;stroke:none"/></marker></defs>'
        f'<rect width="{_WIDE}" height="{height + 60}" style="stroke:none;rx:0"/>'
        f'<text class="title" x="20" y="38">Sluicegate {escape(plan.config.environment)}</text>'
        f'<text class="small" x="20" y="60">{escape(plan.config.project)}, {escape(plan.config.region)}. '
        "Functions reach stores through the network; dashed: a subnetwork of its own, with nothing private in reach."
        f"</text>{titles}{''.join(drawn)}{_legend(height + 36)}</svg>\n"
    )


def _boxes(plan: Plan) -> list[Box]:
    figures = plan.figures
    redis = figures.redis
    told = (
        f"cluster, {redis.shards} shards, {redis.replicas} replica, AOF"
        if isinstance(redis, ClusterRedis)
        else f"{redis.memory_gb} GB, {'replica' if redis.highly_available else 'single'}"
    )
    boxes = [
        Box("Applications", "callers", ["OpenAI and Anthropic clients", "HTTPS with a key or token"]),
        Box("GitHub workflows", "callers", ["federation, no keys", "one repository, one branch"]),
        Box(
            "Load balancer",
            "front",
            [
                plan.config.domain,
                "TLS 1.3 only, HTTP redirected",
                f"Cloud Armor: floods; OWASP {'refused' if figures.blocking else 'watched'}",
            ],
        ),
        *(
            Box(each.name, "functions", _about(plan, each), each.egress == "internet")
            for each in plan.manifests
        ),
        *(Box(f"topic {each}", "front", [_writer(each)], look="messages") for each in _topics(plan)),
        Box("Redis", "stores", [told, "counters, holds, outbox; TLS"]),
        Box(
            "Firestore",
            "stores",
            [
                "keys, ledger rows",
                f"backups {figures.backup_days} d" if figures.backup_days else "no backups",
            ],
        ),
        *(Box(f"bucket {name}", "stores", _kept(name)) for name in BUCKETS),
        Box("Secret Manager", "stores", ["one accessor per secret"]),
        Box("Cloud KMS", "stores", ["a key per kind of store", "signs the log: Ed25519"]),
    ]
    if any(each.egress == "internet" for each in plan.manifests):
        boxes.append(Box("The internet", "stores", [f"from {RANGES['fetch']} by Cloud NAT"], look="callers"))
    if any(each.trigger.schedule for each in plan.manifests):
        boxes.append(
            Box(
                "Scheduler",
                "callers",
                [f"{each.name}: {each.trigger.schedule}" for each in plan.manifests if each.trigger.schedule],
            )
        )
    return boxes


def _topics(plan: Plan) -> list[str]:
    heard = {topic for each in plan.services for topic, _ in each.trigger.deliveries}
    return sorted(heard | {topic for each in plan.manifests for topic in plan.publishes(each)})


def _about(plan: Plan, manifest: Manifest) -> list[str]:
    resources = manifest.resources
    size = f"{resources.cpu} vCPU, {resources.memory}" + (f", {resources.gpu}" if resources.gpu else "")
    if manifest.kind == "job":
        return [size, f"job, {resources.tasks} tasks"]
    least = plan.figures.hot_instances if resources.min_instances else 0
    most = min(resources.max_instances, plan.figures.most_instances)
    return [size, f"{min(least, most)} to {most} instances of {resources.concurrency}"]


def _writer(topic: str) -> str:
    publisher = TOPICS[topic].publisher if topic in TOPICS else None
    return {
        None: "events in our schema",
        "monitoring": "told by Cloud Monitoring",
        "secrets": "told by Secret Manager",
        "scheduler": "told by Cloud Scheduler",
        "budgets": "told by Cloud Billing",
    }.get(publisher, "")


def _kept(name: str) -> list[str]:
    made = BUCKETS[name]
    if made.locked_days:
        return [f"locked for {made.locked_days} d"]
    return [f"deleted after {made.delete_days} d"] if made.delete_days else ["kept"]


def _arrows(plan: Plan) -> list[Arrow]:
    arrows = [Arrow("Applications", "Load balancer", "calls")]
    for each in plan.manifests:
        name = each.name
        arrows += [Arrow("Load balancer", name, "calls")] if each.trigger.http else []
        arrows += [Arrow(f"topic {topic}", name, "pushes") for topic, _ in each.trigger.deliveries]
        arrows += [
            Arrow(f"topic {topic}", name, "pushes") for topic in sorted(set(each.trigger.pulls.values()))
        ]
        arrows += [Arrow(name, f"topic {topic}", "publishes") for topic in plan.publishes(each)]
        arrows += [Arrow(name, f"bucket {bucket}", "writes") for bucket in each.access.buckets]
        arrows += [Arrow(name, other, "calls") for other in (*each.access.calls, *each.access.runs)]
        arrows += [Arrow(name, "Redis", "writes")] if "REDIS_URL" in each.secrets.required else []
        roles = each.identity.roles
        arrows += [Arrow(name, "Firestore", "writes")] if any("datastore" in role for role in roles) else []
        arrows += [Arrow(name, "Cloud KMS", "writes")] if each.access.keys else []
        arrows += [Arrow(name, "The internet", "calls")] if each.egress == "internet" else []
        clock = f"topic {each.trigger.topic}"
        arrows += [Arrow("Scheduler", clock, "publishes")] if each.trigger.schedule else []
    return arrows


def _place(boxes: list[Box]) -> int:
    lowest = 0
    for column, x in _COLUMNS.items():
        y = _TOP
        for each in (box for box in boxes if box.column == column):
            each.x, each.y = x, y
            y += each.height + _GAP
        lowest = max(lowest, y)
    return lowest


def _box(box: Box) -> str:
    kind = f"{box.look or box.column}{' alone' if box.alone else ''}"
    lines = "".join(
        f'<text class="small" x="{box.x + 12}" y="{box.y + 38 + _LINE * number}">{escape(line)}</text>'
        for number, line in enumerate(box.lines)
    )
    return (
        f'<rect class="{kind}" x="{box.x}" y="{box.y}" width="{_BOX}" height="{box.height}"/>'
        f'<text class="head" x="{box.x + 12}" y="{box.y + 20}">{escape(box.name)}</text>{lines}'
    )


def _arrow(boxes: dict[str, Box], arrows: list[Arrow], number: int) -> str:
    arrow = arrows[number]
    start, end = boxes[arrow.start], boxes[arrow.end]
    y1, y2 = _port(boxes, arrows, number, start), _port(boxes, arrows, number, end)
    if start.column == end.column:
        x = start.x
        bend = x - 26 - 6 * (number % 4)
        return f'<path class="{arrow.kind}" marker-end="url(#tip)" d="M{x} {y1}C{bend} {y1} {bend} {y2} {x} {y2}"/>'
    forward = start.x < end.x
    x1, x2 = (start.x + _BOX, end.x) if forward else (start.x, end.x + _BOX)
    middle = (x1 + x2) / 2
    return (
        f'<path class="{arrow.kind}" marker-end="url(#tip)" '
        f'd="M{x1} {y1}C{middle:g} {y1} {middle:g} {y2} {x2} {y2}"/>'
    )


def _port(boxes: dict[str, Box], arrows: list[Arrow], number: int, box: Box) -> float:
    """Where on the box's side the arrow ends: arrows share the side evenly, in the order of their other ends."""
    touching = [each for each, arrow in enumerate(arrows) if box.name in {arrow.start, arrow.end}]

    def far(each: int) -> tuple[int, int]:
        other = arrows[each].end if arrows[each].start == box.name else arrows[each].start
        return boxes[other].y, each

    place = sorted(touching, key=far).index(number)
    return round(box.y + box.height * (place + 1) / (len(touching) + 1), 1)


def _legend(y: int) -> str:
    entries = (
        ("calls", "calls"),
        ("pushes", "delivers to"),
        ("publishes", "publishes"),
        ("writes", "reads or writes"),
    )
    return "".join(
        f'<path class="{kind}" d="M{20 + 190 * n} {y}h36"/><text class="small" x="{64 + 190 * n}" y="{y + 4}">{what}</text>'
        for n, (kind, what) in enumerate(entries)
    )
