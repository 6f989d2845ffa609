"""Counting a prompt's tokens without running it: Anthropic's `count_tokens`, governed and free of charge."""

from collections.abc import Mapping

import orjson

from sluicegate.admission.service import AdmissionService
from sluicegate.admission.types import Ask
from sluicegate.completions.pipeline.completion import Completion
from sluicegate.completions.pipeline.headers import answer_headers
from sluicegate.completions.provider_errors import provider_error
from sluicegate.completions.types import Answer, Json, Provider, TokenCounter, UpstreamCall, UpstreamFailure
from sluicegate.kernel.errors import UpstreamError, UpstreamTimeoutError
from sluicegate.kernel.models import Dialect
from sluicegate.routing.policy import DeadlinePolicy

# Servers that speak Anthropic's protocol need not have this part of it.
_NOT_THERE = frozenset({404, 405, 501})


def countable(body: Json) -> Json:
    """`body` as a codec's `inspect` takes it: a request to count says no `max_tokens`."""
    return {"max_tokens": 1, **body}


class TokenCounting:
    """Counts tokens at the model's own provider where that can, else by the gateway's estimate.

    A count is a request like any other to rate limits and concurrency, holds no money, and leaves no row in
    the ledger: there is nothing to charge.

    Args:
        providers: by name; those that are a `TokenCounter` are asked.
    """

    def __init__(
        self, providers: Mapping[str, Provider], admission: AdmissionService, deadlines: DeadlinePolicy
    ) -> None:
        self._counters = {
            name: provider for name, provider in providers.items() if isinstance(provider, TokenCounter)
        }
        self._providers = providers
        self._admission = admission
        self._deadlines = deadlines

    async def answer(self, completion: Completion) -> Answer:
        """The count as Anthropic's clients expect it.

        Raises:
            RateLimitedError, AuthenticationError, DependencyUnavailableError: as `AdmissionService.admit`.
            SluicegateError: the provider refused the request or did not answer.
        """
        ask = Ask(completion.inbound.request_id, completion.subject, want_nano=0, floor_nano=0, tokens=0)
        grant = await self._admission.admit(ask)
        completion.grant = grant
        try:
            counted = await self._counted(completion)
        finally:
            await self._admission.release(grant)
        return Answer(200, answer_headers(completion, b"application/json", cost=True), orjson.dumps(counted))

    async def _counted(self, completion: Completion) -> Json:
        model = completion.model
        counter = self._counters.get(model.provider)
        if counter is not None:
            spoken = self._providers[model.provider].spoken(model.upstream)
            if Dialect.ANTHROPIC_MESSAGES in spoken:
                counted = await self._asked(completion, counter)
                if counted is not None:
                    return counted
        return {"input_tokens": max(1, completion.facts.input_estimate)}

    async def _asked(self, completion: Completion, counter: TokenCounter) -> Json | None:
        """The provider's answer; None where it has no such service."""
        inbound, model, deadlines = completion.inbound, completion.model, self._deadlines
        call = UpstreamCall(
            request_id=inbound.request_id,
            dialect=Dialect.ANTHROPIC_MESSAGES,
            model=model.upstream,
            body=orjson.dumps({**completion.body, "model": model.upstream}),
            stream=False,
            first_byte_s=deadlines.first_byte_s,
            idle_s=deadlines.idle_s,
            total_s=deadlines.total_s,
            headers=inbound.forward,
        )
        try:
            reply = await counter.count_tokens(call)
            try:
                raw = await reply.read()
            finally:
                reply.close()
        except UpstreamFailure as failure:
            kind = UpstreamTimeoutError if failure.timeout else UpstreamError
            raise kind(f"the provider did not count the tokens ({failure.phase})") from None
        if reply.status in _NOT_THERE:
            return None
        if reply.status >= 300:
            raise provider_error(reply.status, raw)
        try:
            counted = orjson.loads(raw)
        except orjson.JSONDecodeError:
            counted = None
        if not isinstance(counted, dict) or type(counted.get("input_tokens")) is not int:
            raise UpstreamError("the provider's count of tokens is none")
        return counted
