"""Limits that an operator sets at run time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BudgetOverride:
    """A limit set by an operator at run time (`sluicegate budget set`); it replaces the policy's.

    `scope` and `name` as in policy (`workspace`, `growth`); `period` one of hour, day, month, total;
    `limit_nano` None takes the override back.
    """

    scope: str
    name: str
    period: str
    limit_nano: int | None
