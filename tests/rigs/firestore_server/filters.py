"""What a query's filters mean, and what they may be."""

from firestore_server.errors import invalid
from firestore_server.messages import StructuredQuery, Value
from firestore_server.values import ARRAY, NULL, NUMBER, find, order_key, parse_path

FieldFilter = StructuredQuery.FieldFilter
UnaryFilter = StructuredQuery.UnaryFilter
CompositeFilter = StructuredQuery.CompositeFilter
MOST_DISJUNCTIONS = 30
MOST_NOT_IN = 10
NAME = ("__name__",)

INEQUALITIES = {
    FieldFilter.LESS_THAN, FieldFilter.LESS_THAN_OR_EQUAL, FieldFilter.GREATER_THAN,
    FieldFilter.GREATER_THAN_OR_EQUAL, FieldFilter.NOT_EQUAL, FieldFilter.NOT_IN,
}  # fmt: skip
_COMPARE = {
    FieldFilter.LESS_THAN: lambda a, b: a < b,
    FieldFilter.LESS_THAN_OR_EQUAL: lambda a, b: a <= b,
    FieldFilter.GREATER_THAN: lambda a, b: a > b,
    FieldFilter.GREATER_THAN_OR_EQUAL: lambda a, b: a >= b,
}


def field_value(document, path):
    """The value that a filter or an order sees."""
    return Value(reference_value=document.name) if path == NAME else find(document.fields, path)


def compile_filter(where):
    """A function that tells whether a document matches."""
    kind = where.WhichOneof("filter_type")
    if kind is None:
        return lambda document: True
    if kind == "composite_filter":
        parts = [compile_filter(each) for each in where.composite_filter.filters]
        if not parts or where.composite_filter.op == CompositeFilter.OPERATOR_UNSPECIFIED:
            raise invalid("a composite filter without filters or operator")
        join = all if where.composite_filter.op == CompositeFilter.AND else any
        return lambda document: join(part(document) for part in parts)
    if kind == "unary_filter":
        return _unary(where.unary_filter)
    return _field(where.field_filter)


def _unary(where):
    path, op = parse_path(where.field.field_path), where.op

    def matches(document):
        value = field_value(document, path)
        if value is None:
            return False
        null, nan = order_key(value) == (NULL,), order_key(value) == (NUMBER, 0, 0)
        return {
            UnaryFilter.IS_NULL: null,
            UnaryFilter.IS_NAN: nan,
            UnaryFilter.IS_NOT_NULL: not null,
            UnaryFilter.IS_NOT_NAN: not nan and not null,
        }[op]

    return matches


def _field(where):
    path, op = parse_path(where.field.field_path), where.op
    wanted = order_key(where.value)
    if path == NAME:
        _check_references(where.value, op)
    if op in {FieldFilter.IN, FieldFilter.NOT_IN, FieldFilter.ARRAY_CONTAINS_ANY}:
        if wanted[0] != ARRAY or not wanted[1]:
            raise invalid("'in', 'not_in' and 'array_contains_any' need a non-empty array")
        if op == FieldFilter.NOT_IN and len(wanted[1]) > MOST_NOT_IN:
            raise invalid(f"'NOT_IN' supports up to {MOST_NOT_IN} comparison values.")

    def matches(document):
        value = field_value(document, path)
        return value is not None and _matches(op, order_key(value), wanted)

    return matches


def _matches(op, found, wanted):
    if op == FieldFilter.EQUAL:
        return found == wanted
    if op == FieldFilter.NOT_EQUAL:
        return found not in ((NULL,), wanted)
    if op == FieldFilter.IN:
        return found in wanted[1]
    if op == FieldFilter.NOT_IN:
        return found != (NULL,) and (NULL,) not in wanted[1] and found not in wanted[1]
    if op == FieldFilter.ARRAY_CONTAINS:
        return found[0] == ARRAY and wanted in found[1]
    if op == FieldFilter.ARRAY_CONTAINS_ANY:
        return found[0] == ARRAY and any(each in found[1] for each in wanted[1])
    if op in _COMPARE:
        # Only values of the same kind are compared.
        return found[0] == wanted[0] and _COMPARE[op](found, wanted)
    raise invalid("a filter without an operator")


def _check_references(value, op):
    each = value.array_value.values if op in {FieldFilter.IN, FieldFilter.NOT_IN} else [value]
    if any(part.WhichOneof("value_type") != "reference_value" for part in each):
        raise invalid("__key__ filter value must be a Key")


def inequality_paths(where):
    """Fields that are compared by anything but equality, without repetition, in the order of names."""
    kind, found = where.WhichOneof("filter_type"), set()
    if kind == "composite_filter":
        for each in where.composite_filter.filters:
            found.update(inequality_paths(each))
    elif kind == "field_filter" and where.field_filter.op in INEQUALITIES:
        found.add(parse_path(where.field_filter.field.field_path))
    elif kind == "unary_filter" and where.unary_filter.op in {
        UnaryFilter.IS_NOT_NULL,
        UnaryFilter.IS_NOT_NAN,
    }:
        found.add(parse_path(where.unary_filter.field.field_path))
    return sorted(found)


def disjuncts(where):
    """The filter as a disjunction of conjunctions: lists of (path, "eq" | "contains" | "range")."""
    kind = where.WhichOneof("filter_type")
    if kind is None:
        return [[]]
    if kind == "unary_filter":
        path = parse_path(where.unary_filter.field.field_path)
        equal = where.unary_filter.op in {UnaryFilter.IS_NULL, UnaryFilter.IS_NAN}
        return [[(path, "eq" if equal else "range")]]
    if kind == "field_filter":
        path, op = parse_path(where.field_filter.field.field_path), where.field_filter.op
        if op in {FieldFilter.IN, FieldFilter.ARRAY_CONTAINS_ANY}:
            each = "eq" if op == FieldFilter.IN else "contains"
            return [[(path, each)] for _ in where.field_filter.value.array_value.values]
        if op == FieldFilter.ARRAY_CONTAINS:
            return [[(path, "contains")]]
        return [[(path, "range" if op in INEQUALITIES else "eq")]]
    parts = [disjuncts(each) for each in where.composite_filter.filters]
    if where.composite_filter.op == CompositeFilter.OR:
        return [each for part in parts for each in part]
    joined = [[]]
    for part in parts:
        joined = [a + b for a in joined for b in part]
        if len(joined) > 10_000:
            break
    return joined


def check_disjunctions(where):
    if len(disjuncts(where)) > MOST_DISJUNCTIONS:
        raise invalid(f"the query has more than {MOST_DISJUNCTIONS} disjunctions in disjunctive normal form")
