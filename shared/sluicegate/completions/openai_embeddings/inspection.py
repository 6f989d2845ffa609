"""What an OpenAI embeddings request asks for, and whether it is one at all."""

from typing import Any

from sluicegate.completions import bounds, fields
from sluicegate.completions.fields import invalid
from sluicegate.completions.limits import RequestLimits
from sluicegate.completions.types import Json, RequestFacts
from sluicegate.kernel.models import Capability

MAX_INPUTS = 2_048
"""Inputs of one request (OpenAI's API reference, "Create embeddings")."""

_MAX_DIMENSIONS = 1 << 16
_ENCODINGS = ("float", "base64")
_NEEDS = frozenset({Capability.EMBEDDINGS})


def inspect(body: Json, size: int, limits: RequestLimits) -> RequestFacts:
    """The facts of the request `body`, whose JSON is `size` bytes long.

    Raises:
        InvalidRequestError: a field is missing or of the wrong shape, or the answer is to be a stream.
    """
    model = fields.text(body, "model", limits.name_bytes)
    tokens = _tokens(body.get("input"))
    fields.count(body, "dimensions", 1, _MAX_DIMENSIONS)
    if body.get("encoding_format") not in (None, *_ENCODINGS):
        raise invalid("encoding_format", "must be 'float' or 'base64'")
    if fields.flag(body, "stream"):
        raise invalid("stream", "must be false: embeddings come whole")
    return RequestFacts(
        model=model,
        stream=False,
        choices=1,
        max_output_tokens=None,
        # Token numbers are billed one by one; text has no more tokens than bytes.
        input_bound=(size if tokens is None else tokens) + bounds.FRAMING_TOKENS,
        input_estimate=size >> 2 if tokens is None else tokens,
        capabilities=_NEEDS,
        end_user=fields.word(body, "user", ""),
    )


def _tokens(given: Any) -> int | None:
    """How many tokens the input has if it is given in token numbers, None if it is text."""
    if type(given) is str:
        return None
    if type(given) is not list or not given:
        raise invalid("input", "is required and must be a string or a non-empty list")
    if type(given[0]) is int:
        _check_numbers(given, "input")
        return len(given)
    if len(given) > MAX_INPUTS:
        raise invalid("input", f"has {len(given)} items, more than the {MAX_INPUTS} allowed")
    if type(given[0]) is list:
        for index, numbers in enumerate(given):
            if type(numbers) is not list or not numbers:
                raise invalid(f"input.{index}", "must be a non-empty list of token numbers, like the first")
            _check_numbers(numbers, f"input.{index}")
        return sum(map(len, given))
    for index, text in enumerate(given):
        if type(text) is not str:
            raise invalid(f"input.{index}", "must be a string; strings and token numbers cannot be mixed")
    return None


def _check_numbers(numbers: list[Any], path: str) -> None:
    for index, number in enumerate(numbers):
        if type(number) is not int or number < 0:
            raise invalid(f"{path}.{index}", "must be a token number")
