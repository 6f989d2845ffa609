"""What Google's refusals mean here. All are DependencyUnavailableError to whoever does not look closer."""

from typing import Any

from sluicegate.kernel.errors import DependencyUnavailableError


class GoogleError(DependencyUnavailableError):
    """A Google service did not do what it was asked. The log has the service's own words."""


class AbsentError(GoogleError):
    """There is no such thing (404, NOT_FOUND)."""


class ConflictError(GoogleError):
    """It is there already, or not as it was said to be (409, 412; ALREADY_EXISTS, FAILED_PRECONDITION)."""


class RefusedArgumentError(GoogleError):
    """The service takes no such value (400, INVALID_ARGUMENT)."""


class ForbiddenError(GoogleError):
    """This process's account may not do it (401, 403)."""


def translate(error: BaseException, service: str) -> GoogleError:
    """The error for `error`, which a client library of Google's raised.

    Its message is fit for callers: it names the service, and neither project nor account.
    """
    from google.api_core import exceptions as api  # noqa: PLC0415 - loaded already by whoever raised `error`
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    if isinstance(error, api.RetryError) and error.cause is not None:
        error = error.cause
    kinds: tuple[tuple[tuple[type[BaseException], ...], type[GoogleError], str], ...] = (
        ((api.NotFound,), AbsentError, "has no such thing"),
        (
            (api.Conflict, api.PreconditionFailed, api.FailedPrecondition),
            ConflictError,
            "is in another state",
        ),
        ((api.Unauthorized, api.Forbidden), ForbiddenError, "does not let this service's account do that"),
        ((api.BadRequest,), RefusedArgumentError, "refuses the request"),
    )
    if isinstance(error, GoogleAuthError):
        return GoogleError(
            f"{service} cannot be used: there are no Google credentials "
            "(run 'gcloud auth application-default login', or give this service an account)"
        )
    for types, kind, words in kinds:
        if isinstance(error, types):
            return kind(f"{service} {words}")
    return GoogleError(f"{service} cannot be reached", retry_after=1.0)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may go through when it is tried again at once."""
    from google.api_core import exceptions as api  # noqa: PLC0415 - see above

    kinds: tuple[Any, ...] = (
        api.ServiceUnavailable, api.DeadlineExceeded, api.GatewayTimeout, api.InternalServerError,
        api.BadGateway, api.TooManyRequests,
    )  # fmt: skip
    return isinstance(error, kinds)
