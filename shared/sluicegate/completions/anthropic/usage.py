"""Anthropic's usage figures, both ways. `input_tokens` excludes what the cache read or wrote."""

from typing import Any

from sluicegate.completions.fields import counted, whole
from sluicegate.completions.types import Json
from sluicegate.kernel.models import Usage

_MOST_ITERATIONS = 64


def decode_usage(figures: Any) -> Usage | None:
    """The usage object of a message as `Usage`; None where there are no figures to believe."""
    if type(figures) is not dict:
        return None
    if not counted(figures.get("input_tokens"), figures.get("output_tokens")):
        return None
    written = whole(figures.get("cache_creation_input_tokens"))
    written_1h = 0
    ages = figures.get("cache_creation")
    if type(ages) is dict:
        written_1h = whole(ages.get("ephemeral_1h_input_tokens"))
        written = max(written, written_1h + whole(ages.get("ephemeral_5m_input_tokens")))
    output = whole(figures.get("output_tokens"))
    details = figures.get("output_tokens_details")
    reasoning = whole(details.get("thinking_tokens")) if type(details) is dict else 0
    usage = Usage(
        input_tokens=whole(figures.get("input_tokens")),
        cached_input_tokens=whole(figures.get("cache_read_input_tokens")),
        cache_write_tokens=written - written_1h,
        cache_write_1h_tokens=written_1h,
        output_tokens=output,
        reasoning_tokens=min(reasoning, output),
    )
    iterations = figures.get("iterations")
    if type(iterations) is list:
        for each in iterations[:_MOST_ITERATIONS]:
            # The top-level figures leave out what summing up the conversation took; all else is in them.
            if type(each) is dict and each.get("type") == "compaction":
                usage = usage.plus(decode_usage({**each, "iterations": None}) or Usage())
    return usage


def encode_usage(usage: Usage) -> Json:
    """`usage` as Anthropic's usage object."""
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens + usage.cache_write_1h_tokens,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


class RunningUsage:
    """The figures of one stream: what `message_start` said, overlaid by each `message_delta`.

    The later figures are cumulative, so they replace the earlier ones; a field left out keeps its
    value.
    """

    __slots__ = ("_figures",)

    def __init__(self) -> None:
        self._figures: Json = {}

    def add(self, figures: Any) -> Usage | None:
        """Take in one usage object; the usage as known now."""
        if type(figures) is dict:
            self._figures.update((name, value) for name, value in figures.items() if value is not None)
        return decode_usage(self._figures)
