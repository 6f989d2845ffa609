"""Keeps an engine's state in a folder, so that it outlives the process, killed or not.

`state-<n>.snapshot` is the state at one moment, `state-<n>.journal` what happened since; a new pair is
begun when the journal has grown large. Every command's effects are in the journal, in one record, before
its reply leaves: a killed process loses nothing it has confirmed. The disk is synced every `sync_every_s`
seconds: a machine that loses power loses at most that much.
"""

import fcntl
import logging
import os
import re
from pathlib import Path

from sluicegate.adapters.redis.embedded.engine import Engine
from sluicegate.adapters.redis.embedded.journal import (
    JournalFile,
    TornRecordError,
    read_records,
    record,
    sync_folder,
)
from sluicegate.adapters.redis.embedded.snapshot import END, write_snapshot
from sluicegate.kernel.errors import ConfigurationError

_LOGGER = logging.getLogger(__name__)
_NAME = re.compile(r"state-(\d{8})\.(snapshot|journal)")
_COMPACT_AT = 16 << 20


class Store:
    """The folder of one engine.

    Args:
        folder: created when absent; one process at a time may use it.
        engine: must be empty; `open` fills it.
        compact_at: bytes of journal from which a new snapshot is worth while.
    """

    def __init__(self, folder: Path, engine: Engine, *, compact_at: int = _COMPACT_AT) -> None:
        self._folder = folder
        self._engine = engine
        self._compact_at = compact_at
        self._lock = -1
        self._generation = 1
        self._journal: JournalFile | None = None
        self._writer: int | None = None

    def open(self) -> None:
        """Take the folder and load what it holds.

        Raises:
            ConfigurationError: another process uses it, or a file is damaged where a crash cannot have
                damaged it; the message names the file and the remedy.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._take_lock()
        try:
            self._load()
        except BaseException:
            os.close(self._lock)
            raise

    def commit(self) -> None:
        """Append what was changed since the last call, as one record.

        Raises:
            OSError: the disk refuses; the process must end without confirming anything more.
        """
        effects = self._engine.take_effects()
        if effects:
            self._file.append(record(effects))

    def sync(self) -> None:
        """Put everything on the disk."""
        self._file.sync()

    def tidy(self) -> None:
        """Begin a new snapshot when the journal is large; drop what a finished one replaces."""
        if self._writer is not None:
            self._reap()
        elif self._file.size >= self._compact_at:
            self.compact()

    def compact(self) -> None:
        """Begin a new generation: its journal at once, its snapshot in a forked process.

        Until the snapshot is whole, the older files tell the same story.
        """
        self.commit()
        if self._writer is not None:
            return
        self._file.close()
        self._generation += 1
        self._journal = JournalFile(self._path(self._generation, "journal"))
        sync_folder(self._folder)
        child = os.fork()
        if child == 0:
            self._write_snapshot_and_exit()
        self._writer = child

    def close(self) -> None:
        """Commit, sync, and give the folder back."""
        self.commit()
        self._file.close()
        if self._writer is not None:
            self._reap(wait=True)
        os.close(self._lock)

    @property
    def _file(self) -> JournalFile:
        if self._journal is None:
            raise RuntimeError("the store is not open")
        return self._journal

    def _path(self, generation: int, kind: str) -> Path:
        return self._folder / f"state-{generation:08d}.{kind}"

    def _take_lock(self) -> None:
        path = self._folder / "lock"
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(self._lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            raise ConfigurationError(
                f"{self._folder} is in use by process {owner}; stop it or choose another folder"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _load(self) -> None:
        snapshots, journals = self._found("snapshot"), self._found("journal")
        start = max(snapshots, default=1)
        if snapshots:
            self._replay_snapshot(self._path(start, "snapshot"))
        needed = [generation for generation in journals if generation >= start]
        for generation in needed:
            self._replay_journal(self._path(generation, "journal"), last=generation == needed[-1])
        self._generation = needed[-1] if needed else start
        self._journal = JournalFile(self._path(self._generation, "journal"))
        self._drop_before(start)
        for draft in self._folder.glob("state-*.draft"):
            draft.unlink()

    def _found(self, kind: str) -> list[int]:
        names = (_NAME.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted(int(match[1]) for match in names if match and match[2] == kind)

    def _replay_snapshot(self, path: Path) -> None:
        ended = False
        try:
            for commands in read_records(path):
                ended = commands == [END]
                if not ended:
                    self._replay(commands)
        except TornRecordError as error:
            raise self._damaged(error) from None
        if not ended:
            raise self._damaged(f"{path} does not reach its end")

    def _replay_journal(self, path: Path, *, last: bool) -> None:
        try:
            for commands in read_records(path):
                self._replay(commands)
        except TornRecordError as error:
            if not last:
                raise self._damaged(error) from None
            self._cut(error)

    def _replay(self, commands: list[tuple[bytes, ...]]) -> None:
        for words in commands:
            self._engine.replay(words)

    def _cut(self, torn: TornRecordError) -> None:
        """Take the unfinished end off a journal, and keep it beside."""
        with torn.path.open("r+b") as file:
            file.seek(torn.offset)
            torn.path.with_suffix(".torn").write_bytes(file.read())
            file.truncate(torn.offset)
            file.flush()
            os.fsync(file.fileno())
        _LOGGER.warning(
            "%s ended in %d bytes of an unfinished record; they were never confirmed and were set aside",
            torn.path,
            torn.size - torn.offset,
        )

    def _damaged(self, what: object) -> ConfigurationError:
        return ConfigurationError(f"{what}; restore {self._folder} from a copy, or delete it to start empty")

    def _drop_before(self, generation: int) -> None:
        for path in self._folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match and int(match[1]) < generation:
                path.unlink()

    def _write_snapshot_and_exit(self) -> None:
        """The forked process: it shares nothing with the server but the state at the fork."""
        status = 1
        try:
            # Sockets and the lock belong to the server alone, also if it dies while this still writes.
            os.closerange(3, os.sysconf("SC_OPEN_MAX") if hasattr(os, "sysconf") else 4096)
            write_snapshot(self._engine.db, self._path(self._generation, "snapshot"))
            status = 0
        finally:
            os._exit(status)

    def _reap(self, *, wait: bool = False) -> None:
        if self._writer is None:
            return
        child, status = os.waitpid(self._writer, 0 if wait else os.WNOHANG)
        if not child:
            return
        self._writer = None
        if os.waitstatus_to_exitcode(status) == 0:
            self._drop_before(self._generation)
        else:
            _LOGGER.error(
                "the snapshot %s was not written; the journals before it are kept",
                self._path(self._generation, "snapshot"),
            )
