"""Verification of a whole log: everything that is kept, against the newest checkpoint and the log's key."""

import multiprocessing
from base64 import b64encode
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass

from sluicegate.audit.checkpoint import Checkpoint
from sluicegate.audit.cosignature import CosignatureVerifier
from sluicegate.audit.errors import MalformedError, UnverifiedError
from sluicegate.audit.keys import Ed25519Verifier
from sluicegate.audit.merkle import EMPTY_ROOT
from sluicegate.audit.publishing import FOLDER, LATEST
from sluicegate.audit.tiles import TILE_WIDTH
from sluicegate.audit.verify.checkpoints import Checkpoints
from sluicegate.audit.verify.findings import Findings
from sluicegate.audit.verify.listing import Listing
from sluicegate.audit.verify.pending import Pending
from sluicegate.audit.verify.report import Report
from sluicegate.audit.verify.sealed import SealedParts
from sluicegate.audit.verify.segment import Segment, SegmentKeys, Verified, verify_segment
from sluicegate.audit.verify.source import LogSource
from sluicegate.audit.verify.tree import GrowingTree
from sluicegate.audit.verify.trusted_keys import NAME as KEYS
from sluicegate.audit.verify.trusted_keys import verify_keys
from sluicegate.audit.verify.unique import UniqueIds

SEGMENT_BUNDLES = 16

_TRIES = 3
# Starting processes takes longer than verifying so many entries.
_WORTH_PROCESSES = 8_192

Progress = Callable[[int, int], None]
"""Told how many of how many entries are done."""


@dataclass(frozen=True, slots=True)
class LogQuestion:
    """What to verify, and by which keys.

    Attributes:
        key: the log's.
        witnesses: further known keys.
        known: checkpoints that the auditor kept, with where they come from; the log must continue them.
        hashes_only: leave entries and sealed parts alone, for who may not read them.
        processes: how many to use.
    """

    source: LogSource
    key: Ed25519Verifier
    witnesses: tuple[CosignatureVerifier, ...] = ()
    known: tuple[tuple[str, bytes], ...] = ()
    hashes_only: bool = False
    processes: int = 1


def verify_log(question: LogQuestion, target: str, progress: Progress | None = None) -> Report:
    """Verify a log. It may grow meanwhile: verified is what it was at the start, and all that was kept of it.

    Raises:
        UnreadableSourceError: as the source.
    """
    for _ in range(_TRIES):
        work = _LogVerification(question, target, progress)
        report = work.run()
        # What was tidied up while we read is no fault; a log that stands still gets no second chance.
        if report.holds or not work.has_grown():
            break
    return report


class _LogVerification:
    def __init__(self, question: LogQuestion, target: str, progress: Progress | None) -> None:
        self._question = question
        self._source = question.source
        self._progress = progress or (lambda _done, _total: None)
        self._report = Report(target, "log", key=question.key.key)
        self._findings = self._report.findings
        self._checkpoints = Checkpoints(self._source, question.key, question.witnesses, self._findings)
        self._listing = Listing()
        self._sealed = SealedParts(self._findings)
        self._ids = UniqueIds()
        self._counts: dict[str, int] = defaultdict(int)
        self._size = 0
        self._listed = False

    def has_grown(self) -> bool:
        """Whether the log is larger now than what was verified."""
        latest = Checkpoints(self._source, self._question.key, (), Findings()).latest()
        return latest is not None and latest.size > self._size

    def run(self) -> Report:
        checkpoint, pending = self._begin()
        if checkpoint is None:
            return self._report
        self._size = checkpoint.size
        self._report.origin = checkpoint.origin
        self._report.size = checkpoint.size
        self._report.root = b64encode(checkpoint.root).decode()
        names = self._source.names("")
        self._listed = names is not None
        if names is None:
            self._report.notes.append(
                "the target cannot list its files: only those of this checkpoint are verified"
            )
        else:
            self._listing.take(names, self._findings)
        entry_keys = self._entry_keys()
        for name, data in self._question.known:
            self._checkpoints.read(name, data)
        if 0 in self._listing.checkpoints:
            self._checkpoints.kept(0)
        if pending.state is not None:
            self._checkpoints.claim(pending.name, pending.state.size, pending.state.root)
        self._checkpoints.compare(0, EMPTY_ROOT)
        tree = GrowingTree(checkpoint.size)
        if checkpoint.size:
            self._read_all(tree, entry_keys)
            self._counts["tiles"] += tree.compare(self._source, self._listing.tiles, self._findings)
        self._finish(pending)
        return self._report

    def _begin(self) -> tuple[Checkpoint | None, Pending]:
        """The newest checkpoint, and the log's own state, which is not older."""
        for _ in range(_TRIES):
            pending = Pending(self._source, self._findings)
            checkpoint = Checkpoints(self._source, self._question.key, (), Findings()).latest()
            if checkpoint is None or pending.state is None or pending.state.size <= checkpoint.size:
                break
        return self._checkpoints.latest() if checkpoint is None else self._checked(checkpoint), pending

    def _checked(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint again, with the witnesses' keys."""
        latest = self._checkpoints.latest()
        if latest is None:
            self._checkpoints.claim(LATEST, checkpoint.size, checkpoint.root)
            return checkpoint
        return latest

    def _entry_keys(self) -> tuple[bytes, ...]:
        if self._question.hashes_only:
            return ()
        data = self._source.read(KEYS)
        if data is None:
            self._findings.add(KEYS, "is missing: it says which keys sign entries")
            return ()
        try:
            keys = verify_keys(data, self._question.key)
        except (MalformedError, UnverifiedError) as error:
            self._findings.add(KEYS, error.message)
            return ()
        return tuple(each.public_key for each in keys.entries)

    def _read_all(self, tree: GrowingTree, entry_keys: tuple[bytes, ...]) -> None:
        keys = SegmentKeys(self._question.key, self._question.witnesses, entry_keys)
        for segment, result in self._verified(list(self._segments(keys))):
            self._take(tree, segment, result)
            self._progress(min(segment.end * TILE_WIDTH, self._size), self._size)

    def _segments(self, keys: SegmentKeys) -> Iterator[Segment]:
        listing, bundles = self._listing, -(-self._size // TILE_WIDTH)
        claimed = sorted({*self._checkpoints.claims, self._size})
        packs = [] if self._question.hashes_only else listing.packs
        firsts = [pack.first for pack in packs]
        for first in range(0, bundles, SEGMENT_BUNDLES):
            end = min(first + SEGMENT_BUNDLES, bundles)
            below, above = first * TILE_WIDTH, min(end * TILE_WIDTH, self._size)
            yield Segment(
                source=self._source,
                first=first,
                end=end,
                size=self._size,
                superseded=(
                    _between(listing.tiles.get(0, {}), first, end),
                    _between(listing.bundles, first, end),
                ),
                sizes=tuple(_range(claimed, below, above)),
                checkpoints=tuple(_range(listing.checkpoints, below, above)),
                packs=tuple(packs[bisect_left(firsts, below) : bisect_left(firsts, above)]),
                keys=keys,
                entries=not self._question.hashes_only,
            )

    def _verified(self, segments: Sequence[Segment]) -> Iterator[tuple[Segment, Verified]]:
        if self._question.processes < 2 or self._size < _WORTH_PROCESSES:
            yield from ((segment, verify_segment(segment)) for segment in segments)
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self._question.processes, mp_context=context) as pool:
            under_way: deque[tuple[Segment, Future[Verified]]] = deque()
            for segment in segments:
                under_way.append((segment, pool.submit(verify_segment, segment)))
                if len(under_way) > 2 * self._question.processes:
                    done, result = under_way.popleft()
                    yield done, result.result()
            for done, result in under_way:
                yield done, result.result()

    def _take(self, tree: GrowingTree, segment: Segment, result: Verified) -> None:
        self._findings.extend(result.findings)
        for size, claims in result.claims.items():
            for name, root in claims:
                self._checkpoints.claim(name, size, root)
        sizes = deque(sorted(result.parts))
        for number, root in enumerate(result.hashes, segment.first):
            while sizes and sizes[0] <= (number + 1) * TILE_WIDTH:
                size = sizes.popleft()
                self._checkpoints.compare(size, tree.root_with(result.parts[size]))
                self._checkpoints.claims.pop(size, None)
            tree.append(root)
        self._ids.add(result.ids)
        self._sealed.take(result)
        self._counts["tiles"] += len(result.hashes)
        self._counts["checkpoints"] += len(segment.checkpoints)
        self._counts["cosignatures"] += result.cosignatures
        self._counts["entries"] += result.leaves
        self._counts["sealed parts"] += result.sealed

    def _finish(self, pending: Pending) -> None:
        for index, earlier in self._ids.twice():
            self._findings.add("tile/entries", f"has the same id as entry {earlier}", index)
        reach = max(self._size, pending.reach(), self._now())
        if self._listing.reach[0] > reach:
            self._findings.add(self._listing.reach[1], f"lies beyond the log's {self._size} entries")
        beyond = [size for size in self._listing.checkpoints if size > self._size]
        for size in beyond:
            if size > reach:
                self._findings.add(
                    f"{FOLDER}{size}", f"was published, and the log has {self._size} entries only"
                )
        for size, claims in self._checkpoints.claims.items():
            if size > reach and size not in beyond:
                for name, _ in claims:
                    self._findings.add(name, f"speaks of {size} entries, and the log has {self._size} only")
        self._sealed.finish(self._size, listed=self._listed and not self._question.hashes_only)
        self._counts["expired parts"] = self._sealed.expired
        if self._question.hashes_only:
            self._report.notes.append("entries and sealed parts were not read, as asked")
        self._report.checked = {name: count for name, count in self._counts.items() if count}

    def _now(self) -> int:
        latest = Checkpoints(self._source, self._question.key, (), Findings()).latest()
        return 0 if latest is None else latest.size


def _between(widths: dict[int, list[int]], first: int, end: int) -> dict[int, tuple[int, ...]]:
    return {index: tuple(sorted(widths[index])) for index in range(first, end) if index in widths}


def _range(sizes: Sequence[int], below: int, above: int) -> Sequence[int]:
    """Those of `sizes`, in order, within (below, above]."""
    return sizes[bisect_left(sizes, below + 1) : bisect_left(sizes, above + 1)]
