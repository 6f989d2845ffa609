"""Failed sign-in attempts: counted, limited and reported.

Guessing 256 random bits is hopeless; the limit keeps floods off the key store and makes an attack visible
(`security_breach`: more than 5 failures). Counts are per instance and forgotten oldest first.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from sluicegate.identity.policy import AttemptsPolicy
from sluicegate.identity.principal import Principal


@dataclass(frozen=True, slots=True)
class Breach:
    """A source that passed the limit. `kind` is `address` or `prefix`, `failures` within the window."""

    kind: str
    source: str
    failures: int
    at: float


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """A credential that opened no door.

    Attributes:
        reason: one of a few fixed words, fit for a metric's label.
        client: the caller's address.
        source: what attempts are counted by: the address, or its network.
        tenant: whose key it names; None where nobody's is known.
        key: that key's id.
        user: who proved to know the key's secret, which holds no more; None for everybody else.
        user_agent: what the caller calls itself.
    """

    reason: str
    client: str
    source: str
    tenant: str | None = None
    key: str | None = None
    user: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class SignIn:
    """A token that was accepted; `digest` is the SHA-256 of its text."""

    principal: Principal
    digest: bytes
    client: str
    user_agent: str | None = None


class AttemptsObserver(Protocol):
    """Told of sign-ins, to count and log them and raise the alarm. Must not block."""

    def failed(self, attempt: FailedAttempt) -> None:
        """One failed attempt."""
        ...

    def signed_in(self, sign_in: SignIn) -> None:
        """A token was accepted that is not remembered; now and then told again. API keys are not told."""
        ...

    def breached(self, breach: Breach) -> None:
        """A source passed the limit; told once per block."""
        ...


class SilentObserver:
    """Hears nothing."""

    def failed(self, attempt: FailedAttempt) -> None:
        """Ignore it."""

    def signed_in(self, sign_in: SignIn) -> None:
        """Ignore it."""

    def breached(self, breach: Breach) -> None:
        """Ignore it."""


@dataclass(slots=True)
class _Record:
    """Failures of one source: when the last few were, oldest first, and until when it is blocked."""

    failures: list[float]
    blocked_until: float = 0.0


class FailedAttempts:
    """Failures by source over a sliding window. Pure but for what it remembers.

    Times are seconds on one clock, given by the caller.
    """

    def __init__(self, policy: AttemptsPolicy) -> None:
        self._policy = policy
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def blocked_for(self, source: str, now: float) -> float:
        """Seconds `source` is still blocked for; 0 when it is not."""
        record = self._records.get(source)
        return 0.0 if record is None else max(0.0, record.blocked_until - now)

    def record(self, source: str, now: float) -> int | None:
        """Count a failure of `source`. The number in the window if this one passed the limit, else None."""
        policy = self._policy
        record = self._records.pop(source, None) or _Record([])
        self._records[source] = record
        while len(self._records) > policy.addresses:
            self._records.popitem(last=False)
        if record.blocked_until > now:
            return None
        record.failures = [at for at in record.failures if at > now - policy.window_s]
        record.failures.append(now)
        if len(record.failures) <= policy.limit:
            return None
        count = len(record.failures)
        record.blocked_until = now + policy.block_s
        record.failures.clear()
        return count


def address_source(client: str) -> str:
    """What failures of `client` (an address) are counted under: itself, or its /64 for IPv6.

    Whoever has one IPv6 address commonly has the 2^64 around it.
    """
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client[:64]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
