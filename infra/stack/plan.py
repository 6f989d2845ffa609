"""What every component is given: the stack's configuration, its environment's figures, its functions."""

from dataclasses import dataclass
from functools import cached_property

from sluicegate.manifest import Manifest
from stack.config import StackConfig
from stack.environments import ENVIRONMENTS, Environment

PREFIX = "sluicegate"


@dataclass(frozen=True)
class Plan:
    """One stack: what was configured, and the manifests of what is deployed in it."""

    config: StackConfig
    manifests: tuple[Manifest, ...]

    @cached_property
    def figures(self) -> Environment:
        return ENVIRONMENTS[self.config.environment]

    @property
    def deploys(self) -> bool:
        """Whether functions are deployed; otherwise only what they stand on."""
        return self.config.images is not None

    @property
    def labels(self) -> dict[str, str]:
        return {"application": PREFIX, "environment": self.config.environment, "managed-by": "pulumi"}

    @property
    def deletion_policy(self) -> str:
        """What becomes of a stateful thing that the program no longer names."""
        return "PREVENT" if self.figures.protected else "DELETE"

    def name(self, part: str) -> str:
        """The name of a thing in the project."""
        return f"{PREFIX}-{part}"

    def bucket(self, purpose: str) -> str:
        """The name of a bucket, which is unique in the world."""
        return f"{self.config.project}-{PREFIX}-{purpose}"

    def agent(self, service: str) -> str:
        """The member that is Google's own agent of `service` in this project."""
        return f"serviceAccount:service-{self.config.project_number}@{service}.iam.gserviceaccount.com"

    @property
    def services(self) -> tuple[Manifest, ...]:
        """What answers requests or messages: all but jobs."""
        return tuple(each for each in self.manifests if each.kind != "job")

    @property
    def jobs(self) -> tuple[Manifest, ...]:
        return tuple(each for each in self.manifests if each.kind == "job")

    @property
    def web(self) -> tuple[Manifest, ...]:
        """What the load balancer leads to."""
        return tuple(each for each in self.services if each.trigger.http)

    def publishes(self, manifest: Manifest) -> tuple[str, ...]:
        """The topics that a function publishes to. The role stands for the topic of events."""
        by_role = ["events"] if "roles/pubsub.publisher" in manifest.identity.roles else []
        # What it could not handle, and what it lets go of, it publishes anew.
        return tuple(sorted({*manifest.access.publishes, *by_role, *manifest.trigger.pulls.values()}))

    def named(self, function: str) -> Manifest:
        """The manifest of `function`.

        Raises:
            KeyError: there is none.
        """
        return next((each for each in self.manifests if each.name == function), None) or _unknown(function)


def _unknown(function: str) -> Manifest:
    raise KeyError(function)
