"""Logs and exports in memory: what verification reads, as dictionaries of names and contents."""

import io

from audit_rig.logs import ENTRY_KEY, LOG_KEY, ORIGIN, START, Told, done, make_log, usage
from audit_rig.memory import Disk, MemoryBlobs

from sluicegate.audit.export.formats import export_format
from sluicegate.audit.export.service import AuditExport
from sluicegate.audit.keys import Ed25519Signer, Ed25519Verifier
from sluicegate.audit.ports import EntryFilter
from sluicegate.audit.verify.export import ExportQuestion, verify_export
from sluicegate.audit.verify.log import LogQuestion, verify_log
from sluicegate.audit.verify.trusted_keys import TrustedKeys, keep_keys
from sluicegate.kernel.clock import FixedClock

DAY = 86_400
EXPORT_KEY = Ed25519Signer(b"X" * 32)
KEY = Ed25519Verifier(ORIGIN, LOG_KEY.public_key)
KEYS = TrustedKeys(
    ORIGIN,
    (Ed25519Verifier(f"{ORIGIN}/entries", ENTRY_KEY.public_key),),
    (Ed25519Verifier(f"{ORIGIN}/exports", EXPORT_KEY.public_key),),
)


class Log:
    """A log in memory with a bus of its own: what it tells about itself gets into it, too."""

    def __init__(self, disk=None, at=START + DAY, **changes):
        self.disk = disk or Disk()
        self.told = Told()
        self.clock = FixedClock(at)
        self.log = make_log(self.disk, events=self.told, clock=self.clock, **changes)
        self.blobs = MemoryBlobs(self.disk)

    async def start(self):
        await keep_keys(self.blobs, KEYS, LOG_KEY)
        await self.log.start()

    async def append(self, *events):
        assert await self.log.consumer.handle(events) == []
        told, self.told.events = self.told.events, []
        if told:
            await self.append(*told)

    @property
    def files(self):
        return dict(self.disk.blobs)

    async def export(self, tenant="acme", rows_format="jsonl", **wanted):
        """An export's files."""
        exports = AuditExport(self.blobs, self.log.queries, KEYS.exports[0].name, EXPORT_KEY, self.clock)
        export = await exports.begin(tenant, EntryFilter(**wanted), export_format(rows_format), "key_1")
        files = {}
        async for piece in export.files():
            files[piece.file] = files.get(piece.file, b"") + piece.content
        return files


async def a_log(entries, batch):
    """A log of at least `entries` entries with all that a log can have, deleted packs among it."""
    log = Log()
    await log.start()
    old = entries // 5
    events = [_event(number, START - 400 * DAY if number < old else START) for number in range(entries)]
    for at in range(0, entries, batch):
        await log.append(*events[at : at + batch])
    await log.log.retention.run()
    await log.append(done("policy.changed", payload={"file": "budgets.yaml"}))
    return log


def _event(number, at):
    tenant, user = ("acme", "zeta")[number % 2], f"user-{number % 5}"
    if number % 7:
        return usage(number, tenant=tenant, user=user, at=at)
    reason = "=1+1, \"quoted\"\nand 'more' é" if number % 3 else None
    payload = {"key_id": f"key_{number}", "nested": {"a": [1, 2.5, None, True]}}
    return done(
        "key.created", number, tenant, user, at,
        payload=payload, reason=reason, ip="192.0.2.7", user_agent="", domain="-platform",
    )  # fmt: skip


class MemoryLog:
    """`LogSource` of a dictionary."""

    def __init__(self, files):
        self.files = files

    def read(self, name):
        return self.files.get(name)

    def names(self, prefix):
        return iter([name for name in self.files if name.startswith(prefix)])


class MemoryExport:
    """`ExportSource` of a dictionary."""

    def __init__(self, files):
        self.files = files

    def names(self):
        return list(self.files)

    def open(self, name):
        return io.BytesIO(self.files[name])


def log_report(files, **question):
    return verify_log(LogQuestion(MemoryLog(files), KEY, **question), "a log")


def export_report(files):
    return verify_export(ExportQuestion(MemoryExport(files), KEY), "an export")


def problems(report):
    return [str(finding) for finding in report.findings.kept]
