"""From what the policy engine hands over to what rules look at. Without the engine: tests run this, too."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compliance.declared import Stack
from compliance.rules import RULES, Rule
from sluicegate.manifest import read_manifests

Given = tuple[str, str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Handed:
    """One resource as the engine has it."""

    type: str
    name: str
    inputs: Mapping[str, Any]


def environment_of(declared: Iterable[Given]) -> str:
    """The environment that the resources' own labels name; the strictest if none does."""
    for _, _, inputs in declared:
        environment = (inputs.get("labels") or {}).get("environment")
        if isinstance(environment, str):
            return environment
    return "production"


def stack_of(declared: Iterable[Given], environment: str, functions: Path) -> Stack:
    """The stack that the rules are asked about."""
    resources = tuple(Handed(kind, name, _plain(inputs)) for kind, name, inputs in declared)
    return Stack(environment, resources, read_manifests(functions))


def _plain(value: Any) -> Any:
    """The engine hands over wrappers that look like maps and lists and are not equal to any."""
    if hasattr(value, "items"):
        return {key: _plain(each) for key, each in value.items()}
    if hasattr(value, "__iter__") and not isinstance(value, str | bytes):
        return [_plain(each) for each in value]
    return value


def named_rules() -> Mapping[str, Rule]:
    """All rules by name."""
    return RULES
