"""Where token keys may be fetched from: nowhere that somebody on the way could change."""

import pytest
from pydantic import ValidationError

from sluicegate.identity.policy import TokenPolicy


@pytest.mark.parametrize(
    "url",
    [
        "https://keys.example.com/jwks.json",
        "http://localhost/jwks",
        "http://127.0.0.1:8080/jwks",
        "http://localhost",
    ],
)
def test_a_safe_address(url):
    assert TokenPolicy(jwks_url=url).jwks_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://keys.example.com/jwks.json",
        "http://localhost.example.com/jwks.json",
        "http://127.0.0.1.example.com/",
        "http://localhost@example.com/",
        "http://localhost:80@example.com/",
        "https:///jwks.json",
        "file:///etc/passwd",
        "keys.example.com",
    ],
)
def test_an_address_that_others_can_answer_at(url):
    with pytest.raises(ValidationError, match="https"):
        TokenPolicy(jwks_url=url)
