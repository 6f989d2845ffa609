"""What can be typed after `sluicegate audit`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[[Any, str, str, str], Any]
WHEN = "a date (2026-11-20), a time (2026-11-20T14:00Z), or how long ago (36h, 7d)"


def add_audit(commands: Any, command: Command, tenant: Callable[[Any], None]) -> None:
    """Add the commands to the group `commands`; `command` and `tenant` as in `arguments`."""
    command(commands, "checkpoint", "audit:checkpoint", "show the newest checkpoint and the log's public key")
    entries = command(commands, "entries", "audit:entries", "list a tenant's entries, newest first")
    tenant(entries)
    _filter(entries)
    entries.add_argument("--limit", type=int, default=50, metavar="N", help="default: 50; at most 1000")
    entries.add_argument("--cursor", metavar="CURSOR", help="what the page before ended with")
    show = command(commands, "show", "audit:show", "show one entry whole")
    tenant(show)
    show.add_argument("entry", metavar="ID")
    proof = command(commands, "proof", "audit:proof", "prove that an entry is in the log")
    tenant(proof)
    proof.add_argument("entry", metavar="ID")
    proof.add_argument("--size", type=int, metavar="N", help="in the tree of N entries; default: the newest")
    _export(
        command(commands, "export", "audit_export:export", "export a tenant's entries, with proofs"), tenant
    )
    _verify(command(commands, "verify", "audit_verify:verify", "verify a log or an export, all of it"))
    _upkeep(commands, command, tenant)


def _filter(parser: Any) -> None:
    parser.add_argument("--from", dest="since", metavar="WHEN", help=WHEN)
    parser.add_argument("--to", dest="until", metavar="WHEN", help=f"{WHEN}; not included")
    parser.add_argument("--user", metavar="NAME", help="a name, or a pseudonym as leaves show it")
    parser.add_argument("--workspace", metavar="NAME")
    parser.add_argument("--action", metavar="NAME", help="such as key.created, or key.* for all of its kind")
    parser.add_argument("--domain", metavar="NAME")
    parser.add_argument("--result", choices=("success", "failure", "blocked"))


def _export(export: Any, tenant: Callable[[Any], None]) -> None:
    tenant(export)
    _filter(export)
    export.add_argument(
        "--format", default="jsonl", choices=("jsonl", "csv", "parquet"), help="default: jsonl"
    )
    export.add_argument(
        "out", type=Path, metavar="OUT", help="a new folder; or a file that ends in .zip, for one archive"
    )


def _verify(verify: Any) -> None:
    verify.add_argument(
        "target", nargs="?", metavar="TARGET",
        help="a log's folder or URL, or an export's folder or zip archive; default: the data folder's log",
    )  # fmt: skip
    verify.add_argument(
        "--key", metavar="KEY", help="the log's verifier key, or @FILE; default: the data folder's"
    )
    verify.add_argument(
        "--witness",
        action="append",
        default=[],
        metavar="KEY",
        help="a witness's verifier key; may be repeated",
    )
    verify.add_argument(
        "--checkpoint", action="append", default=[], type=Path, metavar="FILE",
        help="a checkpoint that you kept: the log must continue it; may be repeated",
    )  # fmt: skip
    verify.add_argument(
        "--hashes-only", action="store_true", help="leave entries alone, which a URL may not show you"
    )
    verify.add_argument("--processes", type=int, metavar="N", help="default: one for each processor")


def _upkeep(commands: Any, command: Command, tenant: Callable[[Any], None]) -> None:
    erase = command(
        commands, "erase", "audit_upkeep:erase", "make what is known of a person, or a tenant, unreadable"
    )
    tenant(erase)
    erase.add_argument("--user", metavar="NAME", help="the person; without it the whole tenant")
    erase.add_argument("--reason", metavar="TEXT", help="kept in the log: do not name the person")
    erase.add_argument("--yes", action="store_true", help="do it; without it only say what would be done")
    command(commands, "retain", "audit_upkeep:retain", "delete payloads that are older than they are kept")
    command(commands, "reindex", "audit_upkeep:reindex", "make the index anew from the log")
    cosign = command(
        commands, "cosign", "audit_upkeep:cosign", "keep a witness's cosignatures of a checkpoint"
    )
    cosign.add_argument("note", type=Path, metavar="FILE", help="the checkpoint with cosignature lines")
