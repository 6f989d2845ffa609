"""`sluicegate audit export`."""

import sys
from argparse import Namespace
from collections.abc import AsyncIterator
from pathlib import Path

from sluicegate.audit.export.archive import zipped
from sluicegate.audit.export.formats import export_format
from sluicegate.audit.export.service import Export, Piece
from sluicegate.cli.audit_context import OpenLog, entry_filter, filter_told, run_on_log
from sluicegate.cli.operator import operator
from sluicegate.cli.output import say, say_json
from sluicegate.cli.progress import Progress
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.wiring.exports import write_file, write_folder

EXPORTED = "audit.exported"


def export(args: Namespace) -> None:
    """Export entries."""
    out: Path = args.out
    if out.exists():
        raise InvalidRequestError(f"{out} is there already: an export takes a new name")
    rows_format = export_format(args.format)

    async def work(log: OpenLog) -> None:
        wanted = entry_filter(args)
        made = await log.opened.exports.begin(args.tenant, wanted, rows_format, operator().user)
        told = {
            "rows": made.count,
            "format": args.format,
            "filter": filter_told(wanted),
            "contents": "archive",
        }
        await log.tell(args.tenant, EXPORTED, told)
        with Progress("exporting", made.count, sys.stderr) as progress:
            pieces = _watched(made, progress)
            if out.suffix == ".zip":
                await write_file(out, zipped(pieces))
            else:
                await write_folder(out, pieces)
        if args.json:
            say_json({"out": str(out), "rows": made.count, "log_size": made.size})
        else:
            say(f"{made.count} entries in {out}; verify them with: sluicegate audit verify {out}")

    run_on_log(args, work)


async def _watched(made: Export, progress: Progress) -> AsyncIterator[Piece]:
    done = 0
    async for piece in made.files():
        done += piece.rows
        progress.show(done)
        yield piece
