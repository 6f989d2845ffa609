"""The log's state: the one blob whose conditional write decides what is in the log."""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Self

from sluicegate.audit.canonical_json import decode_canonical, encode
from sluicegate.audit.errors import CorruptLogError, EncodingError
from sluicegate.audit.merkle import EMPTY_ROOT, HASH_SIZE

STATE = "state"


@dataclass(frozen=True, slots=True)
class LogState:
    """What is in the log.

    Attributes:
        size: entries that are integrated and published.
        root: the root hash at that size.
        pending: the staged batch that is in the log, too, and may not be integrated yet; None: none.
    """

    size: int = 0
    root: bytes = EMPTY_ROOT
    pending: str | None = None

    def encode(self) -> bytes:
        """The blob's content. No two states of one log have the same."""
        return encode({
            "v": 1,
            "size": self.size,
            "root": b64encode(self.root).decode(),
            "pending": self.pending,
        })  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The reverse of `encode`.

        Raises:
            CorruptLogError: something else.
        """
        try:
            content = decode_canonical(data)
            state = cls(content["size"], b64decode(content["root"], validate=True), content["pending"])
            if len(content) == 4 and content["v"] == 1 and len(state.root) == HASH_SIZE and state.size >= 0:
                return state
        except (EncodingError, KeyError, TypeError, ValueError):
            pass
        raise CorruptLogError(
            "The log's state is not one that this program knows.", details={"name": STATE}
        ) from None
