import hashlib

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.identity.api_keys import KEY_START, mint_key, parse_key


def test_a_minted_key_parses_to_its_own_prefix_and_digest():
    minted = mint_key()
    parsed = parse_key(minted.text.encode())
    assert parsed is not None
    assert parsed.prefix == minted.prefix
    assert parsed.digest == minted.digest == hashlib.sha256(minted.text.encode()).digest()


def test_a_key_carries_256_bits_of_secret():
    _, _, prefix, secret, checksum = mint_key().text.split("-")
    assert (len(prefix), len(secret), len(checksum)) == (8, 43, 6)
    assert 62 ** len(secret) > 2**256


def test_keys_do_not_show_their_secret_when_printed():
    minted = mint_key()
    secret = minted.text.split("-")[3]
    assert secret not in repr(minted)
    assert minted.digest.hex() not in repr(parse_key(minted.text.encode()))


KEY = mint_key().text.encode()


@given(st.integers(0, len(KEY) - 1), st.integers(0, 255))
def test_any_changed_character_is_noticed_without_a_look_up(at, byte):
    changed = KEY[:at] + bytes([byte]) + KEY[at + 1 :]
    assert (parse_key(changed) is None) == (changed != KEY)


@given(st.binary(max_size=200) | st.binary(max_size=80).map(lambda tail: KEY_START + tail))
def test_arbitrary_bytes_are_never_a_key_and_never_an_error(token):
    assert parse_key(token) is None


@given(st.integers(0, len(KEY) - 1))
def test_a_cut_key_is_no_key(length):
    assert parse_key(KEY[:length]) is None
    assert parse_key(KEY + KEY[:length] or b"x") is None or length == 0
