"""Checkpoints: signed, going forward only, all of them kept; and the cosignatures of witnesses."""

from collections.abc import Iterable, Sequence

from sluicegate.audit.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from sluicegate.audit.cosignature import CosignatureVerifier
from sluicegate.audit.errors import CorruptLogError, MalformedError, UnverifiedError
from sluicegate.audit.keys import Ed25519Verifier, Signer
from sluicegate.audit.note import Signature, format_note, parse_note, verify_note
from sluicegate.audit.ports import BlobStore
from sluicegate.kernel.errors import NotFoundError, OverloadedError

LATEST = "checkpoint"
FOLDER = "checkpoints/"

_TRIES = 50


class CheckpointPublisher:
    """Publishes one log's checkpoints.

    Args:
        origin: the log's name; see tlog-checkpoint.
        signer: the log's key.
        witnesses: whose cosignatures are kept.
    """

    def __init__(
        self,
        blobs: BlobStore,
        origin: str,
        signer: Signer,
        witnesses: Sequence[CosignatureVerifier] = (),
    ) -> None:
        self._blobs = blobs
        self._origin = origin
        self._signer = signer
        self._witnesses = tuple(witnesses)

    @property
    def origin(self) -> str:
        """The log's name."""
        return self._origin

    @property
    def verifier(self) -> Ed25519Verifier:
        """The log's public key."""
        return Ed25519Verifier(self._origin, self._signer.public_key)

    async def publish(self, size: int, root: bytes) -> None:
        """Publish the checkpoint of a size; does nothing where it, or a later one, is published.

        Raises:
            CorruptLogError: another root was published for this size: this tree must not go on.
            SigningError: the key cannot be used.
        """
        own = f"{FOLDER}{size}"
        for _ in range(_TRIES):
            kept = await self._blobs.read(own)
            if kept is not None and _checkpoint(own, kept.content).root != root:
                raise CorruptLogError(f"Another tree of {size} entries was published.", details={"name": own})
            latest = await self._blobs.read(LATEST)
            published = -1 if latest is None else _checkpoint(LATEST, latest.content).size
            if kept is not None and published >= size:
                return
            if kept is None:
                signed = await sign_checkpoint(Checkpoint(self._origin, size, root), self._signer)
                await self._blobs.write(own, signed, if_generation=0)
            else:
                signed = kept.content
            if published >= size or await self._blobs.write(
                LATEST, signed, if_generation=0 if latest is None else latest.generation
            ):
                return
        raise OverloadedError("the checkpoint is being written by too many at once", retry_after=1.0)

    async def latest(self) -> tuple[Checkpoint, bytes]:
        """The latest checkpoint, and the signed note with all cosignatures that it has.

        Raises:
            NotFoundError: nothing is published yet.
        """
        blob = await self._blobs.read(LATEST)
        if blob is None:
            raise NotFoundError("the log has no checkpoint yet")
        return _checkpoint(LATEST, blob.content), blob.content

    async def at(self, size: int) -> bytes:
        """The signed note of the checkpoint of a size.

        Raises:
            NotFoundError: none was published for this size.
        """
        blob = await self._blobs.read(f"{FOLDER}{size}")
        if blob is None:
            raise NotFoundError(f"no checkpoint was published for size {size}")
        return blob.content

    async def cosign(self, note: bytes) -> int:
        """Keep a witness's cosignatures of a checkpoint of ours; how many are new.

        Args:
            note: a published checkpoint with cosignature lines.

        Raises:
            MalformedError: not a note.
            NotFoundError: no checkpoint of that size was published.
            UnverifiedError: another text than the published one, no cosignature by a witness that is known,
                or a wrong one.
        """
        known = {(each.name, each.key_id) for each in self._witnesses}
        verified = verify_note(note, self._witnesses)
        fresh = [line for line in verified.verified if (line.name, line.key_id) in known]
        if not fresh:
            raise UnverifiedError("No cosignature by a witness that is known here.")
        size = parse_checkpoint(verified.text).size
        if parse_note(await self.at(size)).text != verified.text:
            raise UnverifiedError("Not a checkpoint that was published here.")
        added = await self._merge(f"{FOLDER}{size}", verified.text, fresh)
        await self._merge(LATEST, verified.text, fresh)
        return added

    async def _merge(self, name: str, text: str, fresh: Iterable[Signature]) -> int:
        for _ in range(_TRIES):
            blob = await self._blobs.read(name)
            note = None if blob is None else parse_note(blob.content)
            if blob is None or note is None or note.text != text:
                return 0
            have = {(line.name, line.key_id) for line in note.signatures}
            added = [line for line in fresh if (line.name, line.key_id) not in have]
            if not added:
                return 0
            merged = format_note(text, [*note.signatures, *added])
            if await self._blobs.write(name, merged, if_generation=blob.generation):
                return len(added)
        raise OverloadedError("the checkpoint is being written by too many at once", retry_after=1.0)


def _checkpoint(name: str, note: bytes) -> Checkpoint:
    """A checkpoint that we wrote ourselves; who reads it from us verifies it."""
    try:
        return parse_checkpoint(parse_note(note).text)
    except MalformedError as error:
        raise CorruptLogError(f"{name} is not a checkpoint.", details={"name": name}) from error
