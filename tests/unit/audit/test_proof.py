"""Proofs: good and bad cases of github.com/transparency-dev/merkle (proof/verify_test.go), and properties."""

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.audit.errors import CorruptTileError, InvalidProofError, MissingTileError, OutOfTreeError
from sluicegate.audit.integration import integrate
from sluicegate.audit.merkle import EMPTY_ROOT, leaf_hash, root
from sluicegate.audit.proof import (
    plan_consistency,
    plan_inclusion,
    plan_root,
    root_from_inclusion,
    verify_consistency,
    verify_inclusion,
)
from sluicegate.audit.tiles import Tile

H = bytes.fromhex
SOME_HASH = H("abacaba000000000000000000000000000000000000000000060061e00123456")

ENTRIES = [H(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
ENTRIES.append(H("606162636465666768696a6b6c6d6e6f"))
HASHES = [leaf_hash(entry) for entry in ENTRIES]
ROOTS = [root(HASHES[:size]) for size in range(9)]  # test_merkle holds these to the reference

INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
    (6, 7): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}

LARGE = 66_000
LEAVES = [leaf_hash(number.to_bytes(4, "big")) for number in range(LARGE)]


@cache
def tiles_of(size):
    return integrate({}, 0, LEAVES[:size]).tiles


@cache
def root_of(size):
    return root(LEAVES[:size])


def damaged(proof, *roots):
    """What proof/verify_test.go does to a proof, by name."""
    yield "trailing garbage", [*proof, b""]
    yield "preceding garbage", [b"", *proof]
    for number, value in enumerate(roots):
        yield f"trailing root {number}", [*proof, value]
        yield f"preceding root {number}", [value, *proof]
    for number, value in enumerate(proof):
        flipped = bytes([value[0] ^ 8]) + value[1:]
        yield f"flipped bit in {number}", [*proof[:number], flipped, *proof[number + 1 :]]
        yield f"without {number}", [*proof[:number], *proof[number + 1 :]]
        yield f"{number} twice", [*proof[: number + 1], *proof[number:]]
        yield f"short {number}", [*proof[:number], value[:-1], *proof[number + 1 :]]
        if number and value != proof[number - 1]:
            yield f"{number} swapped", [*proof[: number - 1], value, proof[number - 1], *proof[number + 1 :]]
    if len(proof) > 1:
        yield "inserted", [proof[0], SOME_HASH, *proof[1:]]


@pytest.mark.parametrize(("where", "proof"), INCLUSION.items())
def test_inclusion_proofs_of_the_reference(where, proof):
    index, size = where
    proof = [H(item) for item in proof]
    verify_inclusion(HASHES[index], index, size, proof, ROOTS[size])
    tiles = integrate({}, 0, HASHES[:size]).tiles
    assert list(plan_inclusion(index, size).fold(tiles)) == proof
    refuse_inclusion(HASHES[index], index, size, proof, ROOTS[size])


def refuse_inclusion(leaf, index, size, proof, tree_root):
    wrong = [
        (leaf, index - 1, size, proof, tree_root),
        (leaf, index + 1, size, proof, tree_root),
        (leaf, index ^ 2, size, proof, tree_root),
        (leaf, index, size * 2, proof, tree_root),
        (leaf, index, size // 2, proof, tree_root),
        (leaf, -index - 1, size, proof, tree_root),
        (b"WrongLeaf", index, size, proof, tree_root),
        (SOME_HASH, index, size, proof, tree_root),
        (leaf, index, size, proof, EMPTY_ROOT),
        (leaf, index, size, proof, SOME_HASH),
        (leaf, index, size, proof, b""),
        *((leaf, index, size, bad, tree_root) for _, bad in damaged(proof, tree_root)),
    ]
    for case in wrong:
        with pytest.raises(InvalidProofError):
            verify_inclusion(*case)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (0, 1), (1, 0), (2, 1)])
def test_nothing_is_included_in_no_or_another_tree(index, size):
    for leaf, tree_root in ((SOME_HASH, b""), (b"", EMPTY_ROOT), (SOME_HASH, EMPTY_ROOT)):
        with pytest.raises(InvalidProofError):
            verify_inclusion(leaf, index, size, [], tree_root)


def test_the_only_leaf_is_the_root():
    leaf = leaf_hash(b"data")
    verify_inclusion(leaf, 0, 1, [], leaf)
    for wrong_leaf, wrong_root in ((leaf, b""), (b"", leaf), (b"", b"")):
        with pytest.raises(InvalidProofError):
            verify_inclusion(wrong_leaf, 0, 1, [], wrong_root)


@pytest.mark.parametrize(("where", "proof"), CONSISTENCY.items())
def test_consistency_proofs_of_the_reference(where, proof):
    first, second = where
    proof = [H(item) for item in proof]
    verify_consistency(first, second, proof, ROOTS[first], ROOTS[second])
    tiles = integrate({}, 0, HASHES[:second]).tiles
    assert list(plan_consistency(first, second).fold(tiles)) == proof
    if proof:
        refuse_consistency(first, second, proof, ROOTS[first], ROOTS[second])


def refuse_consistency(first, second, proof, first_root, second_root):
    wrong = [
        (first - 1, second, proof, first_root, second_root),
        (first + 1, second, proof, first_root, second_root),
        (first ^ 2, second, proof, first_root, second_root),
        (first, second * 2, proof, first_root, second_root),
        (first, second // 2, proof, first_root, second_root),
        (first, second, proof, b"WrongRoot", second_root),
        (first, second, proof, first_root, b"WrongRoot"),
        (first, second, proof, SOME_HASH, second_root),
        (first, second, proof, first_root, SOME_HASH),
        (first, second, proof, second_root, first_root),
        (second, first, proof, second_root, first_root),
        (first, second, [], first_root, second_root),
        (0, second, proof, EMPTY_ROOT, second_root),
        *(
            (first, second, bad, first_root, second_root)
            for _, bad in damaged(proof, first_root, second_root)
        ),
    ]
    for case in wrong:
        with pytest.raises(InvalidProofError):
            verify_consistency(*case)


def test_consistency_without_anything_to_prove():
    one, two = SOME_HASH, leaf_hash(b"")
    verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    verify_consistency(0, 1, [], EMPTY_ROOT, two)
    verify_consistency(1, 1, [], two, two)
    wrong = [
        (0, 0, [], one, two),
        (1, 1, [], one, two),
        (1, 0, [], one, two),
        (1, 0, [], one, EMPTY_ROOT),
        (2, 1, [], one, two),
        (1, 2, [], one, two),
        (0, 0, [], EMPTY_ROOT, two),
        (1, 1, [], EMPTY_ROOT, two),
        (0, 0, [EMPTY_ROOT], EMPTY_ROOT, EMPTY_ROOT),
        (0, 1, [EMPTY_ROOT], EMPTY_ROOT, EMPTY_ROOT),
        (1, 1, [EMPTY_ROOT], EMPTY_ROOT, EMPTY_ROOT),
        (0, 0, [], one, one),  # stricter than the reference: the empty tree has one root
        (0, 1, [], one, two),
        (-1, 1, [], one, two),
        (1, 2**63, [one], one, two),
    ]
    for case in wrong:
        with pytest.raises(InvalidProofError):
            verify_consistency(*case)


def naive_inclusion(index, leaves):
    """PATH of RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return [*naive_inclusion(index, leaves[:split]), root(leaves[split:])]
    return [*naive_inclusion(index - split, leaves[split:]), root(leaves[:split])]


def naive_consistency(first, leaves, *, whole=True):
    """SUBPROOF of RFC 6962, section 2.1.2."""
    if first == len(leaves):
        return [] if whole else [root(leaves)]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if first <= split:
        return [*naive_consistency(first, leaves[:split], whole=whole), root(leaves[split:])]
    return [*naive_consistency(first - split, leaves[split:], whole=False), root(leaves[:split])]


def test_every_proof_of_small_trees_is_that_of_the_definition():
    for size in range(1, 34):
        for index in range(size):
            proof = plan_inclusion(index, size).fold(tiles_of(size))
            assert list(proof) == naive_inclusion(index, LEAVES[:size])
            verify_inclusion(LEAVES[index], index, size, proof, root_of(size))
        for first in range(1, size + 1):
            proof = plan_consistency(first, size).fold(tiles_of(size))
            assert list(proof) == naive_consistency(first, LEAVES[:size])
            verify_consistency(first, size, proof, root_of(first), root_of(size))


sizes = st.integers(1, 1500) | st.sampled_from([255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, LARGE])


@settings(max_examples=60, deadline=None)
@given(sizes, st.data())
def test_proofs_from_tiles_are_those_of_the_definition_and_damage_shows(size, data):
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    inclusion = plan_inclusion(index, size).fold(tiles_of(size))
    assert list(inclusion) == naive_inclusion(index, LEAVES[:size])
    verify_inclusion(LEAVES[index], index, size, inclusion, root_of(size))
    assert root_from_inclusion(LEAVES[index], index, size, inclusion) == root_of(size)
    for name, bad in damaged(inclusion, root_of(size)):
        with pytest.raises(InvalidProofError):
            assert verify_inclusion(LEAVES[index], index, size, bad, root_of(size)), name

    consistency = plan_consistency(first, size).fold(tiles_of(size))
    assert list(consistency) == naive_consistency(first, LEAVES[:size])
    verify_consistency(first, size, consistency, root_of(first), root_of(size))
    for name, bad in damaged(consistency, root_of(first), root_of(size)):
        with pytest.raises(InvalidProofError):
            assert verify_consistency(first, size, bad, root_of(first), root_of(size)), name


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 66_000), st.data())
def test_proofs_for_earlier_sizes_come_from_the_tiles_there_are_now(size, data):
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    stored = tiles_of(LARGE)
    inclusion = plan_inclusion(index, size, stored_size=LARGE)
    verify_inclusion(LEAVES[index], index, size, inclusion.fold(stored), root_of(size))
    consistency = plan_consistency(first, size, stored_size=LARGE)
    verify_consistency(first, size, consistency.fold(stored), root_of(first), root_of(size))
    assert plan_root(size, stored_size=LARGE).fold(stored) == (root_of(size),)


@settings(max_examples=200)
@given(st.integers(1, 2**63 - 1), st.data())
def test_a_proof_needs_few_tiles_however_large_the_tree(size, data):
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    for plan in (plan_inclusion(index, size), plan_consistency(first, size)):
        assert len(plan.spans) <= 64
        assert len(plan.tiles) <= 16
        assert len({tile.path for tile in plan.tiles}) == len(plan.tiles)


def test_tiles_are_read_once_each_and_by_any_function():
    asked: list[Tile] = []

    def read(tile):
        asked.append(tile)
        return tiles_of(LARGE)[tile]

    proof = plan_inclusion(300, LARGE).read(read)
    verify_inclusion(LEAVES[300], 300, LARGE, proof, root_of(LARGE))
    assert sorted(set(asked)) == asked
    assert asked == [Tile(0, 1), Tile(0, 257, 208), Tile(1, 0), Tile(1, 1, 1)]


def test_tiles_that_are_not_there_or_not_whole_are_named():
    plan = plan_inclusion(300, LARGE)
    for tile in plan.tiles:
        less = {other: tiles_of(LARGE)[other] for other in plan.tiles if other != tile}
        with pytest.raises(MissingTileError, match=tile.path):
            plan.fold(less)
        with pytest.raises(CorruptTileError, match=tile.path):
            plan.fold({**less, tile: b""})


@pytest.mark.parametrize(
    "plan",
    [
        lambda: plan_inclusion(5, 5),
        lambda: plan_inclusion(-1, 5),
        lambda: plan_inclusion(0, 0),
        lambda: plan_inclusion(0, 5, stored_size=4),
        lambda: plan_inclusion(0, 2**63),
        lambda: plan_consistency(6, 5),
        lambda: plan_consistency(-1, 5),
        lambda: plan_consistency(1, 5, stored_size=4),
        lambda: plan_root(0),
        lambda: plan_root(-1),
        lambda: plan_root(5, stored_size=4),
    ],
)
def test_what_is_not_in_the_tree_has_no_proof(plan):
    with pytest.raises(OutOfTreeError):
        plan()


def test_nothing_needs_no_tiles():
    for first, second in ((0, 0), (0, 9), (9, 9)):
        plan = plan_consistency(first, second)
        assert plan.tiles == []
        assert plan.fold({}) == ()


def test_a_byte_moved_from_one_hash_to_its_neighbour_is_noticed():
    # Both spellings concatenate, and so hash, to the same.
    leaf, sibling = HASHES[0], HASHES[1]
    verify_inclusion(leaf, 0, 2, [sibling], ROOTS[2])
    with pytest.raises(InvalidProofError, match="32 bytes"):
        verify_inclusion(leaf + sibling[:1], 0, 2, [sibling[1:]], ROOTS[2])
    with pytest.raises(InvalidProofError, match="32 bytes"):
        verify_consistency(1, 2, [sibling[1:]], leaf + sibling[:1], ROOTS[2])


def test_a_root_is_computed_only_from_a_proof_of_the_right_length():
    for size, proof in ((1, [SOME_HASH]), (2, []), (2, [SOME_HASH] * 2), (8, [SOME_HASH] * 4)):
        with pytest.raises(InvalidProofError, match="than the path"):
            root_from_inclusion(HASHES[0], 0, size, proof)


def test_random_proofs_never_verify():
    draw = random.Random(7)
    for _ in range(300):
        size = draw.randrange(2, 40)
        index = draw.randrange(size)
        proof = [draw.randbytes(32) for _ in range(draw.randrange(8))]
        with pytest.raises(InvalidProofError):
            verify_inclusion(LEAVES[index], index, size, proof, root_of(size))
        with pytest.raises(InvalidProofError):
            verify_consistency(index + 1, size + 1, proof, root_of(index + 1), root_of(size + 1))
