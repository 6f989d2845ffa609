"""Settlement: what an answer cost, charged once, with its usage event, whatever happened."""

import logging

from sluicegate.admission.service import AdmissionService
from sluicegate.completions.pipeline.completion import Completion
from sluicegate.completions.pipeline.record import count, usage_event
from sluicegate.completions.types import RequestFacts, StreamMeter
from sluicegate.kernel.errors import SluicegateError
from sluicegate.kernel.models import Usage
from sluicegate.ledger.usage import Outcome

log = logging.getLogger(__name__)


async def settle(admission: AdmissionService, completion: Completion) -> None:
    """Charge `completion` for the usage it has, and record it. Does nothing the second time."""
    nano = completion.spent_nano + completion.model.prices.cost(completion.usage)
    await settle_amount(admission, completion, nano)


async def settle_amount(admission: AdmissionService, completion: Completion, nano: int) -> None:
    """Charge `completion` `nano` nano-dollars, and record it. Does nothing the second time."""
    grant = completion.grant
    if grant is None or completion.settled:
        return
    completion.cost_nano = nano
    event = usage_event(completion, "none")
    # Only from here on, with no pause since: a completion whose event cannot be written is not settled.
    completion.settled = True
    count(completion, "none")
    tokens = completion.spent.total_tokens + completion.usage.total_tokens
    if nano > grant.held_nano and not grant.degraded:
        log.warning(
            "%d nano-dollars were held for a request of %d",
            grant.held_nano,
            nano,
            extra={"request_id": completion.inbound.request_id, "model": completion.model.id},
        )
    await admission.settle(grant, nano, tokens, event)


async def give_back(
    admission: AdmissionService, completion: Completion, outcome: Outcome, error: SluicegateError | None
) -> None:
    """There is no answer: release the hold, less what tries used, and record the failure. Once."""
    if completion.grant is None or completion.settled:
        return
    completion.outcome = outcome
    completion.error = error.code if error is not None else completion.error
    completion.usage = Usage()
    await settle_amount(admission, completion, completion.spent_nano)


def charge_try(completion: Completion, used: Usage) -> None:
    """Charge a try at the present model that failed after its provider had begun to answer.

    It is an estimate: the provider never said what it will bill.
    """
    completion.spent = completion.spent.plus(used)
    completion.spent_nano += completion.model.prices.cost(used)
    completion.estimated = True


def take_usage(completion: Completion, meter: StreamMeter) -> None:
    """The usage of a stream: the provider's own figures, or what was counted, marked as estimated."""
    completion.usage = used_so_far(completion.facts, meter)
    if meter.usage is None or not meter.finished:
        completion.estimated = True


def used_so_far(facts: RequestFacts, meter: StreamMeter) -> Usage:
    """What a stream has used: as its provider said, and as was counted where that is silent or older."""
    usage = meter.usage
    if usage is None:
        return Usage(
            input_tokens=facts.input_estimate, output_tokens=meter.produced_tokens, images=facts.images
        )
    # Providers' figures count tokens only; a price per image is charged for what the request has.
    usage.images = facts.images
    if not meter.finished:
        # Figures said before the end (Anthropic's message_start) lack what came after them.
        usage.output_tokens = max(usage.output_tokens, meter.produced_tokens)
    return usage
