"""Who types commands, as the transparency log names them."""

import getpass

from sluicegate.kernel.governed import Actor

SOURCE = "/sluicegate/cli"


def operator() -> Actor:
    """Whoever is logged in on this machine: `cli:kim`."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):
        name = ""
    plain = "".join(each if each.isprintable() else "?" for each in name)[:64]
    return Actor(f"cli:{plain or 'operator'}")
