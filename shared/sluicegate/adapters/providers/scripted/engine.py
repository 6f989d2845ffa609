"""The scripted model's engine: a request in, a performance out. Serves both the provider and the server."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count

import orjson

from sluicegate.adapters.providers.scripted import anthropic_wire, embeddings, openai_wire
from sluicegate.adapters.providers.scripted.directives import Directives, Failure, FaultKind
from sluicegate.adapters.providers.scripted.production import Production
from sluicegate.adapters.providers.scripted.prompt import Prompt, read_object, read_prompt
from sluicegate.adapters.providers.scripted.script import Figures, Script, write_script
from sluicegate.adapters.providers.scripted.steps import Step, gathered, staged, whole
from sluicegate.completions.types import Headers
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Dialect

MODELS = ("scripted-small", "scripted-large", "scripted-embed")
MAX_REMEMBERED_FAILURES = 4_096

JSON_TYPE = (b"content-type", b"application/json")
EVENT_STREAM_TYPE = (b"content-type", b"text/event-stream; charset=utf-8")

_OPENAI_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}
_ANTHROPIC_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@dataclass(slots=True)
class Performance:
    """An answer about to be given.

    Wait `wait_s` seconds, send the head, then do the steps. `length` is the body's size where it is
    known before (a whole answer), None for a stream. Whoever performs it reports to the production:
    `begun` with the head, `wrote` with each step, `ended` once.
    """

    status: int
    headers: Headers
    wait_s: float
    length: int | None
    steps: Iterator[Step]
    model: str
    figures: Figures
    production: Production
    _running: bool = field(default=False)

    def begun(self) -> None:
        if self.status == 200:
            self._running = True
            self.production.begun(self.model, self.figures)
        else:
            self.production.failed(self.model)

    def wrote(self, tokens: int) -> None:
        if tokens:
            self.production.wrote(self.model, tokens)

    def ended(self, *, complete: bool) -> None:
        """Report the end; only the first report counts."""
        if self._running and not complete:
            self.production.aborted(self.model)
        self._running = False


class ScriptedEngine:
    """Derives performances. Its only state: which prompts are to fail how often yet, and the totals.

    Args:
        wall_clock: seconds since the epoch, for the `created` of answers.
    """

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self.production = Production()
        self._wall_clock = wall_clock
        self._numbers = count(1)
        self._failed: OrderedDict[bytes, int] = OrderedDict()

    def perform(self, dialect: Dialect, raw: bytes) -> Performance:
        """The answer to the request `raw`; a wrong request is answered with an error, never raised."""
        try:
            if dialect is Dialect.OPENAI_EMBEDDINGS:
                return self._embed(raw)
            return self._chat(dialect, raw)
        except InvalidRequestError as error:
            return self.refusal(dialect, 400, error.message, param=error.param)
        except orjson.JSONEncodeError:
            return self.refusal(dialect, 400, "a schema or a tool's input is nested too deep")

    def count(self, raw: bytes) -> Performance:
        """The answer to an Anthropic `count_tokens` request: what the prompt would be charged as."""
        try:
            # A request to count says no `max_tokens`, which a message must.
            raw = orjson.dumps({"max_tokens": 1, **read_object(raw)})
            words = read_prompt(Dialect.ANTHROPIC_MESSAGES, raw).words
        except InvalidRequestError as error:
            return self.refusal(Dialect.ANTHROPIC_MESSAGES, 400, error.message, param=error.param)
        body = orjson.dumps({"input_tokens": words})
        # Nothing is produced, so the totals are not to change.
        steps = iter((Step(0.0, body, 0),))
        return Performance(200, [JSON_TYPE], 0.0, len(body), steps, "", Figures(0, 0, 0, 0, 0), Production())

    def refusal(
        self,
        dialect: Dialect,
        status: int,
        message: str,
        *,
        param: str | None = None,
        retry_after: int | None = None,
        model: str = "",
        wait_s: float = 0.0,
    ) -> Performance:
        """An error answer in the dialect's own shape."""
        body = error_body(dialect, status, message, param, self._identifier("req_"))
        headers: Headers = [JSON_TYPE]
        if retry_after is not None:
            headers.append((b"retry-after", b"%d" % retry_after))
        steps = iter((Step(0.0, body, 0),))
        return self._performance(status, headers, wait_s, len(body), steps, model, Figures(0, 0, 0, 0, 0))

    def _chat(self, dialect: Dialect, raw: bytes) -> Performance:
        prompt = read_prompt(dialect, raw)
        directives = prompt.directives
        failure = directives.failure
        if failure is not None and self._fails(failure, prompt.model, directives):
            return self._failure(dialect, failure, prompt.model, directives)
        script = write_script(prompt)
        if directives.fault is not None and directives.fault.kind is FaultKind.ERROR and not prompt.stream:
            return self._failure(dialect, Failure(500), prompt.model, directives)
        if prompt.stream:
            return self._streamed(dialect, prompt, script)
        if dialect is Dialect.ANTHROPIC_MESSAGES:
            body = anthropic_wire.whole_answer(prompt, script, self._identifier("msg_"))
        else:
            created = int(self._wall_clock())
            body = openai_wire.whole_answer(prompt, script, self._identifier("chatcmpl-"), created)
        return self._whole(body, prompt.model, script.figures, directives)

    def _embed(self, raw: bytes) -> Performance:
        request = embeddings.read_embeddings(raw)
        directives = request.directives
        failure = directives.failure
        if failure is not None and self._fails(failure, request.model, directives):
            return self._failure(Dialect.OPENAI_EMBEDDINGS, failure, request.model, directives)
        body = embeddings.answer(request, request.words + (5 if directives.wrong_usage else 0))
        return self._whole(body, request.model, Figures(request.words, 0, 0, 0, 0), directives)

    def _whole(self, body: bytes, model: str, figures: Figures, directives: Directives) -> Performance:
        if directives.fault is not None and directives.fault.kind is FaultKind.GARBAGE:
            body = body[: len(body) // 2] + b"\x00\xff}"
        steps = whole(body, figures.output, directives)
        return self._performance(200, [JSON_TYPE], directives.first_s, len(body), steps, model, figures)

    def _streamed(self, dialect: Dialect, prompt: Prompt, script: Script) -> Performance:
        directives = prompt.directives
        if dialect is Dialect.ANTHROPIC_MESSAGES:
            pieces = anthropic_wire.stream(prompt, script, self._identifier("msg_"))
        else:
            created = int(self._wall_clock())
            pieces = openai_wire.stream(prompt, script, self._identifier("chatcmpl-"), created)
        steps = gathered(staged(pieces, directives, self._error_event(dialect)))
        return self._performance(
            200, [EVENT_STREAM_TYPE], directives.first_s, None, steps, prompt.model, script.figures
        )

    def _performance(
        self,
        status: int,
        headers: Headers,
        wait_s: float,
        length: int | None,
        steps: Iterator[Step],
        model: str,
        figures: Figures,
    ) -> Performance:
        return Performance(status, headers, wait_s, length, steps, model, figures, self.production)

    def _failure(self, dialect: Dialect, failure: Failure, model: str, directives: Directives) -> Performance:
        return self.refusal(
            dialect,
            failure.status,
            f"status {failure.status} was asked for",
            retry_after=failure.retry_after,
            model=model,
            wait_s=directives.first_s,
        )

    def _error_event(self, dialect: Dialect) -> bytes:
        body = error_body(dialect, 503, "this failure was asked for", None, self._identifier("req_"))
        if dialect is Dialect.ANTHROPIC_MESSAGES:
            return b"event: error\ndata: " + body + b"\n\n"
        return b"data: " + body + b"\n\n"

    def _fails(self, failure: Failure, model: str, directives: Directives) -> bool:
        if failure.model is not None and failure.model != model:
            return False
        if failure.times is None:
            return True
        identity = f"{failure}\0{directives.text}".encode("utf-8", "surrogatepass")
        key = blake2b(identity, digest_size=16).digest()
        so_far = self._failed.pop(key, 0)
        self._failed[key] = so_far + 1
        if len(self._failed) > MAX_REMEMBERED_FAILURES:
            self._failed.popitem(last=False)
        return so_far < failure.times

    def _identifier(self, prefix: str) -> str:
        return f"{prefix}scripted{next(self._numbers):08x}"


def error_body(dialect: Dialect, status: int, message: str, param: str | None, request_id: str) -> bytes:
    """The dialect's error object."""
    if dialect is Dialect.ANTHROPIC_MESSAGES:
        kind = _ANTHROPIC_KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
        error = {"type": kind, "message": message}
        return orjson.dumps({"type": "error", "error": error, "request_id": request_id})
    kind = _OPENAI_KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": None}})
