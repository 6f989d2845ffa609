"""The whole stack, from its plan: what stands on what."""

from dataclasses import dataclass

import pulumi

from components.access import Access, grant_keys
from components.alerts import Alerts
from components.apis import Apis
from components.armor import Armor
from components.balancer import Balancer
from components.buckets import Buckets
from components.consumers import Consumers
from components.counters import Counters
from components.dashboards import Dashboards
from components.delivery import Delivery
from components.documents import Documents
from components.federation import Federation
from components.gpu_job import Job
from components.identities import Identities
from components.keys import Keys
from components.log_store import Logs
from components.network import Network
from components.object_events import ObjectEvents
from components.registry import Registry
from components.schedule import Schedule
from components.secrets_store import Secrets
from components.service import Service
from components.topics import Topics
from components.watch import Watch
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.reliability.policy import load_alerts
from stack.checks import check
from stack.plan import Plan


@dataclass(frozen=True)
class Foundations:
    """What functions stand on."""

    keys: Keys
    network: Network
    topics: Topics
    secrets: Secrets
    buckets: Buckets
    identities: Identities
    counters: Counters
    ready: pulumi.ResourceOptions
    watched: list[pulumi.Resource]


def deploy(plan: Plan) -> None:
    """Declare everything.

    Raises:
        StackConfigurationError: configuration and manifests do not fit together.
    """
    check(plan)
    base = _foundations(plan)
    if plan.deploys:
        _functions(plan, base)
    alerts = Alerts("alerts", plan, load_alerts(PolicySet()), base.topics, base.ready)
    Dashboards("dashboards", plan, base.ready)
    Watch("watch", plan, base.topics, alerts.channels, base.ready)


def _foundations(plan: Plan) -> Foundations:
    apis = Apis("apis", plan)
    ready = pulumi.ResourceOptions(depends_on=[*apis.enabled, *apis.agents])
    keys = Keys("keys", plan, ready)
    network = Network("network", plan, ready)
    registry = Registry("registry", plan, keys, ready)
    identities = Identities("identities", plan, ready)
    topics = Topics("topics", plan, keys, ready)
    secrets = Secrets(
        "secrets", plan, keys, topics.topics["rotation"].id, topics.publishers["rotation"], ready
    )
    counters = Counters("counters", plan, network, keys, secrets, ready)
    buckets = Buckets("buckets", plan, keys, ready)
    Documents("documents", plan, keys, ready)
    Logs("logs", plan, keys, ready)
    if plan.config.repository is not None:
        Federation("federation", plan, plan.config.repository, ready)
    pulumi.export("registry", registry.repository.id)
    return Foundations(
        keys, network, topics, secrets, buckets, identities, counters, ready, counters.versions
    )


def _functions(plan: Plan, base: Foundations) -> None:
    readable = base.secrets.grant(base.identities)
    services, jobs = {}, {}
    for manifest in plan.manifests:
        grants: list[pulumi.Resource] = [
            *base.identities.grants[manifest.name],
            *readable.get(manifest.name, []),
            *base.buckets.grant(manifest, base.identities),
            *base.topics.grant(manifest, base.identities),
            *grant_keys(manifest, base.keys, base.identities),
            *base.watched,
        ]
        if manifest.kind == "job":
            jobs[manifest.name] = Job(
                manifest, plan, base.network, base.keys, base.identities, grants, base.ready
            ).job
            continue
        service = Service(
            manifest, plan, base.network, base.keys, base.identities, grants, base.ready
        ).service
        services[manifest.name] = service
        for topic, path in manifest.trigger.deliveries:
            Delivery(
                manifest, topic, path, plan, base.topics, base.keys, base.identities, service, base.ready
            )
        if manifest.trigger.pulls:
            Consumers(manifest, plan, base.topics, base.keys, base.identities, base.ready)
        if manifest.trigger.schedule is not None:
            Schedule(manifest, plan, base.topics, base.ready)
        if manifest.trigger.object is not None:
            ObjectEvents(manifest, plan, base.buckets, base.identities, service, base.ready)
    Access("access", plan, base.identities, services, jobs, base.ready)
    if plan.web:
        balancer = Balancer("balancer", plan, services, Armor("armor", plan, base.ready).policy, base.ready)
        pulumi.export("address", balancer.address.address)
    pulumi.export("url", f"https://{plan.config.domain}")
    pulumi.export("services", {name: service.name for name, service in services.items()})
