"""Which indexes there are, and whether a query can be answered from them.

A query is served where the fields it orders by (with those that it sums) end one or more composite indexes,
whose beginnings are fields it asks for by equality and together have all of those; or where one
field's own index will do. A field's own indexes exist unless it is exempted.
"""

from firestore_server.errors import unmet
from firestore_server.filters import NAME, disjuncts


class Indexes:
    """Declared indexes.

    Args:
        composite: (collection, group, ((field, "ASCENDING" | "DESCENDING" | "CONTAINS"), ...)); `group` for
            indexes over all collections of that name.
        exempt: (collection, field) without indexes of their own.
        grouped: (collection, field) whose own indexes are over all collections of that name, too.
    """

    def __init__(self, composite=(), exempt=(), grouped=()):
        self._composite = list(composite)
        self._exempt = set(exempt)
        self._grouped = set(grouped)

    def check(self, selector, where, order, aggregated):
        collection, group = selector.collection_id, selector.all_descendants
        tail = [(path, down) for path, down in order if path != NAME]
        tail += [(path, None) for path in sorted(set(aggregated)) if path not in {each for each, _ in tail}]
        for conjunction in disjuncts(where):
            equal = {(path, kind) for path, kind in conjunction if kind != "range" and path != NAME}
            ordered = {path for path, _ in tail}
            equal = {each for each in equal if each[0] not in ordered}
            if not self._served(collection, group, equal, tail):
                raise unmet(
                    f"The query requires an index: {collection}{' (group)' if group else ''}: "
                    f"{sorted(('.'.join(path), kind) for path, kind in equal)} then "
                    f"{[('.'.join(path), down) for path, down in tail]}"
                )

    def _served(self, collection, group, equal, tail):
        if not equal and not tail:
            return True
        if len(tail) + len(equal) == 1:
            ((path, *_),) = tail or equal
            return self._single(collection, group, path)
        if not tail and all(self._single(collection, group, path) for path, _ in equal):
            return True
        covered = set()
        for name, grouped, fields in self._composite:
            if name != collection or grouped != group:
                continue
            beginning = _beginning(fields, tail)
            if beginning is not None and beginning <= equal:
                covered |= beginning
        return covered == equal and bool(covered)

    def _single(self, collection, group, path):
        field = ".".join(path)
        if group:
            return (collection, field) in self._grouped
        return not {(collection, field), (collection, path[0])} & self._exempt


def _beginning(fields, tail):
    """The equality fields before `tail` in an index, None where it does not end so."""
    before = len(fields) - len(tail)
    if before < 1:
        return None
    for (name, order), (path, down) in zip(fields[before:], tail, strict=True):
        if name != ".".join(path) or order == "CONTAINS":
            return None
        if down is not None and (order == "DESCENDING") != down:
            return None
    return {
        (tuple(name.split(".")), "contains" if order == "CONTAINS" else "eq")
        for name, order in fields[:before]
    }
