"""Records on disk: groups of commands that hold together, each with its length and checksum.

A record is `length (4 bytes) checksum (4 bytes) payload`, both numbers little-endian and unsigned; the
payload is commands in RESP, the checksum its CRC-32. A record is there whole or not at all.
"""

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import hiredis

from sluicegate.adapters.redis.command import pack
from sluicegate.adapters.redis.embedded.keyspace import Command

MAGIC = b"SLGREDIS1\n"
_HEAD = struct.Struct("<II")


class TornRecordError(Exception):
    """The file ends, or goes wrong, after `offset` bytes of whole records."""

    def __init__(self, path: Path, offset: int, size: int) -> None:
        super().__init__(f"{path}: {size - offset} of {size} bytes are not whole records")
        self.path = path
        self.offset = offset
        self.size = size


def record(commands: Iterable[Command]) -> bytes:
    """One record of these commands."""
    payload = b"".join(map(pack, commands))
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def read_records(path: Path) -> Iterator[list[Command]]:
    """The records of a file, in order.

    Raises:
        TornRecordError: after the last whole record, if anything follows it.
    """
    content = path.read_bytes()
    size = len(content)
    if content[: len(MAGIC)] != MAGIC:
        if not size:
            return
        raise TornRecordError(path, 0, size)
    offset = len(MAGIC)
    while offset < size:
        body = offset + _HEAD.size
        if body > size:
            raise TornRecordError(path, offset, size)
        length, checksum = _HEAD.unpack_from(content, offset)
        payload = content[body : body + length]
        if len(payload) != length or zlib.crc32(payload) != checksum:
            raise TornRecordError(path, offset, size)
        yield _commands(payload)
        offset = body + length


def _commands(payload: bytes) -> list[Command]:
    reader = hiredis.Reader()
    reader.feed(payload)
    found = []
    while (words := reader.gets()) is not False:
        found.append(tuple(words))
    return found


class JournalFile:
    """A file that records are appended to.

    Args:
        path: created, with its magic line, when absent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.size = os.fstat(self._file).st_size
        self._unsynced = False
        if not self.size:
            self.append(MAGIC)

    def append(self, records: bytes) -> None:
        """Hand records to the operating system: from now on they outlive this process, killed or not.

        Raises:
            OSError: the disk is full or broken; what is in the file then ends in a torn record.
        """
        rest = memoryview(records)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self.size += len(records)
        self._unsynced = True

    def sync(self) -> None:
        """Wait until everything appended is on the disk: from then on it outlives the machine's power."""
        if self._unsynced:
            self._unsynced = False
            os.fsync(self._file)

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        os.close(self._file)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
