"""The network: everything denied, then what is needed. One function reaches the internet through it."""

import pulumi
from pulumi_gcp import compute, dns, servicenetworking

from components.base import Component
from stack.plan import Plan

RANGES = {"functions": "10.20.0.0/20", "fetch": "10.20.16.0/22"}
"""Direct VPC egress takes addresses from here: twice the instances there may be, and room to grow."""

SERVICES_RANGE = ("10.64.0.0", 20)
"""Where Google's managed services (Memorystore) get theirs."""

PRIVATE_RANGES = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"]
RESTRICTED_APIS = "199.36.153.8/30"
"""private.googleapis.com: Google's own interfaces, without leaving its network."""

FUNCTION_TAG, FETCH_TAG = "sluicegate-functions", "sluicegate-fetch"
_REDIS_PORTS = ["6378", "6379", "11000-13047"]


class Network(Component):
    """A VPC of two subnetworks: `functions`, which reaches stores, and `fetch`, which reaches the internet.

    A function with `egress = "internet"` lives in `fetch`, alone: nothing private is in its reach, so that a
    page it is asked to fetch can be nothing of ours.
    """

    def __init__(self, name: str, plan: Plan, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Network", name, plan, opts)
        self._name = name
        self.network = compute.Network(
            name,
            name=plan.name("network"),
            project=self.project,
            auto_create_subnetworks=False,
            routing_mode="REGIONAL",
            opts=self.child,
        )
        self.subnetworks = {part: self._subnetwork(part, cidr) for part, cidr in RANGES.items()}
        self._rules()
        self._translation()
        self._names()
        self.peering = self._services()
        self.register_outputs({"network": self.network.id})

    def _subnetwork(self, part: str, cidr: str) -> compute.Subnetwork:
        return compute.Subnetwork(
            f"{self._name}-{part}",
            name=self.plan.name(part),
            project=self.project,
            region=self.region,
            network=self.network.id,
            ip_cidr_range=cidr,
            private_ip_google_access=True,
            log_config={
                "aggregation_interval": "INTERVAL_5_SEC",
                "flow_sampling": self.plan.figures.flow_log_sample,
                "metadata": "INCLUDE_ALL_METADATA",
            },
            opts=self.child,
        )

    def _rules(self) -> None:
        everywhere = ["0.0.0.0/0"]
        tcp = "tcp"
        self._rule("deny-ingress", 65_534, "INGRESS", deny=True, sources=everywhere)
        self._rule("deny-egress", 65_534, "EGRESS", deny=True, destinations=everywhere)
        for part, tag in (("functions", FUNCTION_TAG), ("fetch", FETCH_TAG)):
            self._rule(
                f"{part}-to-google",
                900,
                "EGRESS",
                destinations=[RESTRICTED_APIS],
                allow=(tcp, ["443"]),
                tag=tag,
            )
        stores = ["/".join(map(str, SERVICES_RANGE)), RANGES["functions"]]
        self._rule(
            "functions-to-redis",
            1_000,
            "EGRESS",
            destinations=stores,
            allow=(tcp, _REDIS_PORTS),
            tag=FUNCTION_TAG,
        )
        self._rule(
            "fetch-not-private", 1_000, "EGRESS", deny=True, destinations=PRIVATE_RANGES, tag=FETCH_TAG
        )
        self._rule(
            "fetch-to-web",
            2_000,
            "EGRESS",
            destinations=everywhere,
            allow=(tcp, ["80", "443"]),
            tag=FETCH_TAG,
        )

    def _rule(
        self,
        part: str,
        priority: int,
        direction: str,
        *,
        deny: bool = False,
        allow: tuple[str, list[str]] | None = None,
        sources: list[str] | None = None,
        destinations: list[str] | None = None,
        tag: str | None = None,
    ) -> compute.Firewall:
        return compute.Firewall(
            f"{self._name}-{part}",
            name=self.plan.name(part),
            project=self.project,
            network=self.network.id,
            direction=direction,
            priority=priority,
            source_ranges=sources,
            destination_ranges=destinations,
            denies=[{"protocol": "all"}] if deny else None,
            allows=None if allow is None else [{"protocol": allow[0], "ports": allow[1]}],
            target_tags=None if tag is None else [tag],
            log_config={"metadata": "INCLUDE_ALL_METADATA"},
            opts=self.child,
        )

    def _translation(self) -> None:
        router = compute.Router(
            f"{self._name}-router",
            name=self.plan.name("router"),
            project=self.project,
            region=self.region,
            network=self.network.id,
            opts=self.child,
        )
        compute.RouterNat(
            f"{self._name}-nat",
            name=self.plan.name("nat"),
            project=self.project,
            region=self.region,
            router=router.name,
            nat_ip_allocate_option="AUTO_ONLY",
            source_subnetwork_ip_ranges_to_nat="LIST_OF_SUBNETWORKS",
            subnetworks=[
                {"name": self.subnetworks["fetch"].id, "source_ip_ranges_to_nats": ["PRIMARY_IP_RANGE"]}
            ],
            log_config={"enable": True, "filter": "ERRORS_ONLY"},
            opts=self.child,
        )

    def _names(self) -> None:
        for part, domain in (("google", "googleapis.com."), ("functions", "run.app.")):
            self._zone(part, domain)
        dns.Policy(
            f"{self._name}-names",
            name=self.plan.name("names"),
            project=self.project,
            description="Every name that is looked up is logged",
            enable_logging=True,
            networks=[{"network_url": self.network.id}],
            opts=self.child,
        )

    def _zone(self, part: str, domain: str) -> None:
        zone = dns.ManagedZone(
            f"{self._name}-{part}-names",
            name=self.plan.name(f"{part}-names"),
            project=self.project,
            dns_name=domain,
            # A call from one function to another stays inside, which is what `ingress` asks for.
            description="Google's interfaces and our functions by Google's private addresses",
            visibility="private",
            private_visibility_config={"networks": [{"network_url": self.network.id}]},
            labels=self.plan.labels,
            opts=self.child,
        )
        first = f"private.{domain}" if domain == "googleapis.com." else domain
        for record, kind, name, answers in (
            ("addresses", "A", first, [f"199.36.153.{last}" for last in range(8, 12)]),
            ("aliases", "CNAME", f"*.{domain}", [first]),
        ):
            dns.RecordSet(
                f"{self._name}-{part}-{record}",
                project=self.project,
                managed_zone=zone.name,
                name=name,
                type=kind,
                ttl=300,
                rrdatas=answers,
                opts=self.child,
            )

    def _services(self) -> servicenetworking.Connection:
        address, length = SERVICES_RANGE
        reserved = compute.GlobalAddress(
            f"{self._name}-services",
            name=self.plan.name("services"),
            project=self.project,
            purpose="VPC_PEERING",
            address_type="INTERNAL",
            address=address,
            prefix_length=length,
            network=self.network.id,
            labels=self.plan.labels,
            opts=self.child,
        )
        return servicenetworking.Connection(
            f"{self._name}-services",
            network=self.network.id,
            service="servicenetworking.googleapis.com",
            reserved_peering_ranges=[reserved.name],
            opts=self.child,
        )
