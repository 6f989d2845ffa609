"""Settlement: what an answer cost, charged once, with its usage event, whatever happened."""

from sluicegate.admission.service import AdmissionService
from sluicegate.completions.pipeline.completion import Completion
from sluicegate.completions.pipeline.record import count, usage_event
from sluicegate.completions.types import StreamMeter
from sluicegate.kernel.errors import SluicegateError
from sluicegate.kernel.models import Usage
from sluicegate.ledger.usage import Outcome


async def settle(admission: AdmissionService, completion: Completion) -> None:
    """Charge `completion` for the usage it has, and record it. Does nothing the second time."""
    grant = completion.grant
    if grant is None or completion.settled:
        return
    completion.settled = True
    completion.cost_nano = completion.spent_nano + completion.model.prices.cost(completion.usage)
    event = usage_event(completion, "none")
    count(completion, "none")
    await admission.settle(grant, completion.cost_nano, completion.usage.total_tokens, event)


async def give_back(
    admission: AdmissionService, completion: Completion, outcome: Outcome, error: SluicegateError | None
) -> None:
    """Nothing was produced: release the hold and record the failure. Does nothing the second time."""
    grant = completion.grant
    if grant is None or completion.settled:
        return
    completion.settled = True
    completion.outcome = outcome
    completion.error = error.code if error is not None else completion.error
    completion.cost_nano = completion.spent_nano
    completion.usage = Usage()
    event = usage_event(completion, "none")
    count(completion, "none")
    if completion.cost_nano:
        await admission.settle(grant, completion.cost_nano, 0, event)
    else:
        await admission.release(grant, event)


def take_usage(completion: Completion, meter: StreamMeter) -> None:
    """The usage of a stream: the provider's own figures, or what was counted, marked as estimated."""
    usage = meter.usage
    if usage is not None:
        completion.usage = usage
        if meter.finished:
            return
        # Figures said before the end (Anthropic's message_start) lack what came after them.
        usage.output_tokens = max(usage.output_tokens, meter.produced_tokens)
    else:
        completion.usage = Usage(
            input_tokens=completion.facts.input_estimate, output_tokens=meter.produced_tokens
        )
    completion.estimated = True
