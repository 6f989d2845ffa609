"""Tiles and bundles: the paths and sizes of C2SP tlog-tiles, and nothing that merely resembles them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.audit.errors import CorruptTileError, MalformedError, MissingTileError
from sluicegate.audit.tiles import (
    Bundle,
    Tile,
    append_entries,
    bundle_edge,
    pack_entries,
    parse_path,
    right_edge,
    take,
    tile_at,
    unpack_entries,
)

PATHS = {
    # tlog-tiles, "Merkle Tree"
    "tile/0/x001/x234/067": Tile(0, 1234067),
    "tile/0/000": Tile(0, 0),
    "tile/1/000.p/1": Tile(1, 0, 1),
    "tile/0/273.p/112": Tile(0, 273, 112),
    "tile/2/000.p/255": Tile(2, 0, 255),
    "tile/63/999": Tile(63, 999),
    "tile/0/x001/000": Tile(0, 1000),
    "tile/0/x001/x000/000.p/7": Tile(0, 1_000_000, 7),
    "tile/entries/x001/x234/067": Bundle(1234067),
    "tile/entries/000.p/2": Bundle(0, 2),
}


@pytest.mark.parametrize(("path", "place"), PATHS.items())
def test_paths(path, place):
    assert place.path == path
    assert parse_path(path) == place


@given(st.integers(0, 63), st.integers(0, 2**55), st.integers(1, 256))
def test_every_place_has_one_path(level, index, width):
    for place in (Tile(level, index, width), Bundle(index, width)):
        assert parse_path(place.path) == place


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/100/000",
        "tile/-1/000",
        "tile/a/000",
        "tile/Entries/000",
        "tile/0/x000/001",
        "tile/0/001/001",
        "tile/0/x001",
        "tile/0/X001/001",
        "tile/0/x01/001",
        "tile/0//001",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000.p/1/2",
        "tile/0/000.p/1\n",
        "tile/0/000\n",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/../0/000",
        "tile/8/0/000",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/" + "x001/" * 500 + "000",
        "checkpoint",
    ],
)
def test_other_spellings_are_refused(path):
    with pytest.raises(MalformedError):
        parse_path(path)


def test_the_examples_of_partial_tiles():
    # tlog-tiles, "Partial Tiles"
    assert right_edge(70_000) == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert tile_at(0, 272, 70_000) == Tile(0, 272)
    assert tile_at(1, 0, 70_000) == Tile(1, 0)
    assert right_edge(256) == [Tile(1, 0, 1)]
    assert tile_at(0, 0, 256) == Tile(0, 0)
    assert right_edge(0) == []
    with pytest.raises(MissingTileError):
        tile_at(0, 1, 256)
    with pytest.raises(MissingTileError):
        tile_at(0, 0, 0)


@given(st.integers(1, 2**40))
def test_the_right_edge_is_each_levels_last_partial_tile(size):
    edge = right_edge(size)
    for level in range(8):
        # tlog-tiles: floor(s / 256**l) mod 256
        width = size // 256**level % 256
        found = [tile.width for tile in edge if tile.level == level]
        assert found == ([width] if width else [])
    assert all(tile == tile_at(tile.level, tile.index, size) for tile in edge)


def test_a_tile_is_taken_only_whole():
    tile = Tile(0, 0, 2)
    assert take({tile: bytes(64)}, tile) == bytes(64)
    with pytest.raises(MissingTileError, match=r"tile/0/000\.p/2"):
        take({Tile(0, 0, 1): bytes(32)}, tile)
    for wrong in (bytes(63), bytes(65), b""):
        with pytest.raises(CorruptTileError, match=r"tile/0/000\.p/2"):
            take({tile: wrong}, tile)


def test_a_bundle_byte_by_byte():
    content = b"\x00\x02hi\x00\x00\x01\x00" + b"x" * 256
    assert pack_entries([b"hi", b"", b"x" * 256]) == content
    assert unpack_entries(Bundle(0, 3), content) == [b"hi", b"", b"x" * 256]


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"\x00\x02h", b"\x00\x01h\x00", b"\x00\x01hi", b"\x00\x01h\x00\x00x"]
)
def test_a_bundle_of_another_width_is_corrupt(content):
    with pytest.raises(CorruptTileError, match=r"tile/entries/000\.p/2"):
        unpack_entries(Bundle(0, 2), content)


def test_an_entry_that_does_not_fit_is_refused():
    assert unpack_entries(Bundle(0, 1), pack_entries([bytes(65_535)])) == [bytes(65_535)]
    with pytest.raises(MalformedError, match="65536"):
        pack_entries([bytes(65_536)])


@given(st.lists(st.integers(0, 600), max_size=5))
def test_bundles_grow_to_what_they_would_be_at_once(batches):
    stored: dict[Bundle, bytes] = {}
    entries = [number.to_bytes(2, "big") * (number % 3) for number in range(sum(batches))]
    size = 0
    for batch in batches:
        edge = bundle_edge(size)
        written = append_entries(stored[edge] if edge else b"", size, entries[size : size + batch])
        assert list(written) == sorted(written)
        stored.update(written)
        size += batch
    for index in range((size + 255) // 256):
        expected = entries[index * 256 : (index + 1) * 256]
        bundle = Bundle(index, len(expected))
        assert unpack_entries(bundle, stored[bundle]) == expected


def test_bundles_do_not_grow_from_another_ones_content():
    for partial in (b"", pack_entries([b"a", b"b"]), pack_entries([b"a"]) + b"\x00"):
        with pytest.raises(CorruptTileError):
            append_entries(partial, 257, [b"c"])
    with pytest.raises(CorruptTileError):
        append_entries(b"\x00\x00", 256, [b"c"])
