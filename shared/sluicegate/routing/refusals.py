"""Which error a caller gets when no model is left: decided by the tests at which they fell."""

from collections.abc import Sequence

from sluicegate.kernel.errors import (
    BudgetExceededError,
    InvalidRequestError,
    OverloadedError,
    PermissionDeniedError,
    SluicegateError,
)
from sluicegate.kernel.money import usd
from sluicegate.routing.types import Rejection, RouteQuery

_MAX_LISTED = 3


def refusal(
    query: RouteQuery, rejections: Sequence[Rejection], retry_after_s: float | None
) -> SluicegateError:
    """The error for a plan without candidates.

    A passing obstacle (health, readiness) comes first, because the same request may succeed later; then the
    cost ceiling; then what the request asks of the model; permission only when nothing else stood in the way.
    """
    tests = {rejection.test for rejection in rejections}
    listed = [r for r in rejections if r.test != "allowed"][:_MAX_LISTED]
    reasons = "; ".join(f"{r.model}: {r.reason}" for r in listed)
    details = {"rejected": [{"model": r.model, "test": r.test, "reason": r.reason} for r in listed]}
    model = query.model[:128]
    if tests & {"health", "ready"}:
        return OverloadedError(
            f"no model for {model!r} can be used just now ({reasons})",
            retry_after=retry_after_s or 5.0,
            details=details,
        )
    if "cost" in tests:
        ceiling = usd(query.max_cost_nano or 0)
        return BudgetExceededError(
            f"no model for {model!r} answers within the request's ceiling of {ceiling} USD ({reasons})",
            details={"scope": "request", "period": "request", "limit": ceiling, **details},
        )
    if tests <= {"allowed"}:
        return PermissionDeniedError(f"this key may not use the model {model!r}", param="model")
    return InvalidRequestError(
        f"no model for {model!r} fits this request ({reasons})", param="model", details=details
    )
