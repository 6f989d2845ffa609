"""Who may read the metrics: whoever has the token, where there is none this machine, in development all."""

import hmac
import ipaddress

from sluicegate.kernel.errors import AuthenticationError, PermissionDeniedError
from sluicegate.web.exchange import Exchange

_FORWARDED = (b"forwarded", b"x-forwarded-for")


class ScrapeGuard:
    """Lets scrapers in.

    Args:
        token: the bearer token to ask for; None: only callers on this machine are let in.
        everybody: let everybody in where there is no token.
    """

    def __init__(self, token: str | None, *, everybody: bool = False) -> None:
        self._expected = None if token is None else b"bearer " + token.encode()
        self._everybody = everybody

    def check(self, exchange: Exchange) -> None:
        """Let `exchange`'s caller in.

        Raises:
            AuthenticationError: no token or a wrong one. PermissionDeniedError: not on this machine.
        """
        if self._expected is not None:
            scheme, _, token = (exchange.header(b"authorization") or b"").partition(b" ")
            if not hmac.compare_digest(scheme.lower() + b" " + token.strip(), self._expected):
                raise AuthenticationError("the metrics are for callers with METRICS_TOKEN as bearer token")
        elif not self._everybody and not _on_this_machine(exchange):
            raise PermissionDeniedError(
                "the metrics are for callers on this machine; set METRICS_TOKEN to let in others"
            )


def _on_this_machine(exchange: Exchange) -> bool:
    """Whether the caller itself is here, and not just a proxy that speaks for somebody else."""
    if any(exchange.header(name) is not None for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(exchange.client).is_loopback
    except ValueError:
        return False
