"""Structured queries: from, where, select, order by, cursors, offset, limit."""

import grpc

from firestore_server.errors import StatusError, invalid
from firestore_server.filters import (
    NAME,
    check_disjunctions,
    compile_filter,
    field_value,
    inequality_paths,
)
from firestore_server.messages import Document, StructuredQuery
from firestore_server.values import order_key, parse_path, project

DESCENDING = StructuredQuery.DESCENDING


class Query:
    """A query below `parent`, ready to be run on a store at a moment."""

    def __init__(self, store, parent, query, indexes=None, aggregated=()):
        self._store = store
        self._parent = parent
        self._query = query
        if len(query.from_) != 1:
            raise invalid("a query needs exactly one collection selector")
        self._selector = query.from_[0]
        if query.HasField("find_nearest"):
            raise StatusError(grpc.StatusCode.UNIMPLEMENTED, "vector search")
        if query.offset < 0 or (query.HasField("limit") and query.limit.value < 0):
            raise invalid("negative limit or offset")
        self._matches = compile_filter(query.where)
        check_disjunctions(query.where)
        self.order = full_order(query)
        self._check_cursors()
        if indexes is not None:
            indexes.check(self._selector, query.where, self.order, aggregated)

    def run(self, at=None):
        """The documents, whole and in order."""
        found = []
        for name in self._names():
            document = self._store.read(name, at)
            if document is None or not self._matches(document):
                continue
            position = [field_value(document, path) for path, _ in self.order]
            if all(value is not None for value in position):
                found.append((_Position(position, self.order), document))
        found.sort(key=lambda each: each[0])
        found = [each for each in found if self._within(each[0])]
        found = found[self._query.offset :]
        if self._query.HasField("limit"):
            found = found[: self._query.limit.value]
        return [document for _, document in found]

    def projected(self, document):
        """The document as the projection wants it."""
        if not self._query.HasField("select"):
            return document
        result = Document(
            name=document.name, create_time=document.create_time, update_time=document.update_time
        )
        paths = [parse_path(each.field_path) for each in self._query.select.fields]
        project(document.fields, [path for path in paths if path != NAME], result.fields)
        return result

    def _names(self):
        if self._selector.all_descendants:
            return self._store.descendants(self._parent, self._selector.collection_id)
        return self._store.children(self._parent, self._selector.collection_id)

    def _check_cursors(self):
        for cursor in (self._query.start_at, self._query.end_at):
            if len(cursor.values) > len(self.order):
                raise invalid("a cursor has too many values")
            for value, (path, _) in zip(cursor.values, self.order, strict=False):
                if path == NAME and value.WhichOneof("value_type") != "reference_value":
                    raise invalid("a cursor's __name__ is no reference")

    def _within(self, position):
        start, end = self._query.start_at, self._query.end_at
        if self._query.HasField("start_at"):
            compared = position.compare(start.values)
            if compared < 0 or (compared == 0 and not start.before):
                return False
        if self._query.HasField("end_at"):
            compared = position.compare(end.values)
            if compared > 0 or (compared == 0 and end.before):
                return False
        return True


class _Position:
    """A document's place in the order."""

    def __init__(self, values, order):
        self._keys = [order_key(value) for value in values]
        self._descending = [descending for _, descending in order]

    def compare(self, values):
        return _compare(self._keys, [order_key(value) for value in values], self._descending)

    def __lt__(self, other):
        return _compare(self._keys, other._keys, self._descending) < 0


def _compare(mine, others, descending):
    for one, other, down in zip(mine, others, descending, strict=False):
        if one != other:
            return (1 if one > other else -1) * (-1 if down else 1)
    return 0


def full_order(query):
    """The order asked for, completed as the protocol says: (path, descending)."""
    order = [(parse_path(each.field.field_path), each.direction == DESCENDING) for each in query.order_by]
    last = order[-1][1] if order else False
    for path in inequality_paths(query.where):
        if path != NAME and path not in {each for each, _ in order}:
            order.append((path, last))
    if NAME not in {path for path, _ in order}:
        order.append((NAME, last))
    return order
