"""The Merkle tree: the reference vectors, and a naive tree straight from the definition."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.audit.errors import MalformedError
from sluicegate.audit.merkle import EMPTY_ROOT, CompactRange, fold, leaf_hash, node_hash, root

# Leaves and hashes of the Certificate Transparency reference implementation, as they are in
# github.com/transparency-dev/merkle, testonly/constants.go and proof/verify_test.go.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    bytes.fromhex(text)
    for text in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]


def naive_root(leaves):
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def some_leaves(count):
    return [leaf_hash(number.to_bytes(4, "big")) for number in range(count)]


def test_hashes_are_those_of_the_reference():
    # rfc6962/rfc6962_test.go of the same source
    assert leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    assert node_hash(b"N123", b"N456").hex() == (
        "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"
    )
    assert leaf_hash(b"") == ROOTS[1]
    assert ROOTS[0] == EMPTY_ROOT


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_reference(size):
    leaves = [leaf_hash(entry) for entry in LEAVES[:size]]
    growing = CompactRange()
    growing.extend(leaves)
    assert root(leaves) == growing.root() == naive_root(leaves) == ROOTS[size]


def test_compact_ranges_are_those_of_the_reference():
    # testonly/constants.go, CompactTrees
    growing = CompactRange()
    growing.extend(leaf_hash(entry) for entry in LEAVES[:7])
    assert [item.hex() for item in growing.hashes] == [
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
    ]
    growing.append(leaf_hash(LEAVES[7]))
    assert growing.hashes == (ROOTS[8],)


def test_a_node_is_no_leaf_and_sides_matter():
    left, right = leaf_hash(b"Hello"), leaf_hash(b"World")
    assert node_hash(left, right) != leaf_hash(left + right)
    assert node_hash(left, right) != node_hash(right, left)


@given(st.integers(0, 700))
def test_all_ways_to_a_root_agree_with_the_definition(count):
    leaves = some_leaves(count)
    growing = CompactRange()
    growing.extend(leaves)
    assert growing.size == count
    assert root(leaves) == growing.root() == naive_root(leaves)


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_range_goes_on_where_it_was_kept(first, more):
    leaves = some_leaves(first + more)
    start = CompactRange()
    start.extend(leaves[:first])
    resumed = CompactRange(start.size, start.hashes)
    resumed.extend(leaves[first:])
    assert resumed.root() == naive_root(leaves)


def test_a_range_of_another_size_is_refused():
    for size, hashes in [
        (3, [bytes(32)]),
        (0, [bytes(32)]),
        (1, [bytes(31)]),
        (-1, []),
        (2**63, [bytes(32)]),
    ]:
        with pytest.raises(MalformedError):
            CompactRange(size, hashes)


def test_folding_carries_the_odd_one_up():
    one, two, three = some_leaves(3)
    assert fold(one) == one
    assert fold(one + two + three) == node_hash(node_hash(one, two), three)
