import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.privacy.masking import PayloadFilter
from sluicegate.privacy.personal import iban_checks, luhn, mask_personal_data, may_hold_personal_data
from sluicegate.privacy.secrets import is_secret_field, may_hold_secrets, without_secrets

# --- personal data

MASKED = [
    ("bob@example.com", "[email]"),
    ("mail Bob.O'Neil+tag@sub.example.co.uk, now", "mail [email], now"),
    ("+49 170 1234567", "[phone]"),
    ("+1 (555) 123-4567", "[phone]"),
    ("call (555) 123-4567!", "call [phone]!"),
    ("555-123-4567", "[phone]"),
    ("0170/1234567", "[phone]"),
    ("4111 1111 1111 1111", "[card]"),
    ("card 5500005555555559.", "card [card]."),
    ("3782-822463-10005", "[card]"),
    ("DE89 3704 0044 0532 0130 00", "[iban]"),
    ("GB29NWBK60161331926819", "[iban]"),
    ("123-45-6789", "[ssn]"),
    ("from 192.168.10.1 on", "from [ip] on"),
    ("2001:db8::1", "[ip]"),
    ("::1", "[ip]"),
    ("fe80::1ff:fe23:4567:890a", "[ip]"),
]

KEPT = [
    "",
    "req_0193a3b4c5d6e7f8a9b0c1d2e3f4",
    "gpt-5.4-mini-2026-03-05",
    "2026-11-20T21:55:00.123Z",
    "12:30:45",
    "version 1.2.3",
    "1.2.3.4.5",
    "order 4111 1111 1111 1112",
    "1234567890123456789012",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "550e8400-e29b-41d4-a716-446655440000",
    "GB00NWBK60161331926819",
    "000-12-3456",
    "a @ b",
    "300.1.2.3",
    "std::vector",
    "12345",
    "$1,234,567.89",
]


@pytest.mark.parametrize(("text", "shown"), MASKED)
def test_personal_data_is_masked(text, shown):
    assert mask_personal_data(text) == shown


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_personal_data_is_kept(text):
    assert mask_personal_data(text) == text


@pytest.mark.parametrize("text", [text for text, _ in MASKED])
@pytest.mark.parametrize("around", ["{}", "x {} y", "({})", '"{}",', "tel:{}\n"])
def test_it_is_found_within_other_text_and_the_quick_check_never_misses_it(text, around):
    whole = around.format(text)
    assert may_hold_personal_data(whole)
    assert text not in mask_personal_data(whole)


@given(st.text(max_size=60))
def test_what_the_quick_check_passes_over_has_nothing(text):
    if not may_hold_personal_data(text):
        assert mask_personal_data(f" {text} ") == f" {text} " or may_hold_personal_data(f" {text} ")


@given(st.integers(10**11, 10**18))
def test_one_digit_makes_a_number_pass_the_check_of_cards(number):
    assert sum(luhn(f"{number}{digit}") for digit in range(10)) == 1


def test_check_digits():
    assert iban_checks("FR1420041010050500013M02606")
    assert not iban_checks("FR1520041010050500013M02606")
    assert not iban_checks("DE89")


# --- secrets

SECRETS = [
    "sk-proj-abcdefghijklmnop0123",
    "sk-ant-api03-abcdefghijklmnop",
    "sk-slg-abcdefgh-0123456789012345678901234567890123456789012-abcdef",
    "sk_live_abcdefghijklmnop",
    "ghp_abcdefghijklmnopqrstuvwxyz0123",
    "github_pat_abcdefghijklmnopqrstuvwxyz",
    "glpat-abcdefghijklmnopqrst",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "xoxb-1234567890-abcdefghij",
    "hf_abcdefghijklmnopqrstuvwx",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk",
    "PRIVATE+KEY+log+01234567+AbCdEf==",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nMIIE and cut off",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "use {} here", "key={},", '"{}"', "a\n{}\n"])
def test_secrets_are_removed_from_text(secret, around):
    whole = around.format(secret)
    assert may_hold_secrets(whole)
    shown = without_secrets(whole)
    assert "[secret]" in shown
    assert secret[8:] not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://app:hunter2@db/x", "postgres://[secret]@db/x"),
        ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer [secret]"),
        ("basic dXNlcjpwYXNzd29yZA==", "basic [secret]"),
        ("https://x/y?Token=abc&b=1", "https://x/y?Token=[secret]&b=1"),
        ("PASSWORD=hunter2; x", "PASSWORD=[secret]; x"),
    ],
)
def test_passwords_in_their_usual_places_are_removed(text, shown):
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "task-force",
        "https://example.com/a:b",
        "risk-adjusted",
        "sk-8",
        "a basic idea",
        "bearer",
        "gpt-5.4-mini",
    ],
)
def test_what_is_no_secret_is_kept(text):
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "passwd",
        "api_key",
        "apiKey",
        "API-KEY",
        "x-api-key",
        "access_token",
        "refreshToken",
        "token",
        "client_secret",
        "secret",
        "Authorization",
        "cookie",
        "Set-Cookie",
        "private_key",
        "openai_api_key",
        "db.password",
        "credentials",
        "connectionString",
        "otp",
    ],
)
def test_fields_that_hold_secrets(name):
    assert is_secret_field(name)


@pytest.mark.parametrize(
    "name",
    [
        "input_tokens",
        "outputTokens",
        "max_tokens",
        "cached_input_tokens",
        "key",
        "key_id",
        "author",
        "tokenizer",
        "secretary",
        "model",
        "shipping",
        "compass",
        "monkey",
        "passwords_changed",
    ],
)
def test_fields_that_hold_none(name):
    assert not is_secret_field(name)


# --- payloads

MASK = PayloadFilter(["model", "rule"])


def test_a_payload_without_anything_to_mask_is_the_same_object():
    payload = {"model": "m", "count": 3, "flag": True, "nothing": None, "name": "req_0123456789abcdef"}
    assert MASK(payload, "internal") is payload
    assert MASK(payload, "public") is payload


def test_each_class_keeps_less():
    payload = {
        "model": "small",
        "note": "for bob@example.com",
        "count": 5,
        "nested": [{"api_key": "x", "deep": ["bob@example.com", 1.5, None]}],
        "token": {"any": "thing"},
        "bob@example.com": True,
    }
    public, internal, sensitive = (MASK(payload, each) for each in ("public", "internal", "sensitive"))
    assert public["note"] == "for bob@example.com"
    assert internal["note"] == "for [email]"
    assert sensitive["note"]["characters"] == 19
    for shown in (public, internal, sensitive):
        assert shown["model"] == "small"
        assert shown["count"] == 5
        assert shown["nested"][0]["api_key"] == "[secret]"
        assert shown["token"] == "[secret]"
        assert "bob@example.com" not in shown
    assert internal["nested"][0]["deep"] == ["[email]", 1.5, None]
    assert "bob@example.com" not in str((internal, sensitive))


def test_an_identifier_of_a_sensitive_payload_is_masked_like_an_internal_one():
    assert MASK({"rule": "bob@example.com"}, "sensitive") == {"rule": "[email]"}


def test_an_unknown_class_is_the_strictest():
    assert MASK({"a": "text"}, "anything") == MASK({"a": "text"}, "sensitive")


def test_a_digest_is_not_one_of_a_secret():
    assert MASK({"a": "sk-proj-abcdefghijklmnop0123"}, "sensitive") == {
        "a": {**MASK({"a": "[secret]"}, "sensitive")["a"], "characters": 28}
    }


def test_depth_is_bounded():
    payload = value = {}
    for _ in range(200):
        value["a"] = {}
        value = value["a"]
    value["a"] = "bob@example.com"
    assert "nested too deep" in str(MASK({"x": "a@b.cd", **payload}, "internal"))


LEAVES = (
    st.sampled_from(["bob@example.com", SECRETS[0], "plain", "+49 170 1234567"]) | st.integers() | st.none()
)


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            LEAVES,
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=4,
    ),
    st.sampled_from(["internal", "sensitive"]),
)
def test_wherever_it_is_it_does_not_get_through(payload, payload_class):
    shown = str(MASK(payload, payload_class))
    for trace in ("bob@example.com", SECRETS[0], "170 1234567"):
        assert trace not in shown
