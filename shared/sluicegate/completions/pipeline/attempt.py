"""One try at one provider: the body in its dialect, its answer in the client's."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import orjson

from sluicegate.completions.bounds import delta_tokens
from sluicegate.completions.openai_chat.usage import with_running_usage
from sluicegate.completions.pipeline.completion import Completion
from sluicegate.completions.pipeline.policy import CompletionsPolicy
from sluicegate.completions.pipeline.settlement import charge_try, used_so_far
from sluicegate.completions.pipeline.version import MOST_LOOKED_AT, streamed_version, version_of
from sluicegate.completions.provider_errors import provider_error, stream_failure
from sluicegate.completions.types import (
    Codec,
    Json,
    Provider,
    RequestFacts,
    StreamMeter,
    Translator,
    UpstreamCall,
    UpstreamFailure,
    UpstreamReply,
)
from sluicegate.kernel.errors import RateLimitedError, SluicegateError, UpstreamError, UpstreamTimeoutError
from sluicegate.kernel.models import Dialect, Usage
from sluicegate.kernel.telemetry.metrics import TALLIES
from sluicegate.routing.model_health import Trial
from sluicegate.routing.retry import FailureKind, Outcome
from sluicegate.routing.service import Router

MAX_RETRY_AFTER_S = 3_600.0
_CLIENTS_FAULT = frozenset({400, 413, 422})


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
    """One try failed before anything went to the client. `error` is what to tell it in the end.

    `used` is what the provider may bill for it all the same: it had begun to answer with success, or may
    have been about to. None where it had not.
    """

    def __init__(self, outcome: Outcome, error: SluicegateError, used: Usage | None = None) -> None:
        super().__init__(error.message)
        self.outcome = outcome
        self.error = error
        self.used = used


class OutboundLimits(Protocol):
    """What providers allow us: requests and tokens per minute, all instances together."""

    async def take(self, provider: str, tokens: int) -> float:
        """Take one request with about `tokens` tokens. Seconds to wait before asking again; 0.0: taken."""
        ...


class Attempt:
    """Makes tries.

    Args:
        providers: by the name that the catalogue gives them.
        codecs: by dialect, to prepare bodies.
        translator: the translator from a client's dialect to a provider's.
        outbound: asked before each try; None where no provider is limited.
        running_usage: providers to be asked for figures in every chunk of an OpenAI stream, so that one that
            breaks off has said what it cost.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        codecs: Mapping[Dialect, Codec],
        translator: Callable[[Dialect, Dialect], Translator],
        router: Router,
        policy: CompletionsPolicy,
        outbound: OutboundLimits | None,
        running_usage: frozenset[str] = frozenset(),
    ) -> None:
        self._policy = policy
        self._running_usage = running_usage
        self._providers = providers
        self._codecs = codecs
        self._translator = translator
        self._router = router
        self._outbound = outbound
        self._deadlines = router.policy.deadlines

    def translated(self, completion: Completion) -> tuple[Translator, Json] | None:
        """The translator to the present model's dialect and the body in it; None where none is needed.

        Raises:
            InvalidRequestError: the request cannot be carried there.
        """
        client, model = completion.inbound.dialect, completion.model
        spoken = self._providers[model.provider].spoken(model.upstream)
        if client in spoken:
            return None
        if completion.translated is None or completion.translated[0] is not spoken[0]:
            translator = self._translator(client, spoken[0])
            completion.translated = (spoken[0], translator, translator.request(completion.body))
        return completion.translated[1:]

    async def make(self, completion: Completion, trial: Trial, deadline: float) -> Whole | Opened:
        """Ask the present model once; `deadline` is a `time.perf_counter()` reading.

        Raises:
            AttemptFailedError: no answer, or one that says so, before anything went to the client.
            ClientLeftError: nobody waits for the answer any more; the provider was not asked.
            InvalidRequestError: the request cannot be carried to the provider's dialect.
        """
        model, inbound = completion.model, completion.inbound
        provider = self._providers[model.provider]
        dialect, translator, body = inbound.dialect, None, completion.body
        translation = self.translated(completion)
        if translation is not None:
            dialect = provider.spoken(model.upstream)[0]
            translator, body = translation
        facts = completion.facts
        if facts.stream and dialect is Dialect.OPENAI_CHAT and provider.name in self._running_usage:
            body, facts = with_running_usage(body, facts)
        deadlines = self._deadlines
        if self._outbound is not None:
            await self._wait_for_turn(self._outbound, provider, completion, deadline)
        inbound.departure.check()
        left = deadline - time.perf_counter()
        if left <= 0:
            raise _timed_out("deadline", sent=False)
        span = None
        headers = inbound.forward
        if completion.span is not None:
            span = completion.span.child(
                f"{completion.operation} {model.upstream}",
                {
                    "gen_ai.operation.name": completion.operation,
                    "gen_ai.system": provider.kind,
                    "gen_ai.request.model": model.upstream,
                },
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
        completion.version = None
        begun = time.perf_counter()
        try:
            if call.stream:
                answer: Whole | Opened = await self._open(completion, provider, call, translator, facts)
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
            span.end({"gen_ai.response.model": completion.version or model.upstream})
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

    async def _send(self, completion: Completion, provider: Provider, call: UpstreamCall) -> UpstreamReply:
        try:
            reply = await provider.send(call)
        except UpstreamFailure as failure:
            # Whoever breaks off has ended the work; whoever is silent may have done it.
            lost = failure.sent and failure.timeout
            raise _failed(failure, self._lost(completion) if lost else None) from None
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

    def _lost(self, completion: Completion) -> Usage | None:
        """What is charged for a try given up before its answer began: by policy, as nobody knows."""
        if self._policy.lost_tries == "nothing":
            return None
        facts = completion.facts
        longest = completion.cap * facts.choices if self._policy.lost_tries == "everything" else 0
        return Usage(input_tokens=facts.input_estimate, output_tokens=longest, images=facts.images)

    async def _whole(
        self, completion: Completion, provider: Provider, call: UpstreamCall, translator: Translator | None
    ) -> Whole:
        reply = await self._send(completion, provider, call)
        prompt = Usage(input_tokens=completion.facts.input_estimate, images=completion.facts.images)
        try:
            raw = await reply.read()
        except UpstreamFailure as failure:
            raise _failed(failure, prompt) from None
        finally:
            reply.close()
        try:
            parsed = orjson.loads(raw)
        except orjson.JSONDecodeError:
            parsed = None
        if not isinstance(parsed, dict):
            error = UpstreamError("the provider's answer is not JSON")
            raise AttemptFailedError(Outcome("broken"), error, prompt)
        completion.version = version_of(parsed)
        usage = self._codecs[call.dialect].usage(parsed)
        if usage is None and parsed.get("error"):
            refused = stream_failure(parsed)
            raise AttemptFailedError(Outcome("status", refused.status, refused.retry_after), refused, prompt)
        if usage is None:
            # A provider that keeps its figures to itself is not free: its answer is weighed instead.
            completion.estimated = True
            usage = replace(prompt, output_tokens=delta_tokens(len(raw)) if completion.cap else 0)
        usage.images = completion.facts.images
        if translator is not None:
            try:
                parsed = translator.response(parsed, completion.model.id)
            except Exception:
                charge_try(completion, usage)  # a fault of ours gives no money back
                raise
            raw = orjson.dumps(parsed)
        completion.usage = usage
        return Whole(raw, parsed)

    async def _open(
        self,
        completion: Completion,
        provider: Provider,
        call: UpstreamCall,
        translator: Translator | None,
        facts: RequestFacts,
    ) -> Opened:
        departure = completion.inbound.departure
        departure.wait(self._policy.abandoned_seconds)
        try:
            reply = await self._send(completion, provider, call)
        except asyncio.CancelledError:
            lost = self._lost(completion) if departure.cut else None
            if lost is not None:
                charge_try(completion, lost)
            raise
        finally:
            departure.waiting = False
        meter = completion.codec.meter(facts) if translator is None else translator.stream(facts)
        chunks = reply.chunks()
        departure.wait(self._policy.abandoned_seconds)
        try:
            first = await _first_bytes(completion, chunks, meter)
        except UpstreamFailure as failure:
            reply.close()
            raise _failed(failure, used_so_far(facts, meter)) from None
        except AttemptFailedError as failure:
            reply.close()
            failure.used = used_so_far(facts, meter)
            raise
        except BaseException:
            reply.close()
            if departure.cut:
                charge_try(completion, used_so_far(facts, meter))
            raise
        finally:
            departure.waiting = False
        completion.first_byte_at = time.perf_counter()
        return Opened(reply, chunks, meter, first)


async def _first_bytes(completion: Completion, chunks: AsyncIterator[bytes], meter: StreamMeter) -> bytes:
    """The first bytes to forward; until they come, a failing stream can still be asked elsewhere."""
    begun = b""
    async for chunk in chunks:
        if len(begun) < MOST_LOOKED_AT:
            begun += chunk
        first = meter.feed(chunk)
        if meter.failed is not None and not meter.produced_tokens:
            outcome = Outcome("status", meter.failed.status, meter.failed.retry_after)
            raise AttemptFailedError(outcome, meter.failed)
        if first or meter.finished:
            completion.version = streamed_version(begun)
            return first
    raise AttemptFailedError(Outcome("broken"), UpstreamError("the provider's stream ended before it began"))


def _failed(failure: UpstreamFailure, used: Usage | None = None) -> AttemptFailedError:
    if failure.timeout:
        return _timed_out(failure.phase, sent=failure.sent, used=used)
    kind: FailureKind = "broken" if failure.sent else "connect"
    error = UpstreamError(f"the provider could not be reached ({failure.phase})")
    return AttemptFailedError(Outcome(kind), error, used)


def _timed_out(phase: str, *, sent: bool, used: Usage | None = None) -> AttemptFailedError:
    error = UpstreamTimeoutError(f"the provider did not answer in time ({phase})")
    return AttemptFailedError(Outcome("timeout" if sent else "connect"), error, used)


def _retry_after(value: bytes | None) -> float | None:
    """Seconds of a `retry-after` header given in seconds; a date or nonsense counts as absent."""
    if value is None or not value.strip().isdigit() or len(value) > 8:
        return None
    return min(float(value), MAX_RETRY_AFTER_S)
