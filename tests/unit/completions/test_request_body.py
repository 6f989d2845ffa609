"""From bytes to a checked JSON object."""

import orjson
import pytest

from sluicegate.completions.body import parse_body
from sluicegate.completions.limits import RequestLimits
from sluicegate.kernel.errors import InvalidRequestError


def test_an_object_is_returned_as_it_is() -> None:
    assert parse_body('{"a":[1,{"b":"ü"}]}'.encode()) == {"a": [1, {"b": "ü"}]}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"[]",
        b'"text"',
        b"null",
        b"{",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\x00"}',
        b"\xef\xbb\xbf{}",
        b'{"a":1}x',
        b"{'a':1}",
        b"[" * 5_000,
    ],
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        parse_body(raw)


def test_a_syntax_error_says_where() -> None:
    with pytest.raises(InvalidRequestError, match="line 2 column 5"):
        parse_body(b'{\n"a":+1}')


def test_of_duplicate_keys_the_last_counts_and_is_what_goes_on() -> None:
    assert orjson.dumps(parse_body(b'{"model":"cheap","model":"dear"}')) == b'{"model":"dear"}'


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


def test_depth_is_counted_exactly() -> None:
    limits = RequestLimits(depth=5)
    assert parse_body(nested(5), limits)
    with pytest.raises(InvalidRequestError, match="deeper than 5"):
        parse_body(nested(6), limits)


def test_brackets_in_text_are_no_depth() -> None:
    assert parse_body(orjson.dumps({"a": "[{" * 500}), RequestLimits(depth=2))


def test_many_values_are_refused_before_they_are_made() -> None:
    limits = RequestLimits(nodes=100)
    assert parse_body(orjson.dumps({"a": [1] * 90}), limits)
    with pytest.raises(InvalidRequestError, match="more than 100"):
        parse_body(orjson.dumps({"a": [1] * 120}), limits)


def test_punctuation_in_text_is_no_value() -> None:
    assert parse_body(orjson.dumps({"a": ',:{["\\' * 200}), RequestLimits(nodes=10))


def test_an_unfinished_text_of_escapes_is_refused_in_linear_time() -> None:
    with pytest.raises(InvalidRequestError):
        parse_body(b'{"' + b'\\"' * 200_000 + b"," * 20, RequestLimits(nodes=10))
