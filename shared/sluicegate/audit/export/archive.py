"""An export as one zip archive, written as it comes: nothing is kept but what nobody has taken yet."""

import io
from collections.abc import AsyncGenerator, AsyncIterator
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from sluicegate.audit.export.service import Piece

_LEVEL = 1  # text shrinks to a fifth at this level already; more only takes longer
_EPOCH = (1980, 1, 1, 0, 0, 0)


async def zipped(pieces: AsyncIterator[Piece]) -> AsyncGenerator[bytes, None]:
    """The bytes of an archive of all files in `pieces`, each of which comes whole before the next one."""
    out = _Out()
    archive = ZipFile(out, "w")
    name: str | None = None
    member: IO[bytes] | None = None
    async for piece in pieces:
        if piece.file != name:
            if member is not None:
                member.close()
            name = piece.file
            member = archive.open(_info(name), "w", force_zip64=True)
        if member is not None:
            member.write(piece.content)
        yield out.take()
    if member is not None:
        member.close()
    archive.close()
    yield out.take()


def _info(name: str) -> ZipInfo:
    info = ZipInfo(name, date_time=_EPOCH)
    info.external_attr = 0o600 << 16
    info.compress_type = ZIP_DEFLATED
    info._compresslevel = _LEVEL  # type: ignore[attr-defined]  # noqa: SLF001 - public only from Python 3.13 on
    return info


class _Out(io.RawIOBase):
    """What the archive writes, until it is taken. Cannot be sought in, so the archive never goes back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        content = b"".join(self._parts)
        self._parts.clear()
        return content
