"""`sluicegate ledger run`: the process that takes events to the ledger and to the transparency log."""

from argparse import Namespace

from sluicegate.wiring.consumers import consume


def run_consumer(args: Namespace) -> None:
    """Take events until SIGTERM or SIGINT, then once more what is there."""
    consume(args.data, parent=args.parent)
