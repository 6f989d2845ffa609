"""`sluicegate audit erase|retain|reindex|cosign`."""

from argparse import Namespace
from dataclasses import asdict

from sluicegate.cli.audit_context import OpenLog, run_on_log
from sluicegate.cli.operator import operator
from sluicegate.cli.output import say, say_json, say_table, warn
from sluicegate.kernel.errors import InvalidRequestError


def erase(args: Namespace) -> None:
    """Erase a person or a tenant."""
    whom = f"{args.user} of tenant {args.tenant}" if args.user else f"everybody of tenant {args.tenant}"
    if not args.yes:
        raise InvalidRequestError(f"this cannot be undone: add --yes to erase what is known of {whom}")

    async def work(log: OpenLog) -> None:
        erasure = log.opened.log.erasure
        if args.user:
            erased = await erasure.erase_person(
                args.tenant, args.user, by=operator().user, reason=args.reason
            )
        else:
            erased = await erasure.erase_tenant(
                args.tenant, by=operator().user, by_tenant=args.tenant, reason=args.reason
            )
        if args.json:
            say_json(asdict(erased))
            return
        say(f"erased what was known of {whom}: {erased.records} records outside the log")
        if not erased.key_destroyed:
            warn("the log had no key for them: there was nothing in it to make unreadable")

    run_on_log(args, work)


def retain(args: Namespace) -> None:
    """Delete what is past its time."""

    async def work(log: OpenLog) -> None:
        expired = await log.opened.log.retention.run()
        if args.json:
            say_json([asdict(each) for each in expired])
            return
        rows = [(each.tenant, each.day, each.packs, each.entries) for each in expired]
        say_table(("TENANT", "DAY", "PACKS", "ENTRIES"), rows, right=("PACKS", "ENTRIES"))

    run_on_log(args, work)


def reindex(args: Namespace) -> None:
    """Make the index anew."""

    async def work(log: OpenLog) -> None:
        count = await log.opened.log.reindex()
        if args.json:
            say_json({"entries": count})
        else:
            say(f"{count} entries are in the index")

    run_on_log(args, work)


def cosign(args: Namespace) -> None:
    """Keep cosignatures."""
    try:
        note = args.note.read_bytes()
    except OSError as error:
        raise InvalidRequestError(f"{args.note}: {error.strerror}") from None

    async def work(log: OpenLog) -> None:
        added = await log.opened.log.publisher.cosign(note)
        if args.json:
            say_json({"added": added})
        else:
            say(f"{added} new cosignatures are kept")

    run_on_log(args, work)
