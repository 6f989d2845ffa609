"""The OpenAI embeddings codec."""

from typing import Any

import orjson
import pytest

from sluicegate.completions import bounds
from sluicegate.completions.openai_embeddings.codec import EmbeddingsCodec
from sluicegate.completions.registry import codecs
from sluicegate.completions.types import Json, RequestFacts
from sluicegate.kernel.errors import InvalidRequestError, RateLimitedError
from sluicegate.kernel.models import Capability, Dialect, Usage

CODEC = EmbeddingsCodec()


def inspect(**body: Any) -> RequestFacts:
    body = {"model": "m", **body}
    return CODEC.inspect(body, len(orjson.dumps(body)))


@pytest.mark.parametrize("given", ["hello", ["hello", "you"], ["x"] * 2_048, ""])
def test_text_is_bounded_by_its_bytes(given: Any) -> None:
    facts = inspect(input=given, user="u1", dimensions=256, encoding_format="base64")
    assert facts.capabilities == {Capability.EMBEDDINGS}
    size = len(orjson.dumps({"model": "m", "input": given, "user": "u1", "dimensions": 256,
                             "encoding_format": "base64"}))  # fmt: skip
    assert facts.input_bound == size + bounds.FRAMING_TOKENS
    assert facts.input_estimate == size // 4
    assert (facts.stream, facts.max_output_tokens, facts.end_user) == (False, None, "u1")


@pytest.mark.parametrize(
    ("given", "tokens"), [([1, 2, 3], 3), ([[100_000, 2], [3]], 3), ([7] * 5_000, 5_000)]
)
def test_token_numbers_are_counted(given: Any, tokens: int) -> None:
    facts = inspect(input=given)
    assert facts.input_estimate == tokens
    assert facts.input_bound == tokens + bounds.FRAMING_TOKENS


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": 3}, "input"),
        ({"input": {"text": "x"}}, "input"),
        ({"input": ["x"] * 2_049}, "input"),
        ({"input": [[1]] * 2_049}, "input"),
        ({"input": ["x", 3]}, "input.1"),
        ({"input": [1, "x"]}, "input.1"),
        ({"input": [1, -2]}, "input.1"),
        ({"input": [True]}, "input.0"),
        ({"input": [[1], "x"]}, "input.1"),
        ({"input": [[1], []]}, "input.1"),
        ({"input": [[1], [2.5]]}, "input.1.0"),
        ({"input": "x", "dimensions": 0}, "dimensions"),
        ({"input": "x", "dimensions": "many"}, "dimensions"),
        ({"input": "x", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "x", "encoding_format": ["float"]}, "encoding_format"),
        ({"input": "x", "user": 3}, "user"),
        ({"input": "x", "stream": True}, "stream"),
        ({"input": "x", "model": ""}, "model"),
    ],
)
def test_a_bad_field_is_named(body: Json, param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        inspect(**body)
    assert caught.value.param == param


def test_only_the_models_name_changes_on_the_way() -> None:
    body = {"model": "m", "input": "x", "encoding_format": "base64", "vendor": 1}
    assert orjson.loads(CODEC.prepare(body, "up", 5)) == {**body, "model": "up"}


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        ({"usage": {"prompt_tokens": 5, "total_tokens": 5}}, Usage(input_tokens=5)),
        ({"usage": {"total_tokens": 5}}, None),
        ({}, None),
    ],
)
def test_usage_is_read(answer: Json, usage: Usage | None) -> None:
    assert CODEC.usage(answer) == usage


def test_there_are_no_streams() -> None:
    calls: list[Any] = [lambda: CODEC.meter(inspect(input="x")), lambda: CODEC.assembler(9),
                        lambda: CODEC.replay({})]  # fmt: skip
    for call in calls:
        with pytest.raises(InvalidRequestError):
            call()


def test_errors_are_openais() -> None:
    error = RateLimitedError("slow")
    content = {"message": "slow", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}
    assert orjson.loads(CODEC.error(error, "r")) == {"error": content}
    assert orjson.loads(CODEC.stream_error(error, "r").removeprefix(b"data: ")) == {"error": content}


def test_every_dialect_has_its_codec() -> None:
    assert {dialect: codec.dialect for dialect, codec in codecs().items()} == {each: each for each in Dialect}
