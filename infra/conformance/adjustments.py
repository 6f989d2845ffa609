"""The few inputs whose values, not only names, the provider turns into something else."""

import base64
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

Adjustment = Callable[[dict[str, Any]], dict[str, Any]]

SECRET = "secret"  # noqa: S105 - what Pulumi's wire calls a secret's content


def adjust(token: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """`inputs` with those values as the API has them."""
    made = dict(_revealed(inputs))
    return ADJUSTMENTS[token](made) if token in ADJUSTMENTS else made


def _revealed(value: Any) -> Any:
    """`value` with what Pulumi marks as secret in its place."""
    if isinstance(value, Mapping):
        if "4dabf18193072939515e22adb298388d" in value:
            return _revealed(value.get("value"))
        return {key: _revealed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_revealed(each) for each in value]
    return value


def _secret_version(inputs: dict[str, Any]) -> dict[str, Any]:
    return inputs | {"secretData": base64.b64encode(str(inputs["secretData"]).encode()).decode()}


def _pubsub_subscription(inputs: dict[str, Any]) -> dict[str, Any]:
    """An empty time to live means none: the provider leaves it out."""
    policy = dict(inputs.get("expirationPolicy", {}))
    if policy.get("ttl") == "":
        policy.pop("ttl")
    return inputs | {"expirationPolicy": policy}


def _bucket(inputs: dict[str, Any]) -> dict[str, Any]:
    rules = []
    for rule in inputs.get("lifecycleRules", []):
        condition = dict(rule["condition"])
        if "withState" in condition:
            condition["withState"] = {"LIVE": True, "ARCHIVED": False}[condition["withState"]]
        rules.append({**rule, "condition": condition})
    return inputs | {"lifecycleRules": rules}


def _repository(inputs: dict[str, Any]) -> dict[str, Any]:
    """Policies are a map by their id in the API."""
    policies = {each["id"]: dict(each) for each in inputs.get("cleanupPolicies", [])}
    return inputs | {"cleanupPolicies": policies}


def _channel(inputs: dict[str, Any]) -> dict[str, Any]:
    """What is sensitive goes among the other labels."""
    sensitive = {"authToken": "auth_token", "serviceKey": "service_key", "password": "password"}
    found = {sensitive[key]: value for key, value in inputs.pop("sensitiveLabels", {}).items()}
    return inputs | {"labels": {**inputs.get("labels", {}), **found}}


def _sampling(inputs: dict[str, Any]) -> dict[str, Any]:
    """Naming a log configuration switches it on."""
    return (
        inputs | {"logConfig": {"enable": True, **inputs["logConfig"]}} if "logConfig" in inputs else inputs
    )


def _field(inputs: dict[str, Any]) -> dict[str, Any]:
    """A single-field index's one field is the field itself."""
    config = dict(inputs.get("indexConfig", {}))
    if "indexes" in config:
        config["indexes"] = [
            {
                **{key: each[key] for key in each if key == "queryScope"},
                "fields": [{key: each[key] for key in each if key != "queryScope"}],
            }
            for each in config["indexes"]
        ]
    return {**inputs, "indexConfig": config} if "indexConfig" in inputs else inputs


ADJUSTMENTS: Mapping[str, Adjustment] = MappingProxyType(
    {
        "gcp:secretmanager/secretVersion:SecretVersion": _secret_version,
        "gcp:pubsub/subscription:Subscription": _pubsub_subscription,
        "gcp:firestore/field:Field": _field,
        "gcp:storage/bucket:Bucket": _bucket,
        "gcp:artifactregistry/repository:Repository": _repository,
        "gcp:monitoring/notificationChannel:NotificationChannel": _channel,
        "gcp:compute/firewall:Firewall": _sampling,
        "gcp:compute/subnetwork:Subnetwork": _sampling,
    }
)
