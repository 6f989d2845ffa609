"""A log in a folder, with the adapters that a single machine has."""

from pathlib import Path

from audit_rig.logs import ENTRY_KEY, LOG_KEY, make_log
from audit_rig.memory import nothing
from sluicegate.adapters.local.audit_index import SqliteEntryIndex
from sluicegate.adapters.local.data_keys import SqliteDataKeys
from sluicegate.adapters.local.log_files import LogFiles
from sluicegate.adapters.local.root_key import FileRootKey


class Folder:
    """A log in a folder; `step` is awaited around what its stores do."""

    def __init__(self, path: Path, step=nothing, **changes):
        self.blobs = LogFiles(path / "log")
        self.index = SqliteEntryIndex(path / "audit.db")
        self.keys = SqliteDataKeys(path / "audit-keys.db")
        self.log = make_log(
            blobs=Stepping(self.blobs, step),
            index=Stepping(self.index, step),
            keys=Stepping(self.keys, step),
            root=FileRootKey(path / "keys" / "audit-root.key"),
            entry_signer=ENTRY_KEY,
            log_signer=LOG_KEY,
            **changes,
        )

    async def close(self):
        for each in (self.blobs, self.index, self.keys):
            await each.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await self.close()


class Stepping:
    """A store before and after each of whose verbs `step` is awaited."""

    def __init__(self, store, step):
        self._store = store
        self._step = step

    def __getattr__(self, verb):
        do = getattr(self._store, verb)

        async def stepping(*arguments, **options):
            await self._step(verb)
            result = await do(*arguments, **options)
            await self._step(f"{verb} done")
            return result

        return stepping
