"""Cross-origin access: nothing without configuration, exactly the named origins with it."""

from sluicegate.web.gateway.cors import Cors


def test_no_origin_is_allowed_by_default():
    cors = Cors(())
    assert cors.headers(b"https://evil.example") == []
    assert cors.preflight(b"https://evil.example") == []


def test_a_named_origin_is_allowed_and_no_other():
    cors = Cors(("https://app.example",))
    allowed = dict(cors.preflight(b"https://app.example"))
    assert allowed[b"access-control-allow-origin"] == b"https://app.example"
    assert b"x-api-key" in allowed[b"access-control-allow-headers"]
    refused = dict(cors.preflight(b"https://app.example.evil"))
    assert b"access-control-allow-origin" not in refused
    assert refused[b"vary"] == b"origin"


def test_any_origin_never_comes_with_credentials():
    headers = dict(Cors(("*",)).headers(b"https://x.example"))
    assert headers[b"access-control-allow-origin"] == b"*"
    assert b"access-control-allow-credentials" not in headers
