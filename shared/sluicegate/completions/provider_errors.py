"""What a provider's error answer means to the caller of the gateway.

Both dialects put a `message` and a `type` into an `error` object. The provider's words reach the
caller only where the caller can act on them; what concerns the gateway's own account with the
provider (its key, its quota) does not.
"""

import re
from typing import Any

import orjson

from sluicegate.kernel.errors import (
    InvalidRequestError,
    OverloadedError,
    PayloadTooLargeError,
    RateLimitedError,
    SluicegateError,
    UpstreamError,
    UpstreamTimeoutError,
)

_MESSAGE_LIMIT = 2_000
_ACCOUNT = "The provider refused the gateway's account; its operator has to mend that."
_REMOVED = "[credential]"
_QUOTA_WORDS = frozenset({"insufficient_quota", "billing_error", "billing_hard_limit_reached"})
# What looks like a credential. Providers quote the one they were sent, and that is the gateway's own.
_CREDENTIAL = re.compile(r"(?:\b(?:[gpr]?sk|pk|key|ya29|xai|hf|nvapi|pplx|Bearer)[-_. ]|AIza)[\w*.-]{8,}")
# Events in a stream have no status; their type, or OpenAI's code, stands for one.
_STATUS_BY_WORD = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
    "rate_limit_exceeded": 429,
    "context_length_exceeded": 400,
    "server_is_overloaded": 503,
}


def provider_error(status: int, body: bytes) -> SluicegateError:
    """The error of ours that the provider's answer `body` with HTTP `status` amounts to."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    return _error(status, answer)


def stream_failure(answer: Any) -> SluicegateError:
    """The error of ours that an error event inside a stream (parsed) amounts to."""
    error = answer.get("error") if isinstance(answer, dict) else None
    status = 0
    if isinstance(error, dict):
        code = error.get("code")
        known = (_STATUS_BY_WORD.get(str(word), 0) for word in (code, error.get("type")))
        status = code if type(code) is int else next(filter(None, known), 0)
    return _error(status or 500, answer)


def may_pass(event: bytes, failure: SluicegateError) -> bool:
    """Whether a provider's error event, which amounts to `failure`, may go to the caller as it came."""
    if failure.message == _ACCOUNT or _REMOVED in failure.message:
        return False
    return _CREDENTIAL.search(event.decode("utf-8", "replace")) is None


def _error(status: int, answer: Any) -> SluicegateError:
    message, words = _words(answer)
    said = f": {message}" if message else "."
    if words & _QUOTA_WORDS or status in (401, 402, 403, 407):
        return UpstreamError(_ACCOUNT)
    if status in (400, 422):
        return InvalidRequestError(f"The provider refused the request{said}")
    if status == 413:
        return PayloadTooLargeError(f"The provider found the request too large{said}")
    if status == 429:
        return RateLimitedError(f"The provider's rate limit is reached{said}")
    if status in (503, 529):
        return OverloadedError(f"The provider is overloaded{said}")
    if status in (408, 504):
        return UpstreamTimeoutError(f"The provider did not answer in time{said}")
    return UpstreamError(f"The provider failed with status {status}{said}")


def _words(answer: Any) -> tuple[str, set[str]]:
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    if isinstance(error, str):
        return _printable(error), set()
    if not isinstance(error, dict):
        return "", set()
    message = error.get("message")
    words = {error[name] for name in ("type", "code") if isinstance(error.get(name), str)}
    return (_printable(message) if isinstance(message, str) else ""), words


def _printable(message: str) -> str:
    """`message`, bounded, and without anything that looks like a credential."""
    return _CREDENTIAL.sub(_REMOVED, message[:_MESSAGE_LIMIT])
