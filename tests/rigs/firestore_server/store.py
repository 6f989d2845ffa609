"""Documents with their versions, and commits over them: all or nothing, on conditions."""

import time
from collections import defaultdict

from firestore_server.errors import exists, invalid, missing, unmet
from firestore_server.messages import Document, Timestamp, WriteResult
from firestore_server.names import check_document, collection_of
from firestore_server.transforms import apply_transforms
from firestore_server.values import find, parse_path, put, remove

MOST_WRITES = 500
MOST_TRANSFORMS = 500
MOST_BYTES = 1_048_576
MOST_DEPTH = 20
KEPT_S = 3_600


def timestamp(nanoseconds):
    return Timestamp(seconds=nanoseconds // 10**9, nanos=nanoseconds % 10**9)


def nanoseconds(time_):
    return time_.seconds * 10**9 + time_.nanos


class Store:
    """What is kept: every version of every document of the last hour, newest last.

    `journal` is called with the time and the changed documents (name, document or None) of each commit.
    """

    def __init__(self, journal=lambda at, changes: None):
        self.versions = {}
        self.collections = defaultdict(set)
        self.latest = 0
        self._journal = journal

    def now(self):
        """A moment that no commit before is later than."""
        return max(time.time_ns() // 1_000 * 1_000, self.latest)

    def read(self, name, at=None):
        """The document as it is, or as it was `at` (nanoseconds)."""
        for written, document in reversed(self.versions.get(name, ())):
            if at is None or written <= at:
                return document
        return None

    def children(self, parent, collection):
        """Names that are or were in a collection of `parent`; in any where `collection` is empty."""
        if collection:
            return self.collections[f"{parent}/{collection}"]
        prefix = f"{parent}/"
        return {
            name
            for path, names in list(self.collections.items())
            if path.startswith(prefix) and "/" not in path[len(prefix) :]
            for name in names
        }

    def descendants(self, parent, collection):
        """Names below `parent` at any depth, in collections called `collection` (any where empty)."""
        prefix = f"{parent}/"
        return {
            name
            for path, names in list(self.collections.items())
            if path.startswith(prefix) and (not collection or path.rpartition("/")[2] == collection)
            for name in names
        }

    def restore(self, at, changes):
        """Put back what a journal tells."""
        self.latest = max(self.latest, at)
        for name, document in changes:
            self._keep(name, at, document)

    def commit(self, writes):
        """Apply all writes or none; the results and the time."""
        if len(writes) > MOST_WRITES:
            raise invalid(f"maximum {MOST_WRITES} writes allowed per request")
        at = max(self.now(), self.latest + 1_000)
        fresh = {}
        results = [self._apply(write, fresh, at) for write in writes]
        changed = [(name, document) for name, document in fresh.items() if document is not self.read(name)]
        self._journal(at, changed)
        self.latest = at
        for name, document in changed:
            self._keep(name, at, document)
        return results, timestamp(at)

    def _apply(self, write, fresh, at):
        kind = write.WhichOneof("operation")
        if kind is None:
            raise invalid("a write without an operation")
        name = {
            "update": lambda: write.update.name,
            "delete": lambda: write.delete,
            "transform": lambda: write.transform.document,
        }[kind]()
        check_document(name)
        before = fresh[name] if name in fresh else self.read(name)
        _check(write.current_document, name, before)
        if kind == "delete":
            fresh[name] = None
            return WriteResult()
        after = Document(name=name)
        transforms = write.update_transforms
        if kind == "transform":
            transforms = write.transform.field_transforms
            if before is not None:
                after.fields.MergeFrom(before.fields)
        elif write.HasField("update_mask"):
            _update(after.fields, before, write)
        else:
            after.fields.MergeFrom(write.update.fields)
        if len(transforms) > MOST_TRANSFORMS:
            raise invalid(f"maximum {MOST_TRANSFORMS} transforms allowed per document")
        results = apply_transforms(after.fields, transforms, timestamp(at))
        _check_content(after)
        if before is not None and before.fields == after.fields:
            fresh[name] = before
        else:
            after.create_time.CopyFrom(timestamp(at) if before is None else before.create_time)
            after.update_time.CopyFrom(timestamp(at))
            fresh[name] = after
        return WriteResult(update_time=fresh[name].update_time, transform_results=results)

    def _keep(self, name, at, document):
        versions = self.versions.setdefault(name, [])
        versions.append((at, document))
        old = at - KEPT_S * 10**9
        while len(versions) > 1 and versions[1][0] < old:
            del versions[0]
        self.collections[collection_of(name)[0]].add(name)


def _check(condition, name, before):
    wanted = condition.WhichOneof("condition_type")
    if wanted == "exists":
        if condition.exists and before is None:
            raise missing(f"No document to update: {name}")
        if not condition.exists and before is not None:
            raise exists(f"Document already exists: {name}")
    elif wanted == "update_time":
        if before is None:
            raise missing(f"No document to update: {name}")
        if nanoseconds(before.update_time) != nanoseconds(condition.update_time):
            raise unmet("the stored version does not match the required base version")


def _update(fields, before, write):
    if before is not None:
        fields.MergeFrom(before.fields)
    for text in write.update_mask.field_paths:
        path = parse_path(text)
        value = find(write.update.fields, path)
        if value is None:
            remove(fields, path)
        else:
            put(fields, path, value)


def _check_content(document):
    if document.ByteSize() > MOST_BYTES:
        raise invalid(
            f"Document {document.name!r} cannot be written because its size ({document.ByteSize()} bytes) "
            f"exceeds the maximum allowed size of {MOST_BYTES} bytes."
        )
    _check_fields(document.fields, 1)


def _check_fields(fields, depth):
    if depth > MOST_DEPTH:
        raise invalid(f"maximum depth of {MOST_DEPTH} exceeded")
    for key, value in fields.items():
        if not key or (key.startswith("__") and key.endswith("__") and key != "__type__"):
            raise invalid(f"field name {key!r} is reserved")
        _check_value(value, depth)


def _check_value(value, depth):
    kind = value.WhichOneof("value_type")
    if kind == "map_value":
        _check_fields(value.map_value.fields, depth + 1)
    elif kind == "array_value":
        for each in value.array_value.values:
            if each.WhichOneof("value_type") == "array_value":
                raise invalid("an array cannot be an element of an array")
            _check_value(each, depth + 1)
