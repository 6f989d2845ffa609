"""Identifiers: unguessable, unique, sortable by time where that does not make a hot spot."""

import os
import time
from itertools import count

_INSTANCE = os.urandom(6).hex()
_SEQUENCE = count(int.from_bytes(os.urandom(3), "big"))


def request_id() -> str:
    """A new request id, `req_` and 28 hexadecimal digits: time, instance, sequence.

    It is an identifier, never a secret: nothing may be granted to whoever knows one. Cheaper than
    a UUID because only the instance part is random, drawn once per process.
    """
    return f"req_{int(time.time() * 1000):011x}{_INSTANCE}{next(_SEQUENCE) & 0xFFFFF:05x}"


def after_fork() -> None:
    """Draw a new instance part. Registered for every fork, so two workers never share ids."""
    global _INSTANCE  # noqa: PLW0603 - the instance part is process-wide by nature
    _INSTANCE = os.urandom(6).hex()


os.register_at_fork(after_in_child=after_fork)


def random_id(prefix: str, size: int = 12) -> str:
    """`prefix` and `size` random bytes in hexadecimal."""
    return prefix + os.urandom(size).hex()
