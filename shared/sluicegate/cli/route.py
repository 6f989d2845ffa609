"""`sluicegate route explain`: which models would answer, and at which test the others fell."""

from argparse import Namespace

from sluicegate.kernel.errors import ConfigurationError


def explain(args: Namespace) -> None:
    """Explain a choice.

    Raises:
        ConfigurationError: the router is not wired to the command line yet.
    """
    raise ConfigurationError(f"route explain {args.model}: routing is not wired to the command line yet")
