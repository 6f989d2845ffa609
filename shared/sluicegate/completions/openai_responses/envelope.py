"""The response object around an answer: what was asked for, repeated, and what it is called."""

import re

from sluicegate.completions.types import Json
from sluicegate.kernel.ids import random_id

# Fields of a request that its response repeats, with the value where the client said nothing. Null
# stands for "as the provider likes": the gateway does not know a translated model's defaults.
_REPEATED: Json = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9]")


def suffix(provider_id: str) -> str:
    """What the ids of a response and its items end in, made of the provider's own id of the answer."""
    _, _, rest = provider_id.replace("-", "_").partition("_")
    return _NOT_IN_IDS.sub("", rest or provider_id) or random_id("")


def envelope(request: Json, ending: str, model: str, created: int) -> Json:
    """The response to `request` as it is at its start: in progress, without output.

    `ending` is the id's (`suffix`). Nothing that was answered by translation is kept anywhere, so
    `store` is false whatever was asked.
    """
    repeated = {
        name: value if request.get(name) is None else request[name] for name, value in _REPEATED.items()
    }
    return {
        "id": f"resp_{ending}",
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": [],
        "store": False,
        "usage": None,
        **repeated,
    }
