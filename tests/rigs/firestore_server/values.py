"""Values: their order, their equality, and where they lie in a document.

https://cloud.google.com/firestore/docs/concepts/data-types: null, booleans, numbers (NaN first, integers and
floats by value), times, strings by UTF-8, bytes, references, points, arrays, vectors, maps.
"""

import math
import re

from firestore_server.errors import invalid
from firestore_server.messages import MapValue

NULL, BOOLEAN, NUMBER, TIME, STRING, BYTES, REFERENCE, POINT, ARRAY, VECTOR, MAP = range(11)
_VECTOR_MARK = "__vector__"
_SEGMENT = re.compile(r"[A-Za-z_][A-Za-z_0-9]*|`(?:[^`\\]|\\.)*`")


def kind(value):
    """Which of the eleven kinds it is."""
    return order_key(value)[0]


def order_key(value):
    """A tuple that compares as the value does; equal values have equal ones."""
    name = value.WhichOneof("value_type")
    if name is None or name == "null_value":
        return (NULL,)
    if name == "boolean_value":
        return (BOOLEAN, value.boolean_value)
    if name in {"integer_value", "double_value"}:
        number = getattr(value, name)
        return (NUMBER, 0, 0) if math.isnan(number) else (NUMBER, 1, number)
    if name == "timestamp_value":
        return (TIME, value.timestamp_value.seconds, value.timestamp_value.nanos)
    if name == "string_value":
        return (STRING, value.string_value.encode())
    if name == "bytes_value":
        return (BYTES, value.bytes_value)
    if name == "reference_value":
        return (REFERENCE, name_key(value.reference_value))
    if name == "geo_point_value":
        return (POINT, value.geo_point_value.latitude, value.geo_point_value.longitude)
    if name == "array_value":
        return (ARRAY, tuple(order_key(each) for each in value.array_value.values))
    if name == "map_value":
        fields = value.map_value.fields
        if fields["__type__"].string_value == _VECTOR_MARK if "__type__" in fields else False:
            parts = fields["value"].array_value.values
            return (VECTOR, len(parts), tuple(order_key(each) for each in parts))
        return (MAP, tuple((key.encode(), order_key(fields[key])) for key in sorted(fields, key=str.encode)))
    raise invalid(f"a value of type {name} cannot be stored")


def name_key(name):
    """The order of document names: segment by segment, numeric ids first."""
    return tuple(_id_key(segment) for segment in name.split("/"))


def _id_key(segment):
    match = re.fullmatch(r"__id(-?\d+)__", segment)
    return (0, int(match[1]), b"") if match else (1, 0, segment.encode())


def parse_path(path):
    """The segments of a field path, quotes taken away."""
    segments, at = [], 0
    while True:
        match = _SEGMENT.match(path, at)
        if match is None:
            raise invalid(f'Invalid property path "{path}".')
        text = match[0]
        segments.append(re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith("`") else text)
        at = match.end()
        if at == len(path):
            return tuple(segments)
        if path[at] != ".":
            raise invalid(f'Invalid property path "{path}".')
        at += 1


def find(fields, path):
    """The value at a parsed path; None where there is none."""
    for number, segment in enumerate(path):
        if segment not in fields:
            return None
        value = fields[segment]
        if number == len(path) - 1:
            return value
        if value.WhichOneof("value_type") != "map_value":
            return None
        fields = value.map_value.fields
    return None


def put(fields, path, value):
    """Store the value at a parsed path; what is in the way and no map is replaced."""
    for segment in path[:-1]:
        if fields[segment].WhichOneof("value_type") != "map_value":
            fields[segment].map_value.CopyFrom(MapValue())
        fields = fields[segment].map_value.fields
    fields[path[-1]].CopyFrom(value)


def remove(fields, path):
    """Forget the value at a parsed path."""
    for segment in path[:-1]:
        if segment not in fields or fields[segment].WhichOneof("value_type") != "map_value":
            return
        fields = fields[segment].map_value.fields
    if path[-1] in fields:
        del fields[path[-1]]


def project(fields, paths, into):
    """Copy the values at parsed paths into `into`."""
    for path in paths:
        value = find(fields, path)
        if value is not None:
            put(into, path, value)
