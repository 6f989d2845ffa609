"""Packs: the sealed parts of one tenant, day and integration in one blob, so that retention deletes blobs.

A pack is a sequence of records: index (8 bytes), length (4 bytes), sealed part; big-endian, by index.
"""

import re
import struct
from collections.abc import Iterable, Iterator

from sluicegate.audit.errors import CorruptLogError, MalformedError
from sluicegate.audit.ports import PackRow

FOLDER = "sealed/"

_RECORD = struct.Struct(">QI")
_NAME = re.compile(r"sealed/([^/]+)/(\d{4}-\d{2}-\d{2})/(\d+)-(\d+)")


def pack_name(pack: PackRow) -> str:
    """`sealed/<tenant>/<yyyy-mm-dd>/<first index>-<count>`."""
    return f"{FOLDER}{pack.tenant}/{pack.day}/{pack.first}-{pack.count}"


def parse_pack_name(name: str) -> PackRow:
    """The reverse of `pack_name`.

    Raises:
        MalformedError: not a pack's name.
    """
    match = _NAME.fullmatch(name)
    if match is None or (pack := PackRow(match[1], match[2], int(match[3]), int(match[4]))).count < 1:
        raise MalformedError("Not the name of a pack.")
    if pack_name(pack) != name:
        raise MalformedError("Not the name of a pack.")
    return pack


def encode_pack(parts: Iterable[tuple[int, bytes]]) -> bytes:
    """A pack of `(index, sealed part)` in order of index."""
    return b"".join(piece for index, sealed in parts for piece in (_RECORD.pack(index, len(sealed)), sealed))


def decode_pack(name: str, content: bytes) -> Iterator[tuple[int, bytes]]:
    """The `(index, sealed part)` of a pack.

    Raises:
        CorruptLogError: it ends early, its indexes do not rise, or they are not as many as its name says.
    """
    pack = parse_pack_name(name)
    at, before, count = 0, pack.first - 1, 0
    while at < len(content):
        start = at + _RECORD.size
        if start > len(content):
            _refuse(name)
        index, length = _RECORD.unpack_from(content, at)
        at = start + length
        if at > len(content) or index <= before or (count == 0 and index != pack.first):
            _refuse(name)
        yield index, content[start:at]
        before, count = index, count + 1
    if count != pack.count:
        _refuse(name)


def _refuse(name: str) -> None:
    raise CorruptLogError(f"{name} is not a whole pack.", details={"name": name})
