# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Tile paths, tiles and entry bundles: the examples of the specification, round trips, and refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.ledger import tlog
from runrecord.ledger.edge import Edge
from runrecord.ledger.errors import EntryTooLarge, MalformedTile
from runrecord.ledger.tiles import (
    Tile,
    TilePath,
    decode_bundle,
    decode_tile,
    encode_bundle,
    encode_tile,
    frame_entry,
    tiles_of,
)

PATHS = st.builds(
    TilePath,
    st.one_of(st.none(), st.integers(0, 63)),
    st.integers(0, 2**63),
    st.integers(1, 256),
)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (TilePath(0, 0), "tile/0/000"),
        (TilePath(0, 1234067), "tile/0/x001/x234/067"),
        (TilePath(0, 1234067, 8), "tile/0/x001/x234/067.p/8"),
        (TilePath(None, 999), "tile/entries/999"),
        (TilePath(None, 1000, 255), "tile/entries/x001/000.p/255"),
        (TilePath(63, 1, 1), "tile/63/001.p/1"),
    ],
)
def test_paths_are_those_of_the_specification(path, text):
    assert str(path) == text
    assert TilePath.parse(text) == path


@given(PATHS)
def test_a_path_reads_back(path):
    assert TilePath.parse(str(path)) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/001",
        "tile/0/1234067",
        "tile/0/001/067",
        "tile/0/x001/x067",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p",
        "tile/0/000\n",
        "tile/0/\u0661\u0661\u0661",
        "/tile/0/000",
        "tile/Entries/000",
    ],
)
def test_no_other_spelling_is_a_path(text):
    with pytest.raises(MalformedTile):
        TilePath.parse(text)


def test_a_tree_of_70000_is_made_of_the_tiles_that_the_specification_lists():
    found = tiles_of(70_000)
    count = lambda level, full: sum(t.level == level and (t.width == 256) == full for t in found)  # noqa: E731
    assert (count(0, True), count(1, True), count(2, True)) == (273, 1, 0)
    partial = [(t.level, t.index, t.width) for t in found if t.width < 256]
    assert partial == [(None, 273, 112), (0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert tiles_of(256) == [TilePath(None, 0), TilePath(0, 0), TilePath(1, 0, 1)]
    assert tiles_of(0) == []


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_reads_back(leaves):
    data = encode_bundle(leaves)
    assert decode_bundle(data, len(leaves)) == leaves
    with pytest.raises(MalformedTile):
        decode_bundle(data, len(leaves) + 1)
    with pytest.raises(MalformedTile):
        decode_bundle(data[:-1] if len(leaves[-1]) else data + b"\0")


def test_a_bundle_holds_entries_of_65535_bytes_and_no_more():
    assert decode_bundle(encode_bundle([bytes(65_535)])) == [bytes(65_535)]
    with pytest.raises(EntryTooLarge, match="65536 bytes"):
        frame_entry(bytes(65_536))


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=256))
def test_a_tile_reads_back(hashes):
    data = encode_tile(hashes)
    assert decode_tile(data, len(hashes)) == hashes
    for broken in (data[:-1], data + b"\0", b""):
        with pytest.raises(MalformedTile):
            decode_tile(broken)
    with pytest.raises(MalformedTile):
        decode_tile(data, len(hashes) + 1)
    assert Tile(hashes).width == len(hashes)


@given(st.lists(st.integers(1, 700), min_size=1, max_size=5))
def test_the_edge_writes_the_tiles_of_every_size_it_passes(steps):
    """Whatever the steps, the files are those of the tree, and each has the hashes of its subtrees."""
    files: dict[TilePath, bytes] = {}
    edge = Edge()
    leaves = [b"%d" % i for i in range(sum(steps))]
    hashes = [tlog.leaf_hash(each) for each in leaves]
    sizes = []
    for step in steps:
        start = edge.size
        edge.extend(
            [frame_entry(each) for each in leaves[start : start + step]],
            hashes[start : start + step],
            files.__setitem__,
        )
        sizes.append(edge.size)
        assert edge.root() == tlog.root_of_hashes(hashes[: edge.size])
    assert set(files) == {path for size in sizes for path in tiles_of(size)}
    for path, data in files.items():
        first = path.index * 256
        if path.level is None:
            assert decode_bundle(data, path.width) == leaves[first : first + path.width]
        else:
            span = 256**path.level
            assert decode_tile(data, path.width) == [
                tlog.root_of_hashes(hashes[i * span : (i + 1) * span])
                for i in range(first, first + path.width)
            ]
