"""Verification of an export: of all that it says, by the log's key alone."""

import multiprocessing
from base64 import b64encode
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import BinaryIO, NoReturn

from sluicegate.audit.checkpoint import Checkpoint, verify_checkpoint
from sluicegate.audit.errors import InvalidProofError, MalformedError, UnverifiedError
from sluicegate.audit.export.formats import FaultyRowsError, Format, export_format
from sluicegate.audit.export.gaps import TreeFromParts, subtrees
from sluicegate.audit.export.manifest import (
    CHECKPOINT,
    HASHES,
    KEYS,
    LEAVES,
    MANIFEST,
    SIGNATURE,
    Manifest,
    verify_manifest,
)
from sluicegate.audit.export.row import Row
from sluicegate.audit.keys import Ed25519Verifier
from sluicegate.audit.merkle import HASH_SIZE, leaf_hash
from sluicegate.audit.tiles import MAX_ENTRY_SIZE
from sluicegate.audit.verify.report import Report
from sluicegate.audit.verify.rows import CheckedRows, RowsTask, check_rows
from sluicegate.audit.verify.source import ExportSource
from sluicegate.audit.verify.trusted_keys import TrustedKeys, verify_keys
from sluicegate.audit.verify.unique import UniqueIds
from sluicegate.kernel.errors import InvalidRequestError

ROWS_AT_ONCE = 2_000

_PIECE = 1 << 20
_MOST_SMALL = 4 << 20
_WORTH_PROCESSES = 8_192

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ExportQuestion:
    """What to verify. `key` is the log's; `processes` how many to use."""

    source: ExportSource
    key: Ed25519Verifier
    processes: int = 1


def verify_export(question: ExportQuestion, target: str, progress: Progress | None = None) -> Report:
    """Verify an export.

    Raises:
        UnreadableSourceError: as the source.
    """
    return _ExportVerification(question, target, progress).run()


class _StopError(Exception):
    """Without this nothing further can be verified."""


class _ExportVerification:
    def __init__(self, question: ExportQuestion, target: str, progress: Progress | None) -> None:
        self._question = question
        self._source = question.source
        self._progress = progress or (lambda _done, _total: None)
        self._report = Report(target, "export", key=question.key.key)
        self._findings = self._report.findings
        self._names = set(self._source.names())
        self._ids = UniqueIds()
        self._privacy: Counter[str] = Counter()

    def run(self) -> Report:
        try:
            manifest, keys = self._signed()
            self._files(manifest)
            checkpoint = self._checkpoint(manifest)
            self._rows(manifest, keys, checkpoint)
        except _StopError:
            pass
        return self._report

    def _signed(self) -> tuple[Manifest, TrustedKeys]:
        content = self._small(MANIFEST)
        try:
            keys = verify_keys(self._small(KEYS), self._question.key)
        except (MalformedError, UnverifiedError) as error:
            self._stop(KEYS, error.message)
        try:
            manifest = Manifest.decode(content)
            verify_manifest(content, self._small(SIGNATURE), keys.origin, keys.exports)
        except MalformedError as error:
            self._stop(MANIFEST, error.message)
        except UnverifiedError as error:
            self._stop(SIGNATURE, error.message)
        return manifest, keys

    def _files(self, manifest: Manifest) -> None:
        self._report.checked["files"] = len(manifest.files)
        for name in sorted(self._names - manifest.files.keys() - {MANIFEST, SIGNATURE}):
            self._findings.add(name, "is not in the manifest")
        for name, promised in manifest.files.items():
            if name not in self._names:
                self._findings.add(name, "is missing")
                continue
            digest, size = sha256(), 0
            with self._source.open(name) as file:
                while piece := file.read(_PIECE):
                    digest.update(piece)
                    size += len(piece)
            if (size, digest.hexdigest()) != (promised.bytes, promised.sha256):
                self._findings.add(name, "is not the file that the manifest names: its digest is another")

    def _checkpoint(self, manifest: Manifest) -> Checkpoint:
        try:
            checkpoint = verify_checkpoint(self._small(CHECKPOINT), self._question.key).checkpoint
        except (MalformedError, UnverifiedError) as error:
            self._stop(CHECKPOINT, error.message)
        root = b64encode(checkpoint.root).decode()
        self._report.origin, self._report.size, self._report.root = checkpoint.origin, checkpoint.size, root
        if (checkpoint.origin, checkpoint.size, root) != (
            manifest.log.origin, manifest.log.size, manifest.log.root,
        ):  # fmt: skip
            self._findings.add(MANIFEST, "names another log, or another moment of it, than the checkpoint")
        return checkpoint

    def _rows(self, manifest: Manifest, keys: TrustedKeys, checkpoint: Checkpoint) -> None:
        try:
            rows_format = export_format(manifest.rows_format)
        except InvalidRequestError as error:
            self._stop(MANIFEST, error.message)
        for name in (rows_format.file, LEAVES, HASHES):
            if name not in self._names:
                self._stop(name, "is missing")
        with self._source.open(LEAVES) as leaves, self._source.open(HASHES) as hashes:
            tree = _Tree(checkpoint.size, hashes)
            tasks = self._tasks(manifest, rows_format, keys, leaves, tree)
            for result in self._checked(tasks, manifest.rows):
                self._take(result, manifest.rows)
            if leaves.read(1):
                self._findings.add(LEAVES, "has more leaves than there are rows")
            self._finish(manifest, checkpoint, tree)

    def _tasks(
        self, manifest: Manifest, rows_format: Format, keys: TrustedKeys, leaves: BinaryIO, tree: "_Tree"
    ) -> Iterator[RowsTask]:
        """The rows with their leaves, as long as they can be read; on the way, the tree grows by them."""
        with self._source.open(rows_format.file) as file:
            rows = self._in_order(rows_format, rows_format.read(file), tree)
            while some := list(islice(rows, ROWS_AT_ONCE)):
                lines = [leaves.readline(MAX_ENTRY_SIZE + 2) for _ in some]
                for row, line in zip(some, lines, strict=True):
                    if not line.endswith(b"\n"):
                        self._stop(LEAVES, "ends before the rows do", row["index"])
                    try:
                        tree.add(row["index"], leaf_hash(line[:-1]))
                    except InvalidProofError as error:
                        self._stop(HASHES, error.message, row["index"])
                yield RowsTask(
                    file=rows_format.file,
                    rows=some,
                    leaves=[line[:-1] for line in lines],
                    tenant=manifest.tenant,
                    filter=manifest.filter,
                    keys=tuple(each.public_key for each in keys.entries),
                )

    def _in_order(self, rows_format: Format, rows: Iterator[Row], tree: "_Tree") -> Iterator[Row]:
        before = -1
        try:
            for row in rows:
                index = row["index"]
                if type(index) is not int or not before < index < tree.size:
                    self._stop(rows_format.file, f"the index after {before} is no later one of the log")
                before = index
                yield row
        except FaultyRowsError as error:
            self._stop(rows_format.file, str(error))

    def _checked(self, tasks: Iterator[RowsTask], expected: int) -> Iterator[CheckedRows]:
        if self._question.processes < 2 or expected < _WORTH_PROCESSES:
            yield from map(check_rows, tasks)
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self._question.processes, mp_context=context) as pool:
            under_way: deque[Future[CheckedRows]] = deque()
            for task in tasks:
                under_way.append(pool.submit(check_rows, task))
                if len(under_way) > 2 * self._question.processes:
                    yield under_way.popleft().result()
            for done in under_way:
                yield done.result()

    def _take(self, result: CheckedRows, expected: int) -> None:
        self._findings.extend(result.findings)
        self._ids.add(result.ids)
        self._privacy.update(result.privacy)
        self._progress(min(sum(self._privacy.values()), expected), expected)

    def _finish(self, manifest: Manifest, checkpoint: Checkpoint, tree: "_Tree") -> None:
        try:
            root = tree.finish()
        except InvalidProofError as error:
            self._stop(HASHES, error.message)
        if root != checkpoint.root:
            self._findings.add(HASHES, "the leaves are not in the log at their places: the root is another")
        for index, earlier in self._ids.twice():
            self._findings.add(LEAVES, f"has the same id as entry {earlier}", index)
        if tree.leaves != manifest.rows:
            self._findings.add(MANIFEST, f"promises {manifest.rows} rows, and there are {tree.leaves}")
        elif dict(self._privacy) != manifest.privacy and not self._findings.count:
            self._findings.add(MANIFEST, "counts the rows that are open, erased and expired in another way")
        self._report.checked |= {"rows": tree.leaves, "open rows": self._privacy["open"]}

    def _small(self, name: str) -> bytes:
        if name not in self._names:
            self._stop(name, "is missing")
        with self._source.open(name) as file:
            content = file.read(_MOST_SMALL + 1)
        if len(content) > _MOST_SMALL:
            self._stop(name, "is too large to be one")
        return content

    def _stop(self, name: str, problem: str, index: int | None = None) -> NoReturn:
        self._findings.add(name, problem, index)
        raise _StopError


class _Tree:
    """The log's tree from the leaves that are in an export and the hashes that stand for all others."""

    def __init__(self, size: int, hashes: BinaryIO) -> None:
        self.size = size
        self._hashes = hashes
        self._tree = TreeFromParts()
        self.leaves = 0

    def add(self, index: int, leaf: bytes) -> None:
        """The leaf at `index`, which is beyond all that were added.

        Raises:
            InvalidProofError: the hashes before it are missing.
        """
        self._fill(index)
        self._tree.append(1, leaf)
        self.leaves += 1

    def finish(self) -> bytes:
        """The root of the whole tree.

        Raises:
            InvalidProofError: too few hashes, or too many.
        """
        self._fill(self.size)
        if self._hashes.read(1):
            raise InvalidProofError("There are more hashes than there are gaps between the leaves.")
        return self._tree.root()

    def _fill(self, end: int) -> None:
        for start, stop in subtrees(self._tree.size, end):
            content = self._hashes.read(HASH_SIZE)
            if len(content) != HASH_SIZE:
                raise InvalidProofError("There are fewer hashes than the gaps between the leaves need.")
            self._tree.append(stop - start, content)
