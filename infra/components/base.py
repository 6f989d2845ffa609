"""What all components share: a parent, a plan, and how things that hold state are declared."""

from typing import Any

import pulumi

from stack.plan import Plan


class Component(pulumi.ComponentResource):
    """A part of the stack. What it declares are its children.

    Args:
        kind: of component, for Pulumi's own listing.
        name: of this one in the stack.
        plan: the stack's.
    """

    def __init__(self, kind: str, name: str, plan: Plan, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"sluicegate:infra:{kind}", name, None, opts)
        self.plan = plan
        self.project = plan.config.project
        self.region = plan.config.region
        # Children do not wait for what their component waits for, unless they are told to.
        self._awaited = _listed(None if opts is None else opts.depends_on)
        self.child = pulumi.ResourceOptions(parent=self, depends_on=self._awaited)

    def after(self, *resources: pulumi.Resource, ignore: tuple[str, ...] = ()) -> pulumi.ResourceOptions:
        """Options of a child made when `resources` are; changes outside to `ignore` are left alone."""
        return pulumi.ResourceOptions(
            parent=self, depends_on=[*self._awaited, *resources], ignore_changes=list(ignore) or None
        )

    def stateful(self, *resources: pulumi.Resource, ignore: tuple[str, ...] = ()) -> pulumi.ResourceOptions:
        """Options of a child that holds what cannot be made again: Pulumi refuses to delete it, too."""
        return pulumi.ResourceOptions(
            parent=self,
            depends_on=[*self._awaited, *resources],
            protect=self.plan.figures.protected,
            ignore_changes=list(ignore) or None,
        )


def _listed(awaited: Any) -> list[pulumi.Resource]:
    if awaited is None:
        return []
    return [awaited] if isinstance(awaited, pulumi.Resource) else list(awaited)
