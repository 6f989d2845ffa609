"""The errors a caller can meet. Each is raised near its rule and mapped to a wire format at the edge.

`status` is the HTTP status, `code` the stable machine-readable word, `kind` OpenAI's `error.type`.
Messages are shown to callers: they never carry a secret or another tenant's data.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class SluicegateError(Exception):
    """Root of all errors that Sluicegate raises on purpose.

    Args:
        message: one sentence for the caller that says what is wrong and how to mend it.
        param: the request field at fault, in the caller's own dialect (`messages.0.content`).
        retry_after: seconds after which the same request may succeed; None where it never will.
        details: extra machine-readable facts, JSON-serialisable, safe to show to the caller.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    kind: ClassVar[str] = "api_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.details: Mapping[str, Any] = details or {}


class InvalidRequestError(SluicegateError):
    """The request cannot be understood or asks for something impossible."""

    status = 400
    code = "invalid_request"
    kind = "invalid_request_error"


class AuthenticationError(SluicegateError):
    """The caller is unknown: no credential, a wrong one, an expired or a revoked one."""

    status = 401
    code = "invalid_api_key"
    kind = "authentication_error"


class BudgetExceededError(SluicegateError):
    """A budget cannot pay even the smallest answer to this request. Details: scope, period, limit."""

    status = 402
    code = "budget_exceeded"
    kind = "insufficient_quota"


class PermissionDeniedError(SluicegateError):
    """The caller is known but may not do this."""

    status = 403
    code = "permission_denied"
    kind = "permission_error"


class NotFoundError(SluicegateError):
    """No such thing, or not one of this tenant's: the two are never told apart."""

    status = 404
    code = "not_found"
    kind = "invalid_request_error"


class ModelNotFoundError(NotFoundError):
    """The model is neither in the catalogue nor an alias."""

    code = "model_not_found"


class MethodNotAllowedError(SluicegateError):
    """The path exists, the method on it does not."""

    status = 405
    code = "method_not_allowed"
    kind = "invalid_request_error"


class RequestTimeoutError(SluicegateError):
    """The caller did not send its request in time."""

    status = 408
    code = "request_timeout"
    kind = "invalid_request_error"


class IdempotencyConflictError(SluicegateError):
    """The idempotency key was used with another body."""

    status = 409
    code = "idempotency_conflict"
    kind = "invalid_request_error"


class PayloadTooLargeError(SluicegateError):
    """The body is larger than the limit."""

    status = 413
    code = "request_too_large"
    kind = "invalid_request_error"


class RateLimitedError(SluicegateError):
    """A rate, token or concurrency limit is reached. Details: scope, limit, period."""

    status = 429
    code = "rate_limit_exceeded"
    kind = "rate_limit_error"


class BudgetContendedError(RateLimitedError):
    """The budget could pay, but requests under way hold it just now: try again shortly."""

    code = "budget_contended"


class UpstreamError(SluicegateError):
    """The provider failed, after every retry and fallback allowed."""

    status = 502
    code = "upstream_error"
    kind = "api_error"


class OverloadedError(SluicegateError):
    """No capacity now: all candidates unhealthy, or this instance is at its limit."""

    status = 503
    code = "overloaded"
    kind = "overloaded_error"


class DependencyUnavailableError(SluicegateError):
    """A dependency (Redis, the ledger) is away and policy says to stay closed."""

    status = 503
    code = "dependency_unavailable"
    kind = "api_error"


class UpstreamTimeoutError(SluicegateError):
    """The provider did not answer within the deadline."""

    status = 504
    code = "upstream_timeout"
    kind = "timeout_error"


class ConfigurationError(SluicegateError):
    """Settings or policy files are wrong. Raised at start, with file, line and remedy."""

    code = "configuration_error"
