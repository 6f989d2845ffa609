"""The pipeline: every step of a governed completion, in order."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from sluicegate.admission.service import AdmissionService
from sluicegate.admission.types import Ask, Grant, Subject
from sluicegate.completions.body import parse_body
from sluicegate.completions.limits import RequestLimits
from sluicegate.completions.pipeline.asking import Asker
from sluicegate.completions.pipeline.attempt import Attempt, Opened, OutboundLimits, Whole
from sluicegate.completions.pipeline.completion import Completion, Inbound
from sluicegate.completions.pipeline.counting import TokenCounting, countable
from sluicegate.completions.pipeline.departure import ClientLeftError
from sluicegate.completions.pipeline.headers import answer_headers, plan_header
from sluicegate.completions.pipeline.policy import CompletionsPolicy
from sluicegate.completions.pipeline.prompt_sample import prompt_sample
from sluicegate.completions.pipeline.provider_state import stand_alone
from sluicegate.completions.pipeline.relay import Relay
from sluicegate.completions.pipeline.reuse import Reuse
from sluicegate.completions.pipeline.settlement import give_back, settle, settle_amount
from sluicegate.completions.pipeline.sizing import affordable_cap, size
from sluicegate.completions.pipeline.slices import Slices
from sluicegate.completions.types import Answer, Codec, Provider, RequestFacts, Translator
from sluicegate.kernel.errors import BudgetExceededError, PermissionDeniedError, SluicegateError
from sluicegate.kernel.models import Dialect, Model, Usage
from sluicegate.kernel.telemetry.tracing import Tracing
from sluicegate.ledger.usage import Outcome
from sluicegate.routing.service import Router
from sluicegate.routing.types import RouteQuery

AUTO = "auto"


class CompletionPipeline:
    """Runs governed completions. Holds no state of its own beyond what its services keep.

    Args:
        codecs: by dialect; one for each dialect that the edge serves.
        translator: gives the translator from a client's dialect to a provider's.
        providers: by the name that the catalogue gives them.
        stand_ins: providers that answer in place of those of the same name that are not ready.
        outbound: what providers allow us per minute; None: not limited.
        debug: whether callers may ask how their model was chosen.
        running_usage: providers, by name, that can be asked for figures in every chunk of a stream.
        tracing: None where traces are off.
    """

    def __init__(
        self,
        *,
        codecs: Mapping[Dialect, Codec],
        translator: Callable[[Dialect, Dialect], Translator],
        providers: Mapping[str, Provider],
        router: Router,
        admission: AdmissionService,
        reuse: Reuse,
        policy: CompletionsPolicy,
        limits: RequestLimits,
        stand_ins: Mapping[str, Provider] | None = None,
        outbound: OutboundLimits | None = None,
        debug: bool = False,
        running_usage: frozenset[str] = frozenset(),
        tracing: Tracing | None = None,
    ) -> None:
        self._codecs = codecs
        self._router = router
        self._admission = admission
        self._reuse = reuse
        self._policy = policy
        self._limits = limits
        self._tracing = tracing
        self._debug = debug
        stand_ins = stand_ins or {}
        self._unready = {
            name: reason for name, provider in providers.items() if (reason := provider.ready()) is not None
        }
        # Whoever names a model gets it, from a stand-in if need be; `auto` chooses among real ones.
        self._unready_by_name = {
            name: reason for name, reason in self._unready.items() if name not in stand_ins
        }
        self._attempt = Attempt(
            {**providers, **stand_ins}, codecs, translator, router, policy, outbound, running_usage
        )
        self._asker = Asker(
            self._attempt,
            router,
            change_model=self._change_model,
            hold_twin=self._hold_model,
            forfeit=self._forfeit,
            hold_again=self._hold_again,
        )
        self._slices = Slices(admission, policy.stream_slice_tokens)
        self._relay = Relay(admission, policy, self._slices)
        self._counting = TokenCounting({**providers, **stand_ins}, admission, router.policy.deadlines)

    async def run(self, inbound: Inbound) -> Answer:
        """The answer to `inbound`.

        Raises:
            SluicegateError: refused, or no provider answered; whatever was held is released.
        """
        completion = self._consider(inbound)
        if self._tracing is not None:
            operation = completion.operation
            completion.span = self._tracing.receive(
                inbound.traceparent,
                f"{operation} {completion.facts.model}",
                {"gen_ai.operation.name": operation, "gen_ai.request.model": completion.facts.model},
            )
        try:
            answer = await self._reuse.find(completion)
            if answer is None:
                answer = await self._governed(completion)
        except BaseException as error:
            _end_span(completion, error.code if isinstance(error, SluicegateError) else "internal_error")
            if completion.slot is not None or completion.claim is not None:
                await self._reuse.drop(completion)
            raise
        if answer.stream is None:
            _end_span(completion, None)
        return answer

    async def count_tokens(self, inbound: Inbound) -> Answer:
        """How many tokens the prompt of `inbound` (Anthropic messages) has: admitted, but free of charge.

        Raises:
            SluicegateError: refused, or the provider that counts did not answer.
        """
        return await self._counting.answer(self._consider(inbound, counting=True))

    async def drain(self, timeout_s: float) -> None:
        """Settle what clients have left behind; for shutdown."""
        await self._relay.drain(timeout_s)

    def _consider(self, inbound: Inbound, *, counting: bool = False) -> Completion:
        """Read the request and choose candidates. No I/O: most bad requests end here, for free."""
        codec = self._codecs[inbound.dialect]
        body = parse_body(inbound.raw, self._limits)
        facts = codec.inspect(countable(body) if counting else body, len(inbound.raw))
        if self._policy.provider_state == "refuse":
            body = stand_alone(inbound.dialect, body, inbound.raw)
        controls, principal = inbound.controls, inbound.principal
        workspace = controls.workspace or principal.workspace
        if workspace != principal.workspace:
            raise PermissionDeniedError(
                f"this key belongs to another workspace than {workspace!r}", param="x-sluicegate-workspace"
            )
        unready = self._unready if facts.model == AUTO else self._unready_by_name
        query = self._query(inbound, facts, body)
        if counting:
            # Whether it fits the model is what the caller wants to find out.
            query = replace(query, input_tokens=0, output_tokens=0)
        plan = self._router.plan(query, unready=unready, explain=controls.debug and self._debug)
        model = plan.candidates[0].model
        return Completion(
            inbound=inbound,
            codec=codec,
            body=body,
            facts=facts,
            plan=plan,
            model=model,
            subject=Subject(
                tenant=principal.tenant,
                workspace=workspace,
                user=principal.user,
                key=principal.key_id,
                model=model.id,
                agent=controls.agent,
                mission=controls.mission,
                tools=("llm",),
                plan=principal.plan,
                timezone=principal.timezone,
            ),
            size=self._size(model, facts),
        )

    def _query(self, inbound: Inbound, facts: RequestFacts, body: Mapping[str, Any]) -> RouteQuery:
        controls = inbound.controls
        prompt = ""
        if facts.model == AUTO:
            prompt = prompt_sample(body, self._policy.complexity_sample_characters)
        return RouteQuery(
            model=facts.model,
            capabilities=facts.capabilities,
            input_tokens=facts.input_estimate,
            output_tokens=facts.max_output_tokens or 0,
            task=controls.task,
            quality=controls.quality,
            max_cost_nano=controls.max_cost_nano,
            prompt=prompt,
            strategy=controls.strategy,
            allowed=inbound.principal.allowed_models,
        )

    def _size(self, model: Model, facts: RequestFacts) -> Any:
        return size(model, facts, self._policy.minimum_output_tokens, self._slices.tokens(model))

    async def _governed(self, completion: Completion) -> Answer:
        self._attempt.translated(completion)  # what cannot be carried is told before money is held
        inbound = completion.inbound
        completion.grant = await self._admit(completion, count=True)
        try:
            self._clamp(completion)
            answer = await self._asker.ask(completion)
            if isinstance(answer, Whole):
                return await self._whole(completion, answer)
        except SluicegateError as error:
            outcome: Outcome = "aborted" if isinstance(error, ClientLeftError) else "failure"
            await give_back(self._admission, completion, outcome, error)
            raise
        except asyncio.CancelledError:
            # Cut at shutdown, or because the client has left a provider that is silent, which is charged
            # already. What one was asked for may have been produced: such a hold is charged as a dead
            # owner's would be.
            if completion.attempts and completion.grant is not None and not inbound.departure.cut:
                self._admission.abandon(completion.grant)
            else:
                await give_back(self._admission, completion, "aborted", None)
            raise
        except BaseException:
            await give_back(self._admission, completion, "failure", None)
            raise
        return await self._streamed(completion, answer)

    async def _admit(self, completion: Completion, *, count: bool, instead_of: Grant | None = None) -> Grant:
        """Hold money for the present model. `count` False: a further model of the same request.

        What tries have used already is held too: it will be charged with the rest.
        """
        inbound, wanted = completion.inbound, completion.size
        nano, tokens = completion.spent_nano, completion.spent.total_tokens
        return await self._admission.admit(
            Ask(
                request_id=inbound.request_id,
                subject=completion.subject,
                want_nano=nano + wanted.want_nano,
                floor_nano=nano + wanted.floor_nano,
                tokens=tokens + wanted.tokens,
                floor_tokens=tokens + wanted.floor_tokens,
                max_cost_nano=inbound.controls.max_cost_nano,
                count=count,
                instead_of=instead_of,
            )
        )

    def _clamp(self, completion: Completion) -> None:
        """Lower the answer's length to what is held; a sliced stream's also to what could be held."""
        grant, wanted = completion.grant, completion.size
        if grant is None or not wanted.cap:
            return
        nano, facts = grant.held_nano - completion.spent_nano, completion.facts
        if not wanted.sliced:
            tokens = grant.held_tokens - completion.spent.total_tokens
            allowed = (tokens - wanted.input_bound) // facts.choices
            completion.cap = min(affordable_cap(completion.model, facts, wanted, nano), allowed)
        else:
            # Without a budget, or with Redis away, the caller's own limit still holds.
            limit = completion.inbound.controls.max_cost_nano
            bounds = [] if limit is None else [limit - completion.spent_nano]
            if grant.remaining_nano is not None:
                bounds.append(nano + grant.remaining_nano)
            completion.cap = wanted.cap
            if bounds:
                completion.cap = affordable_cap(completion.model, facts, wanted, min(bounds))
            tokens = grant.held_tokens - completion.spent.total_tokens
            if tokens < wanted.tokens:  # a token limit gave what it had left: no more will come
                completion.cap = min(completion.cap, (tokens - wanted.input_bound) // facts.choices)
        if completion.cap < 1:
            raise BudgetExceededError("what is left of the budget does not pay a single token of an answer")

    async def _hold_again(self, completion: Completion, used: Usage) -> bool:
        """Add to the hold what a try at the present model used, or make do with what is left of it."""
        grant, limit = completion.grant, completion.inbound.controls.max_cost_nano
        if grant is None:
            return True
        nano = completion.model.prices.cost(used)
        try:
            within = limit is None or grant.held_nano + nano <= limit
            if not (within and await self._admission.grow(grant, nano, used.total_tokens)):
                self._clamp(completion)
        except SluicegateError:
            return False
        return True

    async def _change_model(self, completion: Completion, index: int) -> bool:
        """Move the hold to candidate `index`; the new one takes the old one's place in one step."""
        try:
            return await self._hold_model(completion, index, instead_of=completion.grant)
        except asyncio.CancelledError:
            # Nobody is being asked, so what was used is known; a hold left to its deadline would cost more.
            await give_back(self._admission, completion, "aborted", None)
            raise

    async def _hold_model(
        self, completion: Completion, index: int, *, instead_of: Grant | None = None
    ) -> bool:
        """Make candidate `index` the model, with a hold at its price; or stay with the present model.

        `completion` has one hold then as before: the new one where `instead_of` is gone.
        """
        before = (completion.model, completion.subject, completion.size, completion.cap)
        held = completion.grant
        model = completion.plan.candidates[index].model
        completion.model = model
        completion.size = self._size(model, completion.facts)
        completion.subject = replace(completion.subject, model=model.id)
        taken: Grant | None = None
        try:
            self._attempt.translated(completion)
            taken = await self._admit(completion, count=False, instead_of=instead_of)
            completion.grant = taken
            self._clamp(completion)
        except (SluicegateError, asyncio.CancelledError) as error:
            completion.model, completion.subject, completion.size, completion.cap = before
            if instead_of is None and taken is not None:
                completion.grant = held
                await self._admission.release(taken)
            if isinstance(error, SluicegateError):
                return False
            raise
        return True

    async def _forfeit(self, loser: Completion) -> None:
        """Charge one that a hedge was faster than: all it held if it was asked, nothing if it was not."""
        loser.inbound = replace(loser.inbound, request_id=f"{loser.inbound.request_id}.hedge")
        if loser.attempts and loser.grant is not None and loser.error is None:
            loser.estimated, loser.outcome = True, "aborted"
            await settle_amount(self._admission, loser, loser.grant.held_nano)
        else:
            await give_back(self._admission, loser, "failure", None)

    async def _whole(self, completion: Completion, answer: Whole) -> Answer:
        completion.outcome, completion.error = "success", None
        await settle(self._admission, completion)
        if completion.slot is not None or completion.claim is not None:
            await self._reuse.keep(completion, answer.body)
        return Answer(200, self._headers(completion, b"application/json", cost=True), answer.body)

    async def _streamed(self, completion: Completion, opened: Opened) -> Answer:
        completion.error = None
        headers = self._headers(completion, b"text/event-stream; charset=utf-8", cost=False)
        headers.append((b"cache-control", b"no-cache"))
        headers.append((b"x-accel-buffering", b"no"))
        return Answer(200, headers, stream=await self._relay.stream(completion, opened, self._ended))

    async def _ended(self, completion: Completion) -> None:
        """A stream is settled, whether the client saw its end or not."""
        _end_span(completion, completion.error)
        assembler = completion.assembler
        if assembler is not None:
            whole = None if completion.estimated else assembler.answer(completion.usage)
            if whole is None or completion.error is not None:
                await self._reuse.drop(completion)
            else:
                await self._reuse.keep(completion, orjson.dumps(whole))

    def _headers(
        self, completion: Completion, content_type: bytes, *, cost: bool
    ) -> list[tuple[bytes, bytes]]:
        headers = answer_headers(completion, content_type, cost=cost)
        if completion.inbound.controls.debug and self._debug:
            headers.append(plan_header(completion.plan))
        return headers


def _end_span(completion: Completion, error: str | None) -> None:
    span = completion.span
    if span is None:
        return
    completion.span = None
    usage = completion.usage
    span.end(
        {
            "gen_ai.response.model": completion.model.id,
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "sluicegate.request_id": completion.inbound.request_id,
            "sluicegate.cost_nano_usd": completion.cost_nano,
        },
        error=error,
    )
