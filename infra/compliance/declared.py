"""What rules look at: resources as declared, and what the stack is meant to be."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sluicegate.manifest import Manifest


class Declared(Protocol):
    """One resource."""

    @property
    def type(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Stack:
    """All resources of a stack, its environment, and its functions' manifests."""

    environment: str
    resources: tuple[Declared, ...]
    manifests: tuple[Manifest, ...]

    @property
    def protected(self) -> bool:
        return self.environment != "dev"

    def of(self, *kinds: str) -> Iterator[Declared]:
        """The resources whose type is one of `kinds`, as in `storage/bucket:Bucket`."""
        wanted = {f"gcp:{kind}" for kind in kinds}
        return (each for each in self.resources if each.type in wanted)


def members(resource: Declared) -> list[str]:
    """Whom a grant is for; empty if the resource is no grant."""
    found = resource.inputs.get("members") or [resource.inputs.get("member")]
    return [each for each in found if isinstance(each, str)]


def grants(resources: Iterable[Declared]) -> Iterator[Declared]:
    """Those resources that grant something."""
    return (each for each in resources if members(each))


def at(inputs: Any, path: str) -> Any:
    """What lies at `path` (`template.containers`); None if nothing does."""
    for step in path.split("."):
        if not isinstance(inputs, Mapping):
            return None
        inputs = inputs.get(step)
    return inputs


def containers(resource: Declared) -> list[Mapping[str, Any]]:
    """The containers of a service or a job."""
    found = at(resource.inputs, "template.containers") or at(resource.inputs, "template.template.containers")
    return list(found or [])
