"""count, sum and avg over a query."""

import math

from firestore_server.errors import invalid
from firestore_server.messages import Value
from firestore_server.values import find, parse_path

MOST = 5
_LEAST_INTEGER, _MOST_INTEGER = -(2**63), 2**63 - 1


def aggregated_paths(aggregations):
    """The fields that are summed or averaged."""
    paths = []
    for each in aggregations:
        kind = each.WhichOneof("operator")
        if kind in {"sum", "avg"}:
            paths.append(parse_path(getattr(each, kind).field.field_path))
    return paths


def aggregate(documents, aggregations):
    """The results by alias."""
    if not 1 <= len(aggregations) <= MOST:
        raise invalid(f"a query has from 1 to {MOST} aggregations")
    paths = aggregated_paths(aggregations)
    # All of one query are over the documents that have every aggregated field.
    documents = [each for each in documents if all(find(each.fields, path) is not None for path in paths)]
    results = {}
    for number, each in enumerate(aggregations):
        results[each.alias or f"field_{number + 1}"] = _one(documents, each)
    if len(results) != len(aggregations):
        raise invalid("aliases must differ")
    return results


def _one(documents, aggregation):
    kind = aggregation.WhichOneof("operator")
    if kind == "count":
        most = aggregation.count.up_to.value if aggregation.count.HasField("up_to") else None
        if most is not None and most <= 0:
            raise invalid("up_to must be above 0")
        return Value(integer_value=len(documents) if most is None else min(len(documents), most))
    path = parse_path(getattr(aggregation, kind).field.field_path)
    numbers = [
        getattr(value, value.WhichOneof("value_type"))
        for value in (find(each.fields, path) for each in documents)
        if value.WhichOneof("value_type") in {"integer_value", "double_value"}
    ]
    if kind == "avg":
        return Value(double_value=_total(numbers) / len(numbers)) if numbers else Value(null_value=0)
    total = _total(numbers)
    if isinstance(total, int) and _LEAST_INTEGER <= total <= _MOST_INTEGER:
        return Value(integer_value=total)
    return Value(double_value=float(total))


def _total(numbers):
    if all(isinstance(each, int) for each in numbers):
        return sum(numbers)
    return math.fsum(numbers) if all(map(math.isfinite, numbers)) else sum(map(float, numbers))
