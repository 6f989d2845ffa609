"""The tenant: the hard partition of every key, cache and row."""

import re

NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,62}[a-z0-9])?")


def checked_name(value: str, what: str = "name") -> str:
    """`value`, if it is a valid tenant, workspace, user, agent, mission or tool name.

    Lower-case letters, digits, `.`, `_` and `-`, 1 to 64 characters, starting and ending with a
    letter or digit. No character with a meaning in a Redis key, a path or a hash tag gets in.

    Raises:
        ValueError: it is not.
    """
    if NAME.fullmatch(value) is None:
        raise ValueError(
            f"{what} {value[:80]!r} must be 1 to 64 lower-case letters, digits, '.', '_' or '-', "
            "starting and ending with a letter or digit"
        )
    return value


def redis_key(tenant: str, kind: str) -> str:
    """The Redis key `kind` of `tenant`. All of a tenant's keys share one cluster slot (hash tag)."""
    return f"slg:{{{tenant}}}:{kind}"
