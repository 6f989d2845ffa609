"""Growing a tree in tiles, against the tree computed from the definition."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluicegate.audit.errors import CorruptTileError, MalformedError, MissingTileError
from sluicegate.audit.integration import integrate, tiles_needed, tree_root
from sluicegate.audit.merkle import EMPTY_ROOT, leaf_hash, root
from sluicegate.audit.tiles import Tile, tile_at

LEAVES = [leaf_hash(number.to_bytes(4, "big")) for number in range(70_000)]


def expected_tiles(size):
    """Every tile of the tree, from the formula in tlog-tiles, "Merkle Tree"."""
    level, hashes = 0, LEAVES[:size]
    tiles = {}
    while hashes:
        for index in range((len(hashes) + 255) // 256):
            content = hashes[index * 256 : (index + 1) * 256]
            tiles[Tile(level, index, len(content))] = b"".join(content)
        hashes = [root(hashes[at : at + 256]) for at in range(0, len(hashes) - 255, 256)]
        level += 1
    return tiles


@settings(max_examples=40)
@given(st.lists(st.integers(0, 900) | st.sampled_from([1, 255, 256, 257, 512]), min_size=1, max_size=6))
@example([255, 1, 256, 65_024, 1])
@example([70_000])
def test_batches_give_the_tree_of_the_definition(batches):
    stored: dict[Tile, bytes] = {}
    size = 0
    for batch in batches:
        needed = tiles_needed(size)
        grown = integrate({tile: stored[tile] for tile in needed}, size, LEAVES[size : size + batch])
        size += batch
        assert grown.size == size
        assert grown.root == root(LEAVES[:size])
        assert not grown.tiles.keys() & stored.keys()  # nothing is written twice
        stored.update(grown.tiles)
        assert list(grown.right_edge) == tiles_needed(size)
        assert all(stored[tile] == content for tile, content in grown.right_edge.items())
        assert tree_root(grown.right_edge, size) == grown.root
    expected = expected_tiles(size)
    assert expected.items() <= stored.items()
    assert all(tile_at(tile.level, tile.index, size).width >= tile.width for tile in stored)


def test_the_example_of_70_000_leaves():
    grown = integrate({}, 0, LEAVES)
    full = [tile for tile in grown.tiles if tile.width == 256]
    assert len([tile for tile in full if tile.level == 0]) == 273
    assert [tile for tile in full if tile.level > 0] == [Tile(1, 0)]
    assert list(grown.right_edge) == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]


def test_an_empty_batch_writes_nothing():
    assert integrate({}, 0, []).root == EMPTY_ROOT
    grown = integrate({}, 0, LEAVES[:300])
    again = integrate(grown.right_edge, 300, [])
    assert (again.size, again.root, again.tiles, again.right_edge) == (300, grown.root, {}, grown.right_edge)


def test_what_was_read_must_be_the_right_edge():
    edge = integrate({}, 0, LEAVES[:300]).right_edge
    for tile in edge:
        less = {other: content for other, content in edge.items() if other != tile}
        with pytest.raises(MissingTileError):
            integrate(less, 300, LEAVES[300:301])
        with pytest.raises(MissingTileError):
            tree_root(less, 300)
        with pytest.raises(CorruptTileError):
            integrate({**edge, tile: edge[tile][:-1]}, 300, LEAVES[300:301])


def test_a_changed_edge_gives_another_root():
    grown = integrate({}, 0, LEAVES[:70_000])
    for tile, content in grown.right_edge.items():
        changed = bytes([content[0] ^ 1]) + content[1:]
        assert tree_root({**grown.right_edge, tile: changed}, 70_000) != grown.root


def test_only_leaf_hashes_are_taken():
    for wrong in (b"", bytes(31), bytes(33)):
        with pytest.raises(MalformedError):
            integrate({}, 0, [LEAVES[0], wrong])
    with pytest.raises(MalformedError):
        integrate({}, -1, [])
    with pytest.raises(MalformedError):
        integrate({}, 2**63 - 1, LEAVES[:1])
