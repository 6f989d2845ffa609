"""The usage figures of OpenAI responses, both ways.

`input_tokens` includes what was read from the prompt cache and what was written to it; `output_tokens`
includes reasoning.
"""

from typing import Any

from sluicegate.completions.fields import counted, whole
from sluicegate.completions.types import Json
from sluicegate.kernel.models import Usage


def decode_usage(figures: Any) -> Usage | None:
    """The usage object of a response as `Usage`; None where there are no figures to believe."""
    if type(figures) is not dict:
        return None
    if not counted(figures.get("input_tokens"), figures.get("output_tokens")):
        return None
    prompt = whole(figures.get("input_tokens"))
    output = whole(figures.get("output_tokens"))
    cached = written = reasoning = 0
    details = figures.get("input_tokens_details")
    if type(details) is dict:
        cached = min(whole(details.get("cached_tokens")), prompt)
        written = min(whole(details.get("cache_write_tokens")), prompt - cached)
    details = figures.get("output_tokens_details")
    if type(details) is dict:
        reasoning = min(whole(details.get("reasoning_tokens")), output)
    return Usage(
        input_tokens=prompt - cached - written,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )


def encode_usage(usage: Usage) -> Json:
    """`usage` as the usage object of a response."""
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_input_tokens, "cache_write_tokens": written},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
