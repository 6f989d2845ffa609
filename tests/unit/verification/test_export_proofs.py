"""One proof for many leaves, against the tree itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.audit.errors import InvalidProofError
from sluicegate.audit.export.gaps import TreeFromParts, subtrees
from sluicegate.audit.export.places import Places
from sluicegate.audit.merkle import EMPTY_ROOT, leaf_hash, root
from sluicegate.audit.verify.tree import GrowingTree

LEAVES = [leaf_hash(b"%d" % number) for number in range(600)]


@given(st.integers(0, 300), st.integers(0, 300))
def test_subtrees_cover_a_gap_exactly_and_begin_where_such_a_subtree_can(start, length):
    end, at = start + length, start
    for first, last in subtrees(start, end):
        size = last - first
        assert first == at
        assert size & (size - 1) == 0
        assert first % size == 0
        at = last
    assert at == end
    assert len(list(subtrees(start, end))) <= 2 * max(1, end.bit_length())


@given(st.integers(0, 300), st.sets(st.integers(0, 299)))
def test_exported_leaves_and_the_roots_between_them_give_the_root(size, chosen):
    places = Places(size)
    places.add(index for index in chosen if index < size)
    tree = TreeFromParts()

    def fill(end):
        for start, stop in subtrees(tree.size, end):
            tree.append(stop - start, root(LEAVES[start:stop]))

    for index in places:
        fill(index)
        tree.append(1, LEAVES[index])
    fill(size)
    assert tree.root() == root(LEAVES[:size])
    gaps = [span for gap in places.gaps() for span in subtrees(*gap)]
    assert sum(stop - start for start, stop in gaps) == size - places.count


def test_a_subtree_that_cannot_begin_there_is_refused():
    tree = TreeFromParts()
    assert tree.root() == EMPTY_ROOT
    tree.append(1, LEAVES[0])
    with pytest.raises(InvalidProofError, match="No subtree of 2"):
        tree.append(2, LEAVES[1])


@given(st.integers(0, 200), st.sets(st.integers(0, 199)))
def test_places_are_a_set_in_order(size, chosen):
    chosen = {index for index in chosen if index < size}
    places = Places(size)
    places.add(sorted(chosen))
    places.add(chosen)
    assert list(places) == sorted(chosen)
    assert places.count == len(chosen)
    assert [index for chunk in places.chunks(7) for index in chunk] == sorted(chosen)
    assert all(len(chunk) <= 7 for chunk in places.chunks(7))
    assert {index for gap in places.gaps() for index in range(*gap)} == set(range(size)) - chosen


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 600])
def test_a_growing_tree_knows_the_root_of_each_size_on_its_way(size):
    tree = GrowingTree(size)
    for start in range(0, size, 256):
        bundle = LEAVES[start : min(start + 256, size)]
        for width in range(1, len(bundle) + 1, 17):
            assert tree.root_with(root(bundle[:width])) == root(LEAVES[: start + width])
        tree.append(root(bundle))
    assert tree.root() == root(LEAVES[:size])
