"""The command line: `sluicegate keys|budget|spend|policy|token|route …`."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from sluicegate.cli.arguments import build_parser
from sluicegate.kernel.errors import (
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    SluicegateError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the process's exit status.

    0: done. 1: it could not be done. 2: the command, a policy or a setting is wrong. What is wrong
    stands on standard error; standard output holds the answer only, so that `--json` can be piped.
    """
    args = build_parser().parse_args(arguments)
    module, _, function = args.run.partition(":")
    try:
        # Only the module of the command given is loaded: help and small commands answer at once.
        status = getattr(import_module(module), function)(args)
        sys.stdout.flush()
    except (InvalidRequestError, ConfigurationError, NotFoundError) as error:
        return _fail(error.message, 2)
    except SluicegateError as error:
        return _fail(error.message, 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough; keep Python from complaining when it flushes again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return int(status or 0)


def _fail(message: str, status: int) -> int:
    for line in message.splitlines():
        sys.stderr.write(f"sluicegate: {line}\n")
    return status
