"""Who may read the metrics."""

from types import SimpleNamespace

import pytest

from sluicegate.kernel.errors import AuthenticationError, PermissionDeniedError
from sluicegate.web.gateway.scraping import ScrapeGuard

TOKEN = "a-token-of-some-length"


def caller(client="203.0.113.9", **headers):
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return SimpleNamespace(client=client, header=named.get)


@pytest.mark.parametrize("everybody", [False, True])
def test_a_token_is_asked_of_everybody(everybody):
    guard = ScrapeGuard(TOKEN, everybody=everybody)
    guard.check(caller(authorization=f"Bearer {TOKEN}"))
    guard.check(caller(authorization=f"bearer  {TOKEN} "))
    for wrong in (
        {},
        {"authorization": TOKEN},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": "Bearer é"},
    ):
        with pytest.raises(AuthenticationError):
            guard.check(caller("127.0.0.1", **wrong))


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.0.1", "::1"])
def test_without_a_token_this_machine_may_read(client):
    ScrapeGuard(None).check(caller(client))


@pytest.mark.parametrize(
    ("client", "headers"),
    [
        ("203.0.113.9", {}),
        ("10.0.0.1", {}),
        ("", {}),
        ("127.0.0.1", {"x_forwarded_for": "127.0.0.1"}),
        ("127.0.0.1", {"forwarded": "for=127.0.0.1"}),
    ],
)
def test_without_a_token_nobody_else_may(client, headers):
    with pytest.raises(PermissionDeniedError, match="METRICS_TOKEN"):
        ScrapeGuard(None).check(caller(client, **headers))
    ScrapeGuard(None, everybody=True).check(caller(client, **headers))
