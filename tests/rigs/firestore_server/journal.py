"""A journal of commits, so that a killed server comes back with what it had acknowledged."""

import struct
from pathlib import Path

from firestore_server.messages import Document

_HEAD = struct.Struct(">QI")
_ITEM = struct.Struct(">HiI")


def encode(at, changes):
    parts = [_HEAD.pack(at, len(changes))]
    for name, document in changes:
        key, body = name.encode(), b"" if document is None else document.SerializeToString()
        parts += [_ITEM.pack(len(key), 0 if document is None else 1, len(body)), key, body]
    body = b"".join(parts)
    return struct.pack(">I", len(body)) + body


def records(path: Path):
    """Every whole record; what a kill cut off is passed over."""
    content = path.read_bytes() if path.exists() else b""
    at = 0
    while at + 4 <= len(content):
        (size,) = struct.unpack_from(">I", content, at)
        if at + 4 + size > len(content):
            return
        yield _decode(content[at + 4 : at + 4 + size])
        at += 4 + size


def _decode(body):
    written, count = _HEAD.unpack_from(body, 0)
    at, changes = _HEAD.size, []
    for _ in range(count):
        key_size, there, size = _ITEM.unpack_from(body, at)
        at += _ITEM.size
        name = body[at : at + key_size].decode()
        at += key_size
        document = Document.FromString(body[at : at + size]) if there else None
        at += size
        changes.append((name, document))
    return written, changes
