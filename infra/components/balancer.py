"""The one way in from the internet: a global HTTPS load balancer whose paths are the functions' own."""

from typing import Any

import pulumi
from pulumi_gcp import cloudrunv2, compute

from components.base import Component
from components.service import CANDIDATE
from sluicegate.manifest import Manifest
from stack.plan import Plan

CANDIDATE_HEADER = "x-sluicegate-revision"
"""With the value `candidate` a request goes to the newest revision, before that has any traffic."""

_HEADERS = [
    "Strict-Transport-Security: max-age=31536000; includeSubDomains",
    "X-Content-Type-Options: nosniff",
]


class Balancer(Component):
    """Address, certificate, paths. TLS 1.3 only; plain HTTP is answered with a redirection.

    Args:
        services: the Cloud Run services by function.
        armor: the security policy in front of them.
    """

    def __init__(
        self,
        name: str,
        plan: Plan,
        services: dict[str, cloudrunv2.Service],
        armor: compute.SecurityPolicy,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Balancer", name, plan, opts)
        self._name, self._services, self._armor = name, services, armor
        self.address = compute.GlobalAddress(
            name,
            name=plan.name("address"),
            project=self.project,
            address_type="EXTERNAL",
            ip_version="IPV4",
            labels=plan.labels,
            opts=self.stateful(),
        )
        self._secure(self._paths())
        self._redirect()
        self.register_outputs({"address": self.address.address})

    def _backend(self, manifest: Manifest, tag: str | None) -> compute.BackendService:
        part = manifest.name if tag is None else f"{manifest.name}-{tag}"
        group = compute.RegionNetworkEndpointGroup(
            f"{self._name}-{part}",
            name=self.plan.name(part),
            project=self.project,
            region=self.region,
            network_endpoint_type="SERVERLESS",
            cloud_run={"service": self._services[manifest.name].name, "tag": tag},
            opts=self.child,
        )
        return compute.BackendService(
            f"{self._name}-{part}",
            name=self.plan.name(part),
            project=self.project,
            load_balancing_scheme="EXTERNAL_MANAGED",
            protocol="HTTP2" if manifest.trigger.protocol == "grpc" else "HTTPS",
            backends=[{"group": group.id}],
            security_policy=self._armor.id,
            custom_response_headers=_HEADERS,
            log_config={"enable": True, "sample_rate": 1.0},
            opts=self.child,
        )

    def _paths(self) -> compute.URLMap:
        config, web = self.plan.config, self.plan.web
        backends = {(each.name, tag): self._backend(each, tag) for each in web for tag in (None, CANDIDATE)}
        rules: list[dict[str, Any]] = []
        for path, function in routes(web):
            match = {"prefix_match": path[:-1]} if path.endswith("/*") else {"full_path_match": path}
            header = {"header_name": CANDIDATE_HEADER, "exact_match": CANDIDATE}
            for tag, matches in ((CANDIDATE, {**match, "header_matches": [header]}), (None, match)):
                rules.append(
                    {
                        "priority": len(rules) + 1,
                        "match_rules": [matches],
                        "service": backends[function, tag].id,
                    }
                )
        fallback = backends[_fallback(web), None].id
        return compute.URLMap(
            self._name,
            name=self.plan.name("paths"),
            project=self.project,
            default_service=fallback,
            host_rules=[{"hosts": [config.domain], "path_matcher": "functions"}],
            path_matchers=[{"name": "functions", "default_service": fallback, "route_rules": rules}],
            opts=self.child,
        )

    def _secure(self, paths: compute.URLMap) -> None:
        domain = self.plan.config.domain
        certificate = compute.ManagedSslCertificate(
            self._name,
            name=self.plan.name("certificate"),
            project=self.project,
            managed={"domains": [domain]},
            opts=self.child,
        )
        tls = compute.SSLPolicy(
            self._name,
            name=self.plan.name("tls"),
            project=self.project,
            # A3; Google offers 1.3 as the least only together with this profile.
            min_tls_version="TLS_1_3",
            profile="RESTRICTED",
            opts=self.child,
        )
        proxy = compute.TargetHttpsProxy(
            self._name,
            name=self.plan.name("https"),
            project=self.project,
            url_map=paths.id,
            ssl_certificates=[certificate.id],
            ssl_policy=tls.id,
            quic_override="ENABLE",
            tls_early_data="DISABLED",  # early data can be replayed; our requests spend money
            opts=self.child,
        )
        self._listen("https", "443", proxy.id)

    def _redirect(self) -> None:
        paths = compute.URLMap(
            f"{self._name}-redirect",
            name=self.plan.name("redirect"),
            project=self.project,
            default_url_redirect={
                "https_redirect": True,
                "strip_query": False,
                "redirect_response_code": "MOVED_PERMANENTLY_DEFAULT",
            },
            opts=self.child,
        )
        proxy = compute.TargetHttpProxy(
            f"{self._name}-redirect",
            name=self.plan.name("http"),
            project=self.project,
            url_map=paths.id,
            opts=self.child,
        )
        self._listen("http", "80", proxy.id)

    def _listen(self, part: str, port: str, proxy: pulumi.Input[str]) -> None:
        compute.GlobalForwardingRule(
            f"{self._name}-{part}",
            name=self.plan.name(part),
            project=self.project,
            target=proxy,
            port_range=port,
            ip_address=self.address.id,
            ip_protocol="TCP",
            load_balancing_scheme="EXTERNAL_MANAGED",
            labels=self.plan.labels,
            opts=self.child,
        )


def routes(web: tuple[Manifest, ...]) -> list[tuple[str, str]]:
    """Every path and its function: exact ones first, then the longest prefix.

    Raises:
        ValueError: two functions claim one path.
    """
    found: dict[str, str] = {}
    for manifest in web:
        for path in manifest.trigger.http:
            if path in found:
                raise ValueError(f"{path}: claimed by {found[path]} and {manifest.name}")
            found[path] = manifest.name
    return sorted(found.items(), key=lambda each: (each[0].endswith("/*"), -len(each[0]), each[0]))


def _fallback(web: tuple[Manifest, ...]) -> str:
    """Who answers paths that nobody claims: the first public function, in its callers' own format."""
    return next((each.name for each in web if each.trigger.public), web[0].name)
