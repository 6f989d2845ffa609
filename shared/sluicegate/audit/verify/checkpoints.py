"""Checkpoints: the newest, all that are kept, and those that an auditor kept."""

from collections.abc import Sequence

from sluicegate.audit.checkpoint import Checkpoint, verify_checkpoint
from sluicegate.audit.cosignature import CosignatureVerifier
from sluicegate.audit.errors import MalformedError, UnverifiedError
from sluicegate.audit.keys import Ed25519Verifier
from sluicegate.audit.publishing import FOLDER, LATEST
from sluicegate.audit.verify.findings import Findings
from sluicegate.audit.verify.source import LogSource


class Checkpoints:
    """Reads and verifies a log's checkpoints, and remembers which root each of them claims.

    Args:
        key: the log's.
        witnesses: further keys that are known; their cosignatures may be missing, but not wrong.
    """

    def __init__(
        self,
        source: LogSource,
        key: Ed25519Verifier,
        witnesses: Sequence[CosignatureVerifier],
        findings: Findings,
    ) -> None:
        self._source = source
        self._key = key
        self._witnesses = witnesses
        self._findings = findings
        self.claims: dict[int, list[tuple[str, bytes]]] = {}
        self.cosigned = 0

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint; None, with a finding, where there is no good one."""
        data = self._source.read(LATEST)
        if data is None:
            self._findings.add(LATEST, "is missing")
            return None
        return self.read(LATEST, data)

    def kept(self, size: int) -> None:
        """One that is kept under its size."""
        name = f"{FOLDER}{size}"
        data = self._source.read(name)
        if data is None:
            self._findings.add(name, "is missing")
            return
        checkpoint = self.read(name, data)
        if checkpoint is not None and checkpoint.size != size:
            self._findings.add(name, f"is the checkpoint of {checkpoint.size} entries")

    def read(self, name: str, data: bytes) -> Checkpoint | None:
        """Verify one that was read, and note what it claims."""
        try:
            signed = verify_checkpoint(data, self._key, others=self._witnesses)
        except (MalformedError, UnverifiedError) as error:
            self._findings.add(name, error.message)
            return None
        self.claim(name, signed.checkpoint.size, signed.checkpoint.root)
        self.cosigned += len(signed.note.verified) - 1
        return signed.checkpoint

    def claim(self, name: str, size: int, root: bytes) -> None:
        """`name` says that the log of `size` entries had this root."""
        self.claims.setdefault(size, []).append((name, root))

    def compare(self, size: int, root: bytes) -> None:
        """The root that the entries give for `size`; each claim must be the same."""
        for name, claimed in self.claims.get(size, ()):
            if claimed != root:
                self._findings.add(name, f"has another root than the log's first {size} entries give")
