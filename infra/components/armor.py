"""Cloud Armor: what never reaches a function."""

import pulumi
from pulumi_gcp import compute

from components.base import Component
from stack.plan import Plan

REQUESTS_PER_MINUTE = 6_000
"""From one address. Limits per key and tenant are the gateway's, and exact; this one is for floods."""

_BAN_SECONDS = 300

# A prompt may well hold SQL, scripts or paths: bodies of the model interfaces are not the rules' business.
_NOT_MODELS = "!request.path.startsWith('/v1/')"
_SENSITIVITY = 1

OWASP = ("sqli", "xss", "lfi", "rfi", "rce", "protocolattack", "sessionfixation", "nodejs", "java")


class Armor(Component):
    """The security policy. Outside production-like environments OWASP rules only log (`preview`)."""

    def __init__(self, name: str, plan: Plan, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Armor", name, plan, opts)
        self.policy = compute.SecurityPolicy(
            name,
            name=plan.name("armor"),
            project=self.project,
            description="In front of everything that the internet reaches",
            type="CLOUD_ARMOR",
            adaptive_protection_config={"layer7_ddos_defense_config": {"enable": True}},
            advanced_options_config={"json_parsing": "STANDARD", "log_level": "NORMAL"},
            rules=[
                {
                    "priority": 100,
                    "action": "deny(404)",
                    "description": "Metrics are for the collector beside the function",
                    "match": {"expr": {"expression": "request.path == '/metrics'"}},
                },
                {
                    "priority": 200,
                    "action": "deny(403)",
                    "description": "Scanners, by what they send of themselves",
                    "match": {"expr": {"expression": _rule("scannerdetection")}},
                    "preview": not plan.figures.blocking,
                },
                *(
                    {
                        "priority": 1_000 + 10 * number,
                        "action": "deny(403)",
                        "description": f"OWASP core rule set: {group}",
                        "match": {"expr": {"expression": f"{_NOT_MODELS} && {_rule(group)}"}},
                        "preview": not plan.figures.blocking,
                    }
                    for number, group in enumerate(OWASP)
                ),
                {
                    "priority": 5_000,
                    "action": "rate_based_ban",
                    "description": "Floods from one address",
                    "match": {"versioned_expr": "SRC_IPS_V1", "config": {"src_ip_ranges": ["*"]}},
                    "rate_limit_options": {
                        "conform_action": "allow",
                        "exceed_action": "deny(429)",
                        "enforce_on_key": "IP",
                        "rate_limit_threshold": {"count": REQUESTS_PER_MINUTE, "interval_sec": 60},
                        "ban_duration_sec": _BAN_SECONDS,
                    },
                },
                {
                    "priority": 2_147_483_647,
                    "action": "allow",
                    "description": "Everything else, to functions that identify every caller themselves",
                    "match": {"versioned_expr": "SRC_IPS_V1", "config": {"src_ip_ranges": ["*"]}},
                },
            ],
            opts=self.child,
        )
        self.register_outputs({})


def _rule(group: str) -> str:
    return f"evaluatePreconfiguredWaf('{group}-v33-stable', {{'sensitivity': {_SENSITIVITY}}})"
