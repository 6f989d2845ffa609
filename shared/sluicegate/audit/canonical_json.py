"""Canonical JSON (RFC 8785): one value, one sequence of bytes, so that a hash of it means the value.

Values are those of I-JSON (RFC 7493): text without lone surrogates, numbers that a double holds exactly,
objects whose keys are unique. Numbers are written as ECMAScript writes them, keys sorted by UTF-16.
"""

import json
import math
from collections.abc import Collection, Mapping
from decimal import Decimal
from itertools import chain
from typing import Any, NoReturn

import orjson

from sluicegate.audit.errors import EncodingError

MAX_INTEGER = 2**53 - 1  # RFC 7493, section 2.2
MAX_DEPTH = 64

_PLAIN = frozenset({str, int, bool, type(None)})
_SIMPLE = _PLAIN | {dict, list}
_SIMPLE_DEPTH = 8
# Without floats and with ASCII keys orjson's sorted output is the canonical form: code point order is UTF-16
# order below the surrogates, and it escapes as RFC 8785 does. Tests hold it to the general encoder.
_FAST = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_text = json.JSONEncoder(ensure_ascii=False).encode


def encode(value: Any) -> bytes:
    """The canonical JSON form of `value`, in UTF-8 (RFC 8785, section 3.2).

    Args:
        value: None, a bool, int, float, str, list, tuple, or a mapping with str keys, nested at most
            `MAX_DEPTH` deep.

    Raises:
        EncodingError: a number is not finite, or an integer beyond `MAX_INTEGER` either way; a string holds a
            lone surrogate; a key is no string; another type; nested too deep.
    """
    if type(value) is dict and (fast := _encode_simple(value)) is not None:
        return fast
    try:
        return "".join(_parts(value, 0)).encode()
    except UnicodeEncodeError as error:
        raise EncodingError("Text with a lone surrogate has no canonical JSON form.") from error


def decode(data: bytes) -> Any:
    """The value of a JSON text, read strictly (RFC 7493): what two readers might take differently is refused.

    Any spacing and order of keys is accepted; see `decode_canonical` for the one form.

    Raises:
        EncodingError: not UTF-8, not JSON, a key twice in an object, an integer literal beyond `MAX_INTEGER`,
            a number too large for a double, NaN or Infinity, a lone surrogate, nested too deep.
    """
    try:
        value = _STRICT.decode(data.decode())
    except UnicodeDecodeError as error:
        raise EncodingError("The JSON text is not valid UTF-8.") from error
    except json.JSONDecodeError as error:
        raise EncodingError(f"Not a JSON text: {error}.") from error
    except (RecursionError, ValueError) as error:
        raise EncodingError("The JSON text is nested too deep or holds too long a number.") from error
    _check(value, surrogates=b"\\u" in data)
    return value


def decode_canonical(data: bytes) -> Any:
    """The value of a JSON text that is in canonical form, to the byte.

    Raises:
        EncodingError: as `decode`, and when `encode` of the value is not `data`.
    """
    value = decode(data)
    if encode(value) != data:
        raise EncodingError("The JSON text is not in canonical form (RFC 8785).")
    return value


def _encode_simple(value: dict[Any, Any]) -> bytes | None:
    """The form of a simple object; None where the general way must encode or refuse it."""
    try:
        return orjson.dumps(value, option=_FAST) if _is_simple(value, 1) else None
    except TypeError:
        return None


def _is_simple(value: dict[Any, Any] | list[Any], depth: int) -> bool:
    items: Collection[Any] = value
    if type(value) is dict:
        if not "".join(value).isascii():
            return False
        items = value.values()
    kinds = set(map(type, items))
    if kinds <= _PLAIN:
        return True
    if depth == _SIMPLE_DEPTH or not kinds <= _SIMPLE:
        return False
    return all(_is_simple(item, depth + 1) for item in items if type(item) not in _PLAIN)


def _parts(value: Any, depth: int) -> list[str]:
    if isinstance(value, str):
        return [_text(str.__str__(value))]
    if value is None:
        return ["null"]
    if value is True or value is False:
        return ["true" if value else "false"]
    if isinstance(value, int):
        return [_integer(value)]
    if isinstance(value, float):
        return [_number(value)]
    if depth == MAX_DEPTH:
        raise EncodingError(f"Nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, list | tuple):
        items = [_parts(item, depth + 1) for item in value]
        return ["[", *_joined(items), "]"]
    if isinstance(value, Mapping):
        members = [[_text(key), ":", *_parts(value[key], depth + 1)] for key in sorted(value, key=_order)]
        return ["{", *_joined(members), "}"]
    raise EncodingError(f"A value of type {type(value).__name__} has no canonical JSON form.")


def _joined(items: list[list[str]]) -> list[str]:
    for item in items[1:]:
        item.insert(0, ",")
    return list(chain.from_iterable(items))


def _order(key: Any) -> bytes:
    if not isinstance(key, str):
        raise EncodingError(f"Keys are strings; this one is of type {type(key).__name__}.")
    return key.encode("utf-16-be")  # RFC 8785, section 3.2.3


def _integer(value: int) -> str:
    if abs(value) > MAX_INTEGER:
        raise EncodingError("Integers beyond 2^53 - 1 are not exact in JSON: write them as strings.")
    return int.__repr__(value)


def _number(value: float) -> str:
    """`value` as ECMAScript's Number::toString writes it (RFC 8785, section 3.2.2.3)."""
    if not math.isfinite(value):
        raise EncodingError("NaN and Infinity have no JSON form.")
    if value == 0:
        return "0"
    # repr gives the shortest digits that round-trip, as ECMAScript asks; only their layout differs.
    negative, figures, exponent = Decimal(float.__repr__(value)).normalize().as_tuple()
    digits = "".join(map(str, figures))
    point = len(digits) + int(exponent)
    if point > 21 or point <= -6:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{fraction}e{point - 1:+d}"
    elif point <= 0:
        text = f"0.{'0' * -point}{digits}"
    elif point < len(digits):
        text = f"{digits[:point]}.{digits[point:]}"
    else:
        text = digits.ljust(point, "0")
    return f"-{text}" if negative else text


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise EncodingError("A key occurs twice in one object.")
    return value


def _read_integer(literal: str) -> int:
    if len(literal) > 17 or abs(value := int(literal)) > MAX_INTEGER:
        raise EncodingError("An integer literal is beyond 2^53 - 1.")
    return value


def _read_number(literal: str) -> float:
    value = float(literal)
    if math.isinf(value):
        raise EncodingError("A number is too large for a double.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise EncodingError(f"{name} is not JSON.")


def _check(value: Any, *, surrogates: bool, depth: int = 0) -> None:
    if isinstance(value, str):
        if surrogates and not _is_text(value):
            raise EncodingError("A string holds a lone surrogate.")
    elif isinstance(value, dict | list):
        if depth == MAX_DEPTH:
            raise EncodingError(f"Nested deeper than {MAX_DEPTH} levels.")
        for item in chain(value, value.values()) if isinstance(value, dict) else value:
            _check(item, surrogates=surrogates, depth=depth + 1)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


_STRICT = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_read_integer,
    parse_float=_read_number,
    parse_constant=_refuse_constant,
)
