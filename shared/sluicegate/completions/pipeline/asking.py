"""Asking: one candidate after another until one answers, with retries before the first byte."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import orjson

from sluicegate.completions.pipeline.completion import Completion
from sluicegate.completions.provider_errors import provider_error
from sluicegate.completions.types import (
    Codec,
    Json,
    Provider,
    StreamMeter,
    Translator,
    UpstreamCall,
    UpstreamFailure,
    UpstreamReply,
)
from sluicegate.kernel.errors import (
    OverloadedError,
    RateLimitedError,
    SluicegateError,
    UpstreamError,
    UpstreamTimeoutError,
)
from sluicegate.kernel.models import Dialect
from sluicegate.kernel.telemetry.metrics import TALLIES
from sluicegate.routing.model_health import Trial
from sluicegate.routing.retry import (
    AttemptState,
    FailureKind,
    Fallback,
    GiveUp,
    Outcome,
    Retry,
    RetryBudget,
    next_step,
)
from sluicegate.routing.service import Router

log = logging.getLogger(__name__)

MAX_RETRY_AFTER_S = 3_600.0
_CLIENTS_FAULT = frozenset({400, 413, 422})
_RESTING = "the model has failed repeatedly and is left alone for a moment"


@dataclass(slots=True)
class Whole:
    """A whole answer in the client's dialect, as bytes and parsed."""

    body: bytes
    parsed: Json


@dataclass(slots=True)
class Opened:
    """A stream whose first bytes have come. `first` are the bytes to forward already."""

    reply: UpstreamReply
    chunks: AsyncIterator[bytes]
    meter: StreamMeter
    first: bytes


class AttemptFailedError(Exception):
    """One try failed before anything went to the client. `error` is what to tell it in the end."""

    def __init__(self, outcome: Outcome, error: SluicegateError) -> None:
        super().__init__(error.message)
        self.outcome = outcome
        self.error = error


class FallBackError(Exception):
    """The present candidate is given up for the next. `error` is what to say if there is none."""

    def __init__(self, error: SluicegateError) -> None:
        super().__init__(error.message)
        self.error = error


class OutboundLimits(Protocol):
    """What providers allow us: requests and tokens per minute, all instances together."""

    async def take(self, provider: str, tokens: int) -> float:
        """Take one request with about `tokens` tokens. Seconds to wait before asking again; 0.0: taken."""
        ...


class Asker:
    """Asks the candidates of a completion's plan.

    Args:
        providers: by the name that the catalogue gives them.
        codecs: by dialect, to prepare bodies.
        translator: the translator from a client's dialect to a provider's.
        outbound: asked before each try; None where no provider is limited.
        change_model: called before asking another candidate; moves the hold to its price and counters.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        codecs: Mapping[Dialect, Codec],
        translator: Callable[[Dialect, Dialect], Translator],
        router: Router,
        change_model: Callable[[Completion, int], Awaitable[bool]],
        outbound: OutboundLimits | None,
    ) -> None:
        self._providers = providers
        self._codecs = codecs
        self._translator = translator
        self._router = router
        self._change_model = change_model
        self._outbound = outbound
        self._deadlines = router.policy.deadlines
        retry = router.policy.retry
        self._budget = RetryBudget(retry.budget_ratio, retry.budget_minimum, retry.budget_window_s)
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret

    async def ask(self, completion: Completion) -> Whole | Opened:
        """The first answer that is one.

        Raises:
            SluicegateError: nobody answered; the last provider's failure as the client may see it.
        """
        deadline = completion.inbound.started + self._deadlines.total_s
        index = 0
        self._budget.request(time.monotonic())
        while True:
            trial = self._router.begin(completion.model.id)
            try:
                if trial is not None:
                    return await self._ask_model(completion, trial, index, deadline)
                error: SluicegateError = OverloadedError(_RESTING, retry_after=1)
            except FallBackError as fallback:
                error = fallback.error
            finally:
                if trial is not None:
                    self._router.end(trial)
            index = await self._next_model(completion, index, error)

    async def _ask_model(
        self, completion: Completion, trial: Trial, index: int, deadline: float
    ) -> Whole | Opened:
        """Ask the present candidate, again where policy says so.

        Raises:
            FallBackError: another candidate is to be asked.
            SluicegateError: none is.
        """
        tries = 0
        while True:
            tries += 1
            try:
                return await self._try(completion, trial, deadline)
            except AttemptFailedError as failure:
                completion.error = failure.error.code
                step = self._next_step(completion, failure.outcome, tries, index, deadline)
                error = failure.error
            if isinstance(step, GiveUp):
                raise error
            if not isinstance(step, Retry):
                raise FallBackError(error)
            self._budget.withdraw(time.monotonic())
            await asyncio.sleep(step.delay_s)

    def _next_step(
        self, completion: Completion, outcome: Outcome, tries: int, index: int, deadline: float
    ) -> Retry | Fallback | GiveUp:
        state = AttemptState(
            attempts=completion.attempts,
            on_model=tries,
            candidates_left=len(completion.plan.candidates) - index - 1,
            remaining_s=deadline - time.perf_counter(),
        )
        step = next_step(
            state,
            outcome,
            self._router.policy.retry,
            rng=self._rng,
            budget_available=self._budget.available(time.monotonic()),
        )
        if not isinstance(step, Retry) and step.alert:
            log.error(
                "a provider refuses this gateway; check its credential and model name",
                extra={"model": completion.model.id, "status": outcome.status},
            )
        return step

    async def _next_model(self, completion: Completion, index: int, error: SluicegateError) -> int:
        """Move on to the next candidate that the budgets pay; raise `error` when there is none."""
        for following in range(index + 1, len(completion.plan.candidates)):
            if await self._change_model(completion, following):
                return following
        raise error from None

    async def _try(self, completion: Completion, trial: Trial, deadline: float) -> Whole | Opened:
        model, inbound = completion.model, completion.inbound
        provider = self._providers[model.provider]
        spoken = provider.spoken(model.upstream)
        dialect = inbound.dialect if inbound.dialect in spoken else spoken[0]
        translator = None
        body = completion.body
        if dialect is not inbound.dialect:
            translator = self._translator(inbound.dialect, dialect)
            body = translator.request(body)
        deadlines = self._deadlines
        if self._outbound is not None:
            await self._wait_for_turn(self._outbound, provider, completion, deadline)
        left = deadline - time.perf_counter()
        if left <= 0:
            raise _timed_out("deadline", sent=False)
        span = None
        headers = inbound.forward
        if completion.span is not None:
            span = completion.span.child(
                f"chat {model.upstream}",
                {"gen_ai.system": provider.kind, "gen_ai.request.model": model.upstream},
            )
            headers = [*headers, *span.headers()]
        call = UpstreamCall(
            request_id=inbound.request_id,
            dialect=dialect,
            model=model.upstream,
            body=self._codecs[dialect].prepare(body, model.upstream, completion.cap or None),
            stream=completion.facts.stream,
            first_byte_s=min(deadlines.first_byte_s, left),
            idle_s=deadlines.idle_s,
            total_s=left,
            headers=headers,
        )
        completion.attempts += 1
        completion.provider = provider.name
        begun = time.perf_counter()
        try:
            if call.stream:
                answer: Whole | Opened = await self._open(completion, provider, call, translator)
            else:
                answer = await self._whole(completion, provider, call, translator)
        except AttemptFailedError as failure:
            outcome = failure.outcome
            # A client's mistake says nothing about the provider's health.
            if outcome.kind != "status" or outcome.status not in _CLIENTS_FAULT:
                self._router.report(trial, ok=False, kind=str(outcome.status or outcome.kind))
            TALLIES.attempt(provider.name, model.id, outcome.kind)
            if span is not None:
                span.end({}, error=failure.error.code)
            raise
        self._router.report(trial, ok=True, latency_s=time.perf_counter() - begun)
        TALLIES.attempt(provider.name, model.id, "ok")
        if span is not None:
            span.end({"gen_ai.response.model": model.upstream})
        return answer

    async def _wait_for_turn(
        self, outbound: OutboundLimits, provider: Provider, completion: Completion, deadline: float
    ) -> None:
        """Wait for the provider's rate limit, if that is short; else fail as the provider would."""
        tokens = completion.facts.input_estimate + completion.cap * completion.facts.choices
        longest = min(self._router.policy.retry.max_retry_after_s, deadline - time.perf_counter())
        waited = 0.0
        while (wait := await outbound.take(provider.name, tokens)) > 0:
            waited += wait
            if waited > longest:
                error = RateLimitedError(
                    f"what {provider.name} allows this gateway per minute is used up", retry_after=wait
                )
                raise AttemptFailedError(Outcome("status", 429, wait), error)
            await asyncio.sleep(wait)

    async def _send(self, provider: Provider, call: UpstreamCall) -> UpstreamReply:
        try:
            reply = await provider.send(call)
        except UpstreamFailure as failure:
            raise _failed(failure) from None
        if reply.status < 300:
            return reply
        try:
            body = await reply.read()
        except UpstreamFailure:
            body = b""  # the status alone says enough
        finally:
            reply.close()
        outcome = Outcome("status", reply.status, _retry_after(reply.headers.get(b"retry-after")))
        error = provider_error(reply.status, body)
        if error.retry_after is None:
            error.retry_after = outcome.retry_after_s
        raise AttemptFailedError(outcome, error)

    async def _whole(
        self, completion: Completion, provider: Provider, call: UpstreamCall, translator: Translator | None
    ) -> Whole:
        reply = await self._send(provider, call)
        try:
            raw = await reply.read()
        except UpstreamFailure as failure:
            raise _failed(failure) from None
        finally:
            reply.close()
        try:
            parsed = orjson.loads(raw)
        except orjson.JSONDecodeError:
            parsed = None
        if not isinstance(parsed, dict):
            raise AttemptFailedError(Outcome("broken"), UpstreamError("the provider's answer is not JSON"))
        usage = self._codecs[call.dialect].usage(parsed)
        if usage is not None:
            completion.usage = usage
        else:
            completion.estimated = True
        if translator is not None:
            parsed = translator.response(parsed, completion.model.id)
            raw = orjson.dumps(parsed)
        return Whole(raw, parsed)

    async def _open(
        self, completion: Completion, provider: Provider, call: UpstreamCall, translator: Translator | None
    ) -> Opened:
        reply = await self._send(provider, call)
        facts = completion.facts
        meter = completion.codec.meter(facts) if translator is None else translator.stream(facts)
        chunks = reply.chunks()
        try:
            first = await _first_bytes(chunks, meter)
        except UpstreamFailure as failure:
            reply.close()
            raise _failed(failure) from None
        except BaseException:
            reply.close()
            raise
        completion.first_byte_at = time.perf_counter()
        return Opened(reply, chunks, meter, first)


async def _first_bytes(chunks: AsyncIterator[bytes], meter: StreamMeter) -> bytes:
    """The first bytes to forward; until they come, a failing stream can still be asked elsewhere."""
    async for chunk in chunks:
        first = meter.feed(chunk)
        if meter.failed is not None and not meter.produced_tokens:
            outcome = Outcome("status", meter.failed.status, meter.failed.retry_after)
            raise AttemptFailedError(outcome, meter.failed)
        if first or meter.finished:
            return first
    raise AttemptFailedError(Outcome("broken"), UpstreamError("the provider's stream ended before it began"))


def _failed(failure: UpstreamFailure) -> AttemptFailedError:
    if failure.timeout:
        return _timed_out(failure.phase, sent=failure.sent)
    kind: FailureKind = "broken" if failure.sent else "connect"
    return AttemptFailedError(
        Outcome(kind), UpstreamError(f"the provider could not be reached ({failure.phase})")
    )


def _timed_out(phase: str, *, sent: bool) -> AttemptFailedError:
    return AttemptFailedError(
        Outcome("timeout" if sent else "connect"),
        UpstreamTimeoutError(f"the provider did not answer in time ({phase})"),
    )


def _retry_after(value: bytes | None) -> float | None:
    """Seconds of a `retry-after` header given in seconds; a date or nonsense counts as absent."""
    if value is None or not value.strip().isdigit() or len(value) > 8:
        return None
    return min(float(value), MAX_RETRY_AFTER_S)
