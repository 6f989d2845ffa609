"""How much money and how many tokens a request holds, and how far its answer may go. Pure."""

from dataclasses import dataclass

from sluicegate.completions.bounds import IMAGE_TOKENS
from sluicegate.completions.types import RequestFacts
from sluicegate.kernel.models import Capability, Model


@dataclass(frozen=True, slots=True)
class Size:
    """What one request asks of admission at one model.

    `input_bound` bounds the prompt's tokens at this model, `cap` the output tokens per choice.
    `want_nano` pays for both (for a sliced stream: for its first slice), `floor_nano` for the smallest
    answer worth starting. `tokens` are to be reserved against token limits, `floor_tokens` would do for
    the smallest answer. `sliced` says that the hold grows while the stream runs.
    """

    input_bound: int
    cap: int
    want_nano: int
    floor_nano: int
    tokens: int
    floor_tokens: int
    sliced: bool


def size(model: Model, facts: RequestFacts, minimum_output: int, slice_tokens: int) -> Size:
    """The size of a request with `facts` at `model`. Sound: the hold covers any answer within `cap`."""
    prices = model.prices
    bound = facts.input_bound
    if facts.images:
        bound += max(0, model.image_tokens - IMAGE_TOKENS) * facts.images
    if Capability.EMBEDDINGS in facts.capabilities:
        hold = prices.hold(bound, 0, facts.images)
        return Size(bound, 0, want_nano=hold, floor_nano=hold, tokens=bound, floor_tokens=bound, sliced=False)
    # A longer prompt than the model can read is refused by the provider, and costs nothing.
    bound = min(bound, model.context_tokens)
    cap = min(
        model.tokens_per_request,
        model.output_tokens_limit,
        max(1, model.context_tokens - facts.input_estimate),
    )
    if facts.max_output_tokens is not None:
        cap = min(cap, facts.max_output_tokens)
    first = cap * facts.choices
    sliced = facts.stream and first > slice_tokens
    if sliced:
        first = slice_tokens
    least = min(min(minimum_output, cap) * facts.choices, first)
    return Size(
        input_bound=bound,
        cap=cap,
        want_nano=prices.hold(bound, first, facts.images),
        floor_nano=prices.hold(bound, least, facts.images),
        tokens=bound + first,
        floor_tokens=bound + least,
        sliced=sliced,
    )


def affordable_cap(model: Model, facts: RequestFacts, wanted: Size, nano: int) -> int:
    """`wanted.cap`, lowered to the output tokens per choice that `nano` nano-dollars pay beside the input."""
    total = model.prices.affordable_output(nano, wanted.input_bound, facts.images)
    if total is None:
        return wanted.cap
    return max(0, min(wanted.cap, total // facts.choices))
