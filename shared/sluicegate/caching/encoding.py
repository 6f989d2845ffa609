"""A stored answer as bytes: header, facts as JSON, body, compressed where that pays. Pure.

Layout, big endian: CRC-32 of all that follows (4 bytes), version (1), flags (1; 1 is zlib), length of the
facts (4), facts, body. The facts name the slot, so that bytes in the wrong place are never an answer.
"""

import struct
import zlib

import orjson

from sluicegate.caching.errors import CorruptEntryError
from sluicegate.caching.types import CachedAnswer, CacheSlot

VERSION = 1
COMPRESSED = 1
FASTEST = 1

_CHECKSUM = struct.Struct(">I")
_HEAD = struct.Struct(">BBI")


def encode(slot: CacheSlot, answer: CachedAnswer, compress_above: int) -> bytes:
    """`answer` as bytes to store at `slot`, its body compressed when larger than `compress_above`."""
    facts = orjson.dumps(
        [
            slot.tenant,
            slot.name,
            answer.model,
            answer.provider,
            answer.created_at,
            answer.cost_nano,
            answer.input_tokens,
            answer.output_tokens,
        ]
    )
    body, flags = answer.body, 0
    if len(body) > compress_above:
        packed = zlib.compress(body, FASTEST)
        if len(packed) < len(body):
            body, flags = packed, COMPRESSED
    rest = _HEAD.pack(VERSION, flags, len(facts)) + facts + body
    return _CHECKSUM.pack(zlib.crc32(rest)) + rest


def decode(slot: CacheSlot, content: bytes, limit: int) -> CachedAnswer:
    """The answer stored at `slot` as `content`; its body is at most `limit` bytes.

    Raises:
        CorruptEntryError: another version, damaged, another slot's, or larger than `limit`.
    """
    rest = content[_CHECKSUM.size :]
    if len(rest) < _HEAD.size or zlib.crc32(rest) != _CHECKSUM.unpack_from(content)[0]:
        raise CorruptEntryError("the entry is damaged")
    version, flags, size = _HEAD.unpack_from(rest)
    if version != VERSION:
        raise CorruptEntryError("the entry is of another version")
    facts, body = rest[_HEAD.size : _HEAD.size + size], rest[_HEAD.size + size :]
    tenant, name, model, provider, created_at, cost_nano, input_tokens, output_tokens = orjson.loads(facts)
    if (tenant, name) != slot:
        raise CorruptEntryError("the entry belongs to another slot")
    if flags & COMPRESSED:
        body = _unpacked(body, limit)
    if len(body) > limit:
        raise CorruptEntryError("the entry is larger than allowed")
    return CachedAnswer(body, model, provider, created_at, cost_nano, input_tokens, output_tokens)


def _unpacked(body: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error:
        raise CorruptEntryError("the entry cannot be unpacked") from None
    if not unpacker.eof and len(plain) <= limit:
        raise CorruptEntryError("the entry cannot be unpacked")
    return plain
