"""Resource names: projects/{p}/databases/{d}/documents/{collection}/{id}/..."""

import re

from firestore_server.errors import invalid

_ROOT = re.compile(r"projects/[^/]+/databases/[^/]+/documents")
_DATABASE = re.compile(r"projects/[^/]+/databases/[^/]+")
_ID_BYTES = 1_500
_RESERVED = re.compile(r"__(?!id-?\d+__).*__")


def database_of(name):
    match = _DATABASE.match(name)
    if match is None:
        raise invalid(f'Invalid resource name "{name}".')
    return match[0]


def root_of(name):
    match = _ROOT.match(name)
    if match is None or (len(name) > match.end() and name[match.end()] != "/"):
        raise invalid(f'Invalid resource name "{name}".')
    return match[0]


def segments_of(name):
    """The segments below the root."""
    rest = name[len(root_of(name)) :].strip("/")
    return rest.split("/") if rest else []


def check_document(name):
    segments = segments_of(name)
    if not segments or len(segments) % 2:
        raise invalid(f'Document name "{name}" lacks an id.')
    for segment in segments:
        if (
            not segment
            or segment in {".", ".."}
            or len(segment.encode()) > _ID_BYTES
            or _RESERVED.fullmatch(segment)
        ):
            raise invalid(f'Resource id "{segment}" is invalid.')
    return name


def collection_of(name):
    """The collection path that a document is in, and the collection's id."""
    path, _, _ = name.rpartition("/")
    return path, path.rpartition("/")[2]
