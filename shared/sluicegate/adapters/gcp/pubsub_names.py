"""What topics and subscriptions are called; infra/components/delivery.py makes them so."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PubSubNames:
    """Full resource names.

    Args:
        prefix: of everything that is this installation's in the project.
    """

    project: str
    prefix: str = "sluicegate"

    @property
    def topic(self) -> str:
        """Where all events are told."""
        return self.named_topic("events")

    def named_topic(self, name: str) -> str:
        return f"projects/{self.project}/topics/{self.prefix}-{name}"

    def subscription(self, group: str) -> str:
        """From which the group's consumers pull."""
        return self._subscription(f"{group}-pull")

    def dead_topic(self, group: str) -> str:
        return self.named_topic(f"{group}-dead")

    def kept(self, group: str) -> str:
        """Where the group's dead letters lie."""
        return self._subscription(f"{group}-kept")

    def group(self, subscription: str) -> str | None:
        """The group whose subscription it is; None for others."""
        start, end = self._subscription(""), "-pull"
        if subscription.startswith(start) and subscription.endswith(end):
            return subscription[len(start) : -len(end)]
        return None

    def _subscription(self, name: str) -> str:
        return f"projects/{self.project}/subscriptions/{self.prefix}-{name}"
