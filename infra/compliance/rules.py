"""All rules, each under the name it is reported by."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from compliance import exposure_rules, identity_rules, keeping_rules
from compliance.declared import Stack

Rule = Callable[[Stack], Iterator[str]]

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        name.replace("_", "-"): getattr(module, name)
        for module, names in (
            (
                identity_rules,
                (
                    "no_basic_roles", "project_wide_grants_are_listed", "custom_roles_are_narrow",
                    "document_grants_have_a_condition", "no_keys", "nobody_is_everybody",
                    "every_function_is_itself", "grants_are_those_of_the_manifests",
                    "mounted_secrets_are_readable",
                ),
            ),
            (
                exposure_rules,
                (
                    "functions_are_behind_the_balancer", "buckets_are_private", "firewall_denies",
                    "networks_are_our_own", "only_one_subnetwork_reaches_the_internet",
                    "transport_is_encrypted", "everything_public_has_armor", "no_secret_in_the_open",
                    "messages_are_authenticated", "images_are_pinned",
                ),
            ),
            (
                keeping_rules,
                (
                    "stores_have_our_keys", "keys_rotate", "api_keys_are_due", "logs_are_kept",
                    "reads_are_audited", "state_is_protected", "documents_can_be_restored",
                    "redis_forgets_nothing", "things_are_labelled", "alerts_say_what_to_do",
                ),
            ),
        )
        for name in names
    }
)  # fmt: skip


def violations(stack: Stack) -> list[tuple[str, str]]:
    """Every broken rule and what breaks it."""
    return [(name, found) for name, rule in RULES.items() for found in rule(stack)]
