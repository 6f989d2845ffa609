"""OpenAI's usage figures, both ways.

`prompt_tokens` includes what was read from the prompt cache and what was written to it;
`completion_tokens` includes reasoning.
"""

from dataclasses import replace
from typing import Any

from sluicegate.completions.fields import counted, whole
from sluicegate.completions.types import Json, RequestFacts
from sluicegate.kernel.models import Usage


def decode_usage(figures: Any) -> Usage | None:
    """The usage object of an answer or a chunk as `Usage`; None where there are no figures to believe.

    A few compatible providers leave reasoning out of `completion_tokens`; their `total_tokens` shows
    it, and then reasoning is added, since it is billed as output.
    """
    if type(figures) is not dict:
        return None
    if not counted(figures.get("prompt_tokens"), figures.get("completion_tokens")):
        return None
    prompt = whole(figures.get("prompt_tokens"))
    output = whole(figures.get("completion_tokens"))
    cached = written = reasoning = 0
    details = figures.get("prompt_tokens_details")
    if type(details) is dict:
        cached = min(whole(details.get("cached_tokens")), prompt)
        written = min(whole(details.get("cache_write_tokens")), prompt - cached)
    details = figures.get("completion_tokens_details")
    if type(details) is dict:
        reasoning = whole(details.get("reasoning_tokens"))
        if reasoning and whole(figures.get("total_tokens")) == prompt + output + reasoning:
            output += reasoning
    return Usage(
        input_tokens=prompt - cached - written,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=min(reasoning, output),
    )


def with_running_usage(body: Json, facts: RequestFacts) -> tuple[Json, RequestFacts]:
    """A stream's request that asks for figures in every chunk, and its facts.

    `continuous_usage_stats` is vLLM's (https://docs.vllm.ai, OpenAI-compatible server) and is known to some
    servers like it; OpenAI's own refuses it.
    """
    options: Json = body.get("stream_options") or {}
    if options.get("continuous_usage_stats"):
        return body, facts
    asked = {**options, "continuous_usage_stats": True}
    return {**body, "stream_options": asked}, replace(facts, hide_running_usage=True)


def encode_usage(usage: Usage) -> Json:
    """`usage` as OpenAI's usage object."""
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
