"""`sluicegate audit verify`: exit status 0 only if all holds, 1 if not, 2 if it could not be tried."""

import sys
from argparse import Namespace
from contextlib import closing
from pathlib import Path

from sluicegate.audit.cosignature import CosignatureVerifier
from sluicegate.audit.errors import MalformedError
from sluicegate.audit.verify.export import ExportQuestion, verify_export
from sluicegate.audit.verify.log import LogQuestion, verify_log
from sluicegate.audit.verify.report import Report
from sluicegate.audit.verify.source import UnreadableSourceError
from sluicegate.cli.output import printable, say, say_json
from sluicegate.cli.progress import Progress
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.wiring.verification import Target, processes, target


def verify(args: Namespace) -> int:
    """Verify a log or an export."""
    try:
        found = target(args.target, args.data, args.key)
        with closing(found), Progress("verifying", 0, sys.stderr) as progress:
            report = _report(found, args, progress)
    except UnreadableSourceError as error:
        raise InvalidRequestError(str(error)) from None
    report.key_from = found.key_from
    if args.json:
        say_json(report.as_json())
    else:
        _say(report)
    return 0 if report.holds else 1


def _report(found: Target, args: Namespace, progress: Progress) -> Report:
    count = args.processes or processes()
    if found.log is not None:
        question = LogQuestion(
            source=found.log,
            key=found.key,
            witnesses=tuple(map(_witness, args.witness)),
            known=tuple((str(path), _content(path)) for path in args.checkpoint),
            hashes_only=args.hashes_only,
            processes=count,
        )
        return verify_log(question, found.name, progress.show)
    if args.hashes_only or args.checkpoint or args.witness:
        raise InvalidRequestError("--hashes-only, --checkpoint and --witness are for logs, not for exports")
    if found.export is None:
        raise InvalidRequestError("there is nothing to verify")
    return verify_export(ExportQuestion(found.export, found.key, count), found.name, progress.show)


def _say(report: Report) -> None:
    say(f"{report.kind:<10} {printable(report.target)}")
    if report.origin:
        say(f"{'origin':<10} {printable(report.origin)}")
        say(f"{'checkpoint':<10} {report.size} entries, root {report.root}")
    say(f"{'key':<10} {report.key}")
    say(f"{'':<10} from {printable(report.key_from)}")
    if report.checked:
        counts = ", ".join(f"{count} {name}" for name, count in report.checked.items())
        say(f"{'verified':<10} {counts}")
    for note in report.notes:
        say(f"{'note':<10} {note}")
    if report.key_from == "the target itself":
        say(f"{'note':<10} compare the key with one that you have from elsewhere")
    for finding in report.findings.kept:
        say(f"{'WRONG':<10} {printable(str(finding))}")
    if report.findings.count > len(report.findings.kept):
        say(f"{'WRONG':<10} and {report.findings.count - len(report.findings.kept)} faults more")
    say("all of it holds" if report.holds else f"{report.findings.count} faults: it does not hold")


def _witness(text: str) -> CosignatureVerifier:
    try:
        return CosignatureVerifier.from_key(text)
    except MalformedError as error:
        raise InvalidRequestError(f"--witness: {error.message}") from None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequestError(f"--checkpoint: {path}: {error.strerror}") from None
