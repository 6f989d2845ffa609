"""Transforms of fields, as the protocol tells them."""

import math

from firestore_server.errors import invalid
from firestore_server.messages import Value
from firestore_server.values import find, order_key, parse_path, put

_MOST, _LEAST = 2**63 - 1, -(2**63)


def apply_transforms(fields, transforms, at):
    """Apply them in order to `fields`; the results that a WriteResult lists."""
    return [_apply(fields, each, at) for each in transforms]


def _apply(fields, transform, at):
    path = parse_path(transform.field_path)
    before = find(fields, path)
    name = transform.WhichOneof("transform_type")
    null = Value(null_value=0)
    if name == "set_to_server_value":
        after = result = Value(timestamp_value=_milliseconds(at))
    elif name == "increment":
        after = result = _incremented(before, transform.increment)
    elif name in {"maximum", "minimum"}:
        after = result = _extreme(before, getattr(transform, name), larger=name == "maximum")
    elif name == "append_missing_elements":
        after, result = _united(before, transform.append_missing_elements), null
    elif name == "remove_all_from_array":
        after, result = _without(before, transform.remove_all_from_array), null
    else:
        raise invalid("a transform says nothing")
    put(fields, path, after)
    return result


def _milliseconds(at):
    time = type(at)()
    time.seconds, time.nanos = at.seconds, at.nanos // 1_000_000 * 1_000_000
    return time


def _number(value):
    if value is None or value.WhichOneof("value_type") not in {"integer_value", "double_value"}:
        return None
    return getattr(value, value.WhichOneof("value_type"))


def _operand(value):
    number = _number(value)
    if number is None:
        raise invalid("the operand of a numeric transform is no number")
    return number


def _incremented(before, operand):
    amount, number = _operand(operand), _number(before)
    if number is None:
        return operand
    if isinstance(amount, float) or isinstance(number, float):
        return Value(double_value=float(number) + float(amount))
    return Value(integer_value=min(max(number + amount, _LEAST), _MOST))


def _extreme(before, operand, *, larger):
    amount, number = _operand(operand), _number(before)
    if number is None:
        return operand
    for value, each in ((before, number), (operand, amount)):
        if math.isnan(each):
            return value
    if number == amount:
        return before
    return operand if (amount > number) == larger else before


def _elements(before):
    return list(before.array_value.values) if before is not None and before.HasField("array_value") else []


def _united(before, operand):
    result = Value()
    result.array_value.SetInParent()
    kept = _elements(before)
    result.array_value.values.extend(kept)
    seen = {order_key(each) for each in kept}
    for each in operand.values:
        if order_key(each) not in seen:
            seen.add(order_key(each))
            result.array_value.values.append(each)
    return result


def _without(before, operand):
    gone = {order_key(each) for each in operand.values}
    result = Value()
    result.array_value.SetInParent()
    result.array_value.values.extend(each for each in _elements(before) if order_key(each) not in gone)
    return result
