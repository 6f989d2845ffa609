"""The only place that chooses adapters: one function per deployable."""

from sluicegate.wiring.gateway import gateway, serve

__all__ = ["gateway", "serve"]
