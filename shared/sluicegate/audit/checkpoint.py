"""Checkpoints: a log's size and root, as the text of a signed note (C2SP tlog-checkpoint)."""

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass

from sluicegate.audit.errors import MalformedError, UnverifiedError
from sluicegate.audit.keys import Signer, Verifier, decode_base64
from sluicegate.audit.merkle import EMPTY_ROOT, HASH_SIZE, MAX_SIZE
from sluicegate.audit.note import VerifiedNote, format_note, sign_text, verify_note


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log is at one moment.

    Attributes:
        origin: the log's own name; unique, one line.
        size: leaves.
        root: root hash, 32 bytes (RFC 6962, section 2.1).
        extensions: further lines, not empty; discouraged, for nobody can audit them.

    Raises:
        MalformedError: one of these cannot stand in a checkpoint.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (self.origin, *self.extensions):
            if not line or any(character < " " for character in line):
                raise MalformedError("A checkpoint's lines are not empty and have no control characters.")
        if not 0 <= self.size <= MAX_SIZE:
            raise MalformedError("A log's size is between 0 and 2^63 - 1.")
        if len(self.root) != HASH_SIZE or (self.size == 0 and self.root != EMPTY_ROOT):
            raise MalformedError("A root has 32 bytes, and an empty log the root of the empty tree.")

    @property
    def text(self) -> str:
        """The note's text (tlog-checkpoint, "Note text")."""
        return "".join(
            f"{line}\n"
            for line in (self.origin, str(self.size), b64encode(self.root).decode(), *self.extensions)
        )


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint whose log's signature holds.

    Attributes:
        checkpoint: what was signed.
        note: the signatures, known and unknown.
    """

    checkpoint: Checkpoint
    note: VerifiedNote


def parse_checkpoint(text: str) -> Checkpoint:
    """A checkpoint from a note's text (tlog-checkpoint, "Note text"); it says nothing about who wrote it.

    Raises:
        MalformedError: fewer than three lines, an empty line, a size with leading zeroes, another root.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop():
        raise MalformedError("A checkpoint has at least three lines, each ended by a newline.")
    origin, size, root, *extensions = lines
    if not re.fullmatch("0|[1-9][0-9]{0,18}", size):
        raise MalformedError("A checkpoint's second line is the log's size in decimal.")
    return Checkpoint(origin, int(size), decode_base64(root), tuple(extensions))


async def sign_checkpoint(checkpoint: Checkpoint, signer: Signer, *, name: str | None = None) -> bytes:
    """The signed note to publish (tlog-checkpoint, "Signatures").

    Args:
        checkpoint: what to sign; the caller answers for it being consistent with all that were signed before.
        signer: the log's key.
        name: the key's name; the origin if not given.

    Raises:
        MalformedError: the origin cannot be a key's name, and no other was given.
        SigningError: as `sign_text`.
    """
    signature = await sign_text(checkpoint.text, name or checkpoint.origin, signer)
    return format_note(checkpoint.text, [signature])


def verify_checkpoint(
    data: bytes, log: Verifier, *, origin: str | None = None, others: Iterable[Verifier] = ()
) -> SignedCheckpoint:
    """Read a signed checkpoint and verify that the log has signed it.

    Args:
        data: the signed note.
        log: the log's key; its signature must be there.
        origin: the log's origin; the key's name if not given.
        others: further known keys (witnesses); theirs may be missing, and must not be wrong.

    Raises:
        MalformedError: not a signed checkpoint.
        UnverifiedError: the log's signature is missing, a known key's is wrong, or it is another log's.
    """
    note = verify_note(data, [log, *others])
    if not any((item.name, item.key_id) == (log.name, log.key_id) for item in note.verified):
        raise UnverifiedError("The log's own signature is missing.")
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != (origin or log.name):
        raise UnverifiedError("The checkpoint is that of another log.")
    return SignedCheckpoint(checkpoint, note)
