"""Whose address counts failed sign-ins, with and without proxies in front."""

import pytest

from sluicegate.web.gateway.application import client_address


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, [b"203.0.113.9"], "10.0.0.1"),  # anybody may send the header
        (1, [], "10.0.0.1"),
        (1, [b"203.0.113.9"], "203.0.113.9"),
        (1, [b"198.51.100.1, 203.0.113.9"], "203.0.113.9"),  # what the client made up stands before
        (1, [b"198.51.100.1", b"203.0.113.9"], "203.0.113.9"),
        (2, [b"198.51.100.1, 203.0.113.9 , 10.0.0.7"], "203.0.113.9"),
        (2, [b"203.0.113.9"], "10.0.0.1"),  # came by another way than through both
        (1, [b"203.0.113.9,"], "10.0.0.1"),
    ],
)
def test_the_last_address_that_a_trusted_proxy_saw_counts(proxies, forwarded, address):
    headers = [(b"x-forwarded-for", value) for value in forwarded]
    assert client_address("10.0.0.1", [(b"host", b"h"), *headers], proxies) == address
