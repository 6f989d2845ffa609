"""`sluicegate audit checkpoint|entries|show|proof`: reading the log. Reads are entries of it, too."""

from argparse import Namespace
from base64 import b64encode
from dataclasses import asdict
from typing import Any

from sluicegate.audit.queries import Record
from sluicegate.cli.audit_context import OpenLog, entry_filter, filter_told, run_on_log
from sluicegate.cli.output import say, say_json, say_table, warn

READ = "audit.read"


def checkpoint(args: Namespace) -> None:
    """Show the newest checkpoint."""

    async def work(log: OpenLog) -> None:
        latest, note = await log.queries.checkpoint()
        key = log.opened.verifier.key
        if args.json:
            root = b64encode(latest.root).decode()
            shown = {"origin": latest.origin, "size": latest.size, "root": root}
            say_json({**shown, "key": key, "checkpoint": note.decode()})
            return
        say(note.decode().rstrip("\n"))
        warn(f"the log's public key: {key}")

    run_on_log(args, work)


def entries(args: Namespace) -> None:
    """List entries."""

    async def work(log: OpenLog) -> None:
        wanted = entry_filter(args)
        page = await log.queries.entries(
            args.tenant, wanted, cursor=args.cursor, limit=args.limit, reveal=True
        )
        await log.tell(
            args.tenant, READ, {"kind": "entries", "count": len(page.records), "filter": filter_told(wanted)}
        )
        if args.json:
            say_json({"entries": [_json(record) for record in page.records], "next": page.cursor})
            return
        rows = [
            (each.index, each.entry.timestamp, each.entry.action, each.entry.result, each.entry.userId,
             each.entry.domain, each.entry.id)
            for each in page.records
        ]  # fmt: skip
        say_table(("INDEX", "TIME", "ACTION", "RESULT", "USER", "DOMAIN", "ID"), rows, right=("INDEX",))
        if page.cursor is not None:
            warn(f"there are more: --cursor {page.cursor}")

    run_on_log(args, work)


def show(args: Namespace) -> None:
    """Show one entry."""

    async def work(log: OpenLog) -> None:
        record = await log.queries.entry(args.tenant, args.entry, reveal=True)
        await log.tell(args.tenant, READ, {"kind": "entry", "entry": record.entry.id})
        say_json({**_json(record), "leaf": record.leaf.decode()})

    run_on_log(args, work)


def proof(args: Namespace) -> None:
    """Prove that an entry is in the log."""

    async def work(log: OpenLog) -> None:
        latest, note = await log.queries.checkpoint()
        size = latest.size if args.size is None else args.size
        record = await log.queries.entry(args.tenant, args.entry)
        found = await log.queries.inclusion(args.tenant, args.entry, size)
        await log.tell(args.tenant, READ, {"kind": "proof", "entry": record.entry.id})
        say_json({
            "index": found.index,
            "size": found.size,
            "leaf": record.leaf.decode(),
            "leafHash": b64encode(found.leaf_hash).decode(),
            "proof": [b64encode(each).decode() for each in found.proof],
            "checkpoint": note.decode() if size == latest.size else None,
        })  # fmt: skip

    run_on_log(args, work)


def _json(record: Record) -> dict[str, Any]:
    return {"index": record.index, **asdict(record.entry), "privacy": record.privacy.value}
