"""Answers that no handler gave: refused requests and failed handlers, as problem details (RFC 9457)."""

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from sluicegate.kernel.errors import SluicegateError
from sluicegate.web.exchange import Exchange, Headers
from sluicegate.web.server.heads import reason

Handler = Callable[[Exchange], Awaitable[None]]

PROBLEM_HEADERS: Headers = [(b"content-type", b"application/problem+json")]


class RefusedError(Exception):
    """A request that never reaches a handler; the connection closes after the answer.

    Args:
        status: the HTTP status.
        code: the stable machine-readable word.
        detail: one sentence for whoever wrote the client.
    """

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


def problem(status: int, code: str, detail: str) -> bytes:
    """A problem details document.

    Its extension member `error` is where OpenAI's and Anthropic's clients look: nobody knows yet which
    protocol a request speaks that could not be read.
    """
    kind = "api_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    members = {
        "type": "about:blank",
        "title": reason(status),
        "status": status,
        "code": code,
        "detail": detail,
        "error": {"message": detail, "type": kind, "param": None, "code": code},
    }
    return json.dumps(members).encode()


def escaped(error: BaseException) -> tuple[int, bytes]:
    """Status and body for an exception that a handler let escape.

    Sluicegate's own errors keep their status and message; of any other nothing is shown.
    """
    if isinstance(error, SluicegateError):
        return error.status, problem(error.status, error.code, error.message)
    return 500, problem(500, "internal_error", "The server failed to handle this request.")
