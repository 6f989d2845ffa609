"""Which entries an export has: one bit for each entry of the log."""

from collections.abc import Iterable, Iterator


class Places:
    """A set of indexes below `size`, in `size / 8` bytes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._bits = bytearray(-(-size // 8))
        self.count = 0

    def add(self, indexes: Iterable[int]) -> None:
        """Add indexes, each at most once."""
        for index in indexes:
            byte, bit = index >> 3, 1 << (index & 7)
            if not self._bits[byte] & bit:
                self._bits[byte] |= bit
                self.count += 1

    def __iter__(self) -> Iterator[int]:
        for place, byte in enumerate(self._bits):
            if byte:
                for bit in range(8):
                    if byte >> bit & 1:
                        yield place << 3 | bit

    def gaps(self) -> Iterator[tuple[int, int]]:
        """The gaps `[start, end)` between them, from left to right."""
        start = 0
        for index in self:
            if index > start:
                yield start, index
            start = index + 1
        if start < self._size:
            yield start, self._size

    def chunks(self, most: int) -> Iterator[list[int]]:
        """All indexes in order, up to `most` at a time."""
        chunk: list[int] = []
        for index in self:
            chunk.append(index)
            if len(chunk) == most:
                yield chunk
                chunk = []
        if chunk:
            yield chunk
