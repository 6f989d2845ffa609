"""Reuse of answers: the response cache, coalescing and idempotency keys, seen from the pipeline."""

import time

import orjson

from sluicegate.admission.service import AdmissionService
from sluicegate.admission.types import Ask
from sluicegate.caching.keys import answer_key
from sluicegate.caching.rules import cache_use, worth_keeping
from sluicegate.caching.service import CacheService
from sluicegate.caching.tags import answer_tags
from sluicegate.caching.types import CachedAnswer, CacheHit
from sluicegate.completions.pipeline.completion import Completion
from sluicegate.completions.pipeline.headers import answer_headers
from sluicegate.completions.pipeline.idempotency import IdempotencyStore, answer_for, claim_for
from sluicegate.completions.pipeline.policy import CompletionsPolicy
from sluicegate.completions.pipeline.record import count, usage_event
from sluicegate.completions.types import Answer
from sluicegate.kernel.models import Usage

REPLAYED = "idempotent"


class Reuse:
    """Finds an answer that exists already, and keeps new ones.

    Args:
        cache: None where responses are not cached.
        idempotency: None where idempotency keys are not supported.
        policy_version: part of every cache key, so that a change of policy voids all.
    """

    def __init__(
        self,
        admission: AdmissionService,
        cache: CacheService | None,
        idempotency: IdempotencyStore | None,
        policy: CompletionsPolicy,
        policy_version: str,
    ) -> None:
        self._admission = admission
        self._cache = cache
        self._idempotency = idempotency
        self._policy = policy
        self._version = policy_version

    async def find(self, completion: Completion) -> Answer | None:
        """An existing answer; None: the request is to be run, and then `keep` or `drop` called.

        Raises:
            IdempotencyConflictError, IdempotencyInProgressError: as `answer_for`.
            RateLimitedError: an existing answer counts as a request too.
        """
        inbound = completion.inbound
        key = inbound.controls.idempotency_key
        if key is not None and self._idempotency is not None:
            principal = inbound.principal
            claim = claim_for(
                principal.tenant, principal.key_id, inbound.dialect, key, inbound.raw, inbound.request_id
            )
            recorded = await self._idempotency.claim(claim, self._policy.idempotency_ttl_seconds)
            if recorded is not None:
                return await self._replay(completion, answer_for(claim, recorded), REPLAYED, Usage())
            completion.claim = claim
        if self._cache is not None:
            hit = await self._cached(completion, self._cache)
            if hit is not None:
                answer = hit.answer
                usage = Usage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens)
                found = await self._replay(completion, answer.body, hit.level, usage)
                await self._complete_claim(completion, answer.body)
                return found
        if completion.facts.stream and (completion.slot is not None or completion.claim is not None):
            completion.assembler = completion.codec.assembler(self._policy.cacheable_answer_bytes)
        return None

    async def keep(self, completion: Completion, body: bytes) -> None:
        """Keep the whole, settled answer `body` for followers, for later requests and for retries."""
        slot, lead, cache = completion.slot, completion.lead, self._cache
        if slot is not None and cache is not None:
            clamped = completion.cap < completion.size.cap
            # An answer without figures may be no answer at all, such as an error sent with status 200.
            # A fallback's is not kept: the key, and what a hit says of itself, are the first model's.
            complete = not completion.estimated and completion.model is completion.plan.candidates[0].model
            if worth_keeping(cache.policy, status=200, size=len(body), complete=complete, clamped=clamped):
                answer = CachedAnswer(
                    body=body,
                    model=completion.model.id,
                    provider=completion.provider or completion.model.provider,
                    created_at=time.time(),
                    cost_nano=completion.cost_nano,
                    input_tokens=completion.usage.prompt_tokens,
                    output_tokens=completion.usage.output_tokens,
                )
                cache.put_soon(slot, answer)
                if lead is not None:
                    lead.share(answer)
            elif lead is not None:
                lead.dissolve()
        await self._complete_claim(completion, body)

    async def drop(self, completion: Completion) -> None:
        """There is no answer to keep: let a follower lead, and free the idempotency key."""
        if completion.lead is not None:
            completion.lead.give_up()
        claim, completion.claim = completion.claim, None
        if claim is not None and self._idempotency is not None:
            await self._idempotency.release(claim)

    async def _cached(self, completion: Completion, cache: CacheService) -> CacheHit | None:
        inbound = completion.inbound
        if completion.facts.choices > 1 and inbound.controls.cache is None:
            return None  # several choices are asked for to differ
        use = cache_use(cache.policy, inbound.dialect, completion.body, inbound.controls.cache)
        if not use.write:
            return None
        variant = b"\n".join(b"%b:%b" % header for header in inbound.forward)
        key = answer_key(
            inbound.principal.tenant,
            self._version,
            inbound.dialect,
            completion.model.id,
            completion.body,
            variant,
        )
        tags = answer_tags(cache.policy.invalidated_by, completion.subject.workspace)
        slot = cache.peek_slot(key, tags) or await cache.slot(key, tags)
        completion.slot = slot
        if slot is None or not use.read:
            return None
        hit = cache.peek_l1(slot) or await cache.get(slot)
        if hit is not None:
            return hit
        led = await cache.lead_or_follow(slot)
        if isinstance(led, CacheHit):
            return led
        completion.lead = led
        return None

    async def _replay(self, completion: Completion, body: bytes, level: str, usage: Usage) -> Answer:
        """`body` as the answer to this request: counted and recorded, at no cost."""
        inbound, facts = completion.inbound, completion.facts
        completion.usage = usage
        event = usage_event(completion, level)
        ask = Ask(inbound.request_id, completion.subject, want_nano=0, floor_nano=0, tokens=0)
        requests = await self._admission.pass_through(ask, event)
        count(completion, level)
        content_type = b"application/json"
        if facts.stream:
            content_type = b"text/event-stream; charset=utf-8"
            body = completion.codec.replay(orjson.loads(body), include_usage=facts.include_usage)
        headers = answer_headers(completion, content_type, cost=True, cache=level, requests=requests)
        return Answer(200, headers, body)

    async def _complete_claim(self, completion: Completion, body: bytes) -> None:
        claim, completion.claim = completion.claim, None
        if claim is None or self._idempotency is None:
            return
        if len(body) <= self._policy.cacheable_answer_bytes:
            await self._idempotency.complete(claim, body, self._policy.idempotency_ttl_seconds)
        else:
            await self._idempotency.release(claim)
