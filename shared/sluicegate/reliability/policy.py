"""`policies/alerts.yaml`: thresholds, objectives and burn rates, as data for Cloud Monitoring's alerts.

Queries are PromQL. `sluicegate_…` are the functions' own metrics (docs/operations.md); names with a colon are
Google Cloud's, as Managed Prometheus spells them.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sluicegate.kernel.policy_files import PolicyModel, PolicySet

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,60}$")]
Window = Annotated[str, Field(pattern=r"^[1-9][0-9]*[mhd]$")]
Severity = Literal["warning", "error", "critical"]
Channel = Literal["email", "slack", "playbook"]

_MINUTES = {"m": 1, "h": 60, "d": 1_440}


class Alert(PolicyModel):
    """One threshold.

    `above` or `below`, in `unit`, held for `for_s` seconds. `each: service` makes one of it per deployed
    service, with `{service}` and `{most}` (its most instances) filled in. `awaits` says who will write the
    metric, where nobody does yet. `source`: the requirement that asks for it.
    """

    name: Name
    title: str = Field(min_length=5, max_length=100)
    why: str = Field(min_length=10)
    severity: Severity
    query: str = Field(min_length=5)
    above: float | None = None
    below: float | None = None
    unit: str
    for_s: int = Field(ge=0, le=86_400)
    each: Literal["service"] | None = None
    playbook: Name
    notify: tuple[Channel, ...] = Field(min_length=1)
    source: str
    awaits: str | None = None

    @property
    def limit(self) -> float:
        """The threshold, whichever side it is on."""
        return self.above if self.above is not None else self.below or 0.0

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError(f"{self.name}: give exactly one of above and below")
        if self.for_s % 30:
            raise ValueError(f"{self.name}: for_s must be whole half minutes, as often as it is looked at")
        if self.each is None and ("{service}" in self.query or "{most}" in self.query):
            raise ValueError(f"{self.name}: {{service}} and {{most}} need each: service")
        return self


class Objective(PolicyModel):
    """A service level objective over 30 days: `percent` of `total` are `good`.

    `good` and `total` are queries of counters with `{window}` where the range goes.
    """

    name: Name
    title: str
    why: str
    percent: float = Field(gt=0, lt=100)
    good: str
    total: str
    playbook: Name
    source: str
    awaits: str | None = None

    @model_validator(mode="after")
    def _windows(self) -> Self:
        if "{window}" not in self.good or "{window}" not in self.total:
            raise ValueError(f"{self.name}: good and total need {{window}} where the range goes")
        return self

    def ratio(self, window: str) -> str:
        """The share of good ones over `window`."""
        good, total = (each.replace("{window}", window) for each in (self.good, self.total))
        return f"({good}) / ({total})"


class BurnRate(PolicyModel):
    """How many times too fast an error budget may burn, over a long and at once a short window."""

    long: Window
    short: Window
    factor: float = Field(gt=0)
    severity: Severity
    notify: tuple[Channel, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _shorter(self) -> Self:
        if _minutes(self.short) >= _minutes(self.long):
            raise ValueError(f"{self.short} must be shorter than {self.long}")
        return self


class AlertPolicy(PolicyModel):
    """All of alerts.yaml."""

    alerts: tuple[Alert, ...]
    objectives: tuple[Objective, ...]
    burn_rates: tuple[BurnRate, ...]

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        names = [*(each.name for each in self.alerts), *(each.name for each in self.objectives)]
        twice = sorted({each for each in names if names.count(each) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)}: names must be unique")
        return self


def load_alerts(policies: PolicySet) -> AlertPolicy:
    """The alerts in force.

    Raises:
        ConfigurationError: the file is wrong; names line, field and remedy.
    """
    return policies.load("alerts", AlertPolicy)


def _minutes(window: str) -> int:
    return int(window[:-1]) * _MINUTES[window[-1]]
