import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.caching.encoding import decode, encode
from sluicegate.caching.errors import CorruptEntryError
from sluicegate.caching.types import CachedAnswer, CacheSlot

SLOT = CacheSlot("acme", "00ff.01")


def answer(body: bytes) -> CachedAnswer:
    return CachedAnswer(body, "m", "p", 1_767_225_600.5, 123_456_789_012, 5, 7)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_what_was_encoded_is_decoded(body: bytes, above: int) -> None:
    assert decode(SLOT, encode(SLOT, answer(body), above), 300) == answer(body)


def test_large_bodies_shrink_and_small_ones_stay() -> None:
    assert len(encode(SLOT, answer(b"a" * 10_000), 1_024)) < 500
    assert b"a" * 1_000 in encode(SLOT, answer(b"a" * 1_000), 1_024)


@given(st.data())
def test_damage_anywhere_is_seen(data: st.DataObject) -> None:
    content = bytearray(encode(SLOT, answer(b"some body" * 30), 100))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CorruptEntryError):
        decode(SLOT, bytes(content), 1_000)


@given(st.binary(max_size=60))
def test_foreign_bytes_are_no_entry(content: bytes) -> None:
    with pytest.raises(CorruptEntryError):
        decode(SLOT, content, 1_000)


def test_an_entry_is_bound_to_its_slot_and_bounded_when_unpacked() -> None:
    content = encode(SLOT, answer(b"a" * 10_000), 100)
    with pytest.raises(CorruptEntryError, match="another slot"):
        decode(CacheSlot("other", SLOT.name), content, 10_000)
    with pytest.raises(CorruptEntryError, match="larger"):
        decode(SLOT, content, 9_999)
    assert decode(SLOT, content, 10_000).body == b"a" * 10_000
