"""How events are delivered (`events.yaml`)."""

from pydantic import Field, model_validator

from sluicegate.kernel.policy_files import PolicyModel


class RetryPolicy(PolicyModel):
    """When a failed event is tried again: after `first_s`, then twice as long each time, up to `longest_s`.

    Each delay is drawn from its upper half, so that those which failed together do not return together.
    """

    attempts: int = Field(5, ge=1, le=100)
    first_s: float = Field(1.0, gt=0, le=3_600)
    longest_s: float = Field(300.0, gt=0, le=86_400)

    @model_validator(mode="after")
    def _in_order(self) -> "RetryPolicy":
        if self.longest_s < self.first_s:
            raise ValueError("longest_s must not be below first_s")
        return self

    def delay_s(self, attempt: int, chance: float) -> float:
        """Seconds until the try after `attempt` (from 1); `chance` is within [0, 1)."""
        # The exponent is bounded: 2.0**1100 is no float.
        whole = min(self.first_s * 2.0 ** min(attempt - 1, 64), self.longest_s)
        return whole * (0.5 + chance / 2)


class DeliveryPolicy(PolicyModel):
    """The whole of `events.yaml`.

    `batch` events are handled at once, each within `lease_s`; those that wait in the outbox unconfirmed for
    `stale_s` are told to the bus again.
    """

    retry: RetryPolicy = RetryPolicy()
    batch: int = Field(500, ge=1, le=10_000)
    lease_s: float = Field(60.0, ge=1, le=600)
    stale_s: float = Field(15.0, ge=1, le=3_600)
