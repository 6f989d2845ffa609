"""Canonical JSON: RFC 8785's own examples, its author's vectors, and agreement of both ways to encode."""

import contextlib
import json
import math
import re
import struct
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.audit.canonical_json import (
    MAX_DEPTH,
    MAX_INTEGER,
    _encode_simple,
    _parts,
    decode,
    decode_canonical,
    encode,
)
from sluicegate.audit.errors import EncodingError

# RFC 8785, appendix B: IEEE 754 bits and the text they become.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
    # github.com/cyberphone/json-canonicalization, testdata
    "4340000000000001": "9007199254740994",
    "4340000000000002": "9007199254740996",
}

# RFC 8785, section 3.2.2, and github.com/cyberphone/json-canonicalization, testdata.
TEXTS = {
    r"""{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
         "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}""": (
        r"""{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"""
        r""""string":"€$\u000f\nA'B\"\\\\\"/"}"""
    ),
    '[56, {"d": true, "10": null, "1": []}]': '[56,{"1":[],"10":null,"d":true}]',
    '{"1": {"f": {"f": "hi","F": 5} ,"\\n": 56.0}, "10": {}, "": "empty", "a": {}, "111": [{}], "A": {}}': (
        '{"":"empty","1":{"\\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{}],"A":{},"a":{}}'
    ),
    '{"peach": "1", "péché": "2", "pêche": "3", "sin": "4"}': (
        '{"peach":"1","péché":"2","pêche":"3","sin":"4"}'
    ),
    r'{"Unnormalized Unicode":"A\u030a"}': '{"Unnormalized Unicode":"A\u030a"}',
    r"""{"\u20ac": "Euro Sign", "1": "One", "\u0080": "Control\u007f", "\ud83d\ude02": "Smiley",
         "\u00f6": "Latin", "\ufb33": "Hebrew", "</script>": "Browser Challenge"}""": (
        '{"1":"One","</script>":"Browser Challenge","\x80":"Control\x7f","ö":"Latin","€":"Euro Sign",'
        '"😂":"Smiley","\ufb33":"Hebrew"}'
    ),
}


def depth_of(value):
    if not isinstance(value, list | dict):
        return 0
    return 1 + max(map(depth_of, value.values() if isinstance(value, dict) else value), default=0)


LARGE_INTEGER = re.compile(rb"(?<![0-9.e+-])-?[0-9]{16,21}(?![0-9.e])")

scalars = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.text()
ascii_keys = st.text(st.characters(max_codepoint=127), max_size=8)
simple = st.dictionaries(
    ascii_keys,
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ascii_keys, inner, max_size=4),
        max_leaves=8,
    ).filter(lambda value: depth_of(value) < 8),
)
values = st.recursive(
    scalars | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_numbers_are_written_as_ecmascript_writes_them(bits, text):
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert encode(value) == text.encode()


@pytest.mark.parametrize(("text", "canonical"), TEXTS.items())
def test_known_texts(text, canonical):
    assert encode(decode(text.encode())) == canonical.encode()
    assert decode_canonical(canonical.encode()) == decode(text.encode())


def test_keys_are_sorted_by_utf_16_units_not_by_code_points():
    # RFC 8785, section 3.2.3
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    order = list(json.loads(encode(dict.fromkeys(keys, 1))))
    assert order == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_every_control_character_is_escaped_in_its_one_way():
    short = {"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r", '"': r"\"", "\\": r"\\"}
    for code in (*range(0x20), *map(ord, '"\\/\x7f\u2028')):
        character = chr(code)
        escaped = short.get(character, f"\\u{code:04x}" if code < 0x20 else character)
        assert encode(character) == encode({"a": character})[5:-1] == f'"{escaped}"'.encode()


@given(simple)
def test_the_fast_way_and_the_general_way_agree(value):
    assert encode(value) == "".join(_parts(value, 0)).encode()
    assert _encode_simple(value) == encode(value)


@pytest.mark.parametrize(
    "value", [{"a": 1.5}, {"\u00e9": 1}, {"a": [{"\uffff": 1}]}, {"a": (1,)}, {"a": {"b": [{1: 2}]}}]
)
def test_the_fast_way_leaves_to_the_general_way_what_it_cannot_do(value):
    assert _encode_simple(value) is None


@given(values)
def test_it_agrees_with_an_independent_implementation(value):
    rfc8785 = pytest.importorskip("rfc8785", reason="the independent implementation is not installed")
    assert encode(value) == rfc8785.dumps(value)


@given(values)
def test_a_canonical_text_is_read_back_and_is_a_fixed_point(value):
    text = encode(value)
    assert json.loads(text, parse_int=float) == value
    if not LARGE_INTEGER.search(text):
        assert encode(decode_canonical(text)) == text


def test_a_float_that_is_written_like_a_large_integer_is_not_read_back():
    text = encode(1e16)
    assert text == b"10000000000000000"
    with pytest.raises(EncodingError, match="integer literal"):
        decode(text)


@given(values, st.data())
def test_changing_one_byte_never_gives_the_same_value(value, data):
    text = bytearray(encode(value))
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(EncodingError):
        assert encode(decode_canonical(bytes(text))) != encode(value)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        MAX_INTEGER + 1,
        -MAX_INTEGER - 1,
        {"a": MAX_INTEGER + 1},
        {"a": 2**70},
        "\ud800",
        {"a": "\udfff"},
        {"\ud800": 1},
        {"é\udfff": 1},
        {1: "a"},
        {"a": {None: 1}},
        {"a": b"bytes"},
        b"bytes",
        {1, 2},
        object(),
        1j,
    ],
    ids=repr,
)
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises(EncodingError):
        encode(value)


def test_depth_is_bounded_both_ways():
    deep: list[object] = []
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert decode_canonical(encode(deep)) == deep
    with pytest.raises(EncodingError, match="deep"):
        encode([deep])
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(EncodingError, match="deep"):
            decode(b"[" * depth + b"]" * depth)


def test_depth_is_bounded_for_objects_too():
    deep: dict[str, object] = {}
    for _ in range(MAX_DEPTH - 1):
        deep = {"a": deep}
    assert decode_canonical(encode(deep)) == deep
    with pytest.raises(EncodingError, match="deep"):
        encode({"a": deep})


def test_subclasses_are_taken_for_what_they_hold():
    class Result(StrEnum):
        SUCCESS = "success"

    assert encode({"result": Result.SUCCESS}) == b'{"result":"success"}'
    assert encode((1, True)) == b"[1,true]"


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":1}',
        b'[{"b":{"a":1,"\\u0061":2}}]',
        b"9007199254740992",
        b"-9007199254740992",
        b"1" * 5000,
        b"1e999",
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b'"\\ud800"',
        b'{"\\uDFFF":1}',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b"\xef\xbb\xbf1",
        b'"\n"',
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"[1,]",
        b"'a'",
        b"1 2",
        b"",
    ],
    ids=lambda text: repr(text[:24]),
)
def test_doubtful_texts_are_refused(text):
    with pytest.raises(EncodingError):
        decode(text)


@pytest.mark.parametrize(
    "text",
    [b' {"a":1}', b'{"a": 1}', b'{"b":1,"a":1}', b"1.0", b"1e2", b"-0", b'"\\u0041"', b'"\\/"', b"[1]\n"],
)
def test_other_spellings_are_read_but_are_not_canonical(text):
    decode(text)
    with pytest.raises(EncodingError, match="canonical"):
        decode_canonical(text)
