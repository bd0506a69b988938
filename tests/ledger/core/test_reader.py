# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A reader returns nothing that does not lead to the signed checkpoint, and names the file and the entry that does not."""

from __future__ import annotations

import shutil

import pytest

from runrecord.ledger import LedgerCorrupt, Log
from runrecord.ledger.edge import Edge
from runrecord.ledger.reader import LogReader
from runrecord.ledger.stores.directory import DirectoryStore
from runrecord.ledger.tiles import (
    TILE_WIDTH,
    Tile,
    TilePath,
    encode_bundle,
    encode_tile,
    frame_entry,
    tiles_of,
)
from runrecord.ledger.tlog import leaf_hash

SIZE = 2 * TILE_WIDTH + 40


@pytest.fixture
def log(open_log, items):
    """A closed log of two full bundles and a partial one."""
    made = open_log()
    made.append(items(0, SIZE))
    made.close()
    return made


def read_all(path, signer):
    return list(Log.open(path, read_only=True, verifiers=[signer.verifier]).leaves())


def test_a_good_log_reads_as_it_was_written(log, signer, items):
    assert read_all(log.path, signer) == [leaf for _, leaf in items(0, SIZE)]


@pytest.mark.parametrize("at", [0, 5, -1])
@pytest.mark.parametrize("name", list(map(str, tiles_of(SIZE))))
def test_no_byte_of_a_file_can_change(log, signer, name, at):
    path = log.path / name
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(LedgerCorrupt) as caught:
        read_all(log.path, signer)
    assert name in caught.value.message
    assert "from a copy" in (caught.value.next_step or "")


@pytest.mark.parametrize("entry", [0, 255, 300, SIZE - 1])
def test_the_entry_is_named_and_its_neighbours_in_other_bundles_are_read(log, signer, items, entry):
    bundle, place = divmod(entry, TILE_WIDTH)
    name = str(TilePath(None, bundle, min(TILE_WIDTH, SIZE - bundle * TILE_WIDTH)))
    path = log.path / name
    first = bundle * TILE_WIDTH
    leaves = [leaf for _, leaf in items(first, min(first + TILE_WIDTH, SIZE))]
    leaves[place] = b"x" + leaves[place][1:]
    path.write_bytes(encode_bundle(leaves))
    reader = Log.open(log.path, read_only=True)
    with pytest.raises(LedgerCorrupt, match=rf"{name} .* entry {entry} "):
        reader.leaf(first)  # the whole bundle is refused
    other = (first + TILE_WIDTH) % (2 * TILE_WIDTH)
    assert reader.leaf(other) == items(other, other + 1)[0][1]


def test_an_entry_that_was_changed_with_its_tile_is_refused_too(log, signer, items):
    leaves = [leaf for _, leaf in items(0, TILE_WIDTH)]
    leaves[7] = b"another"
    (log.path / "tile/entries/000").write_bytes(encode_bundle(leaves))
    (log.path / "tile/0/000").write_bytes(encode_tile(list(map(leaf_hash, leaves))))
    with pytest.raises(LedgerCorrupt, match=r"tile/0/000 .* entries 0 to 255"):
        read_all(log.path, signer)
    root = Tile(list(map(leaf_hash, leaves))).node(8, 0)
    above = log.path / "tile" / "1" / "000.p" / "2"
    above.write_bytes(root + above.read_bytes()[32:])
    with pytest.raises(LedgerCorrupt, match="does not add up to the signed root"):
        read_all(log.path, signer)


@pytest.mark.parametrize("gone", ["tile", "tile/0", "tile/1"])
def test_a_tree_that_is_gone_is_noticed_before_anything_is_read(log, gone):
    shutil.rmtree(log.path / gone)
    with pytest.raises(LedgerCorrupt, match="is missing, although the checkpoint"):
        Log.open(log.path, read_only=True)


def test_entries_that_are_gone_are_noticed(log, signer):
    shutil.rmtree(log.path / "tile" / "entries")
    with pytest.raises(LedgerCorrupt, match="is missing, although the checkpoint"):
        read_all(log.path, signer)


def test_the_path_to_the_root_is_checked_through_all_levels(tmp_path):
    """Of 65,836 entries: tiles of three levels, of which the middle one is full."""
    size = TILE_WIDTH**2 + 300
    leaves = [b"%d" % number for number in range(size)]
    edge = Edge()

    def write(path, data):
        (tmp_path / str(path)).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / str(path)).write_bytes(data)

    edge.extend(list(map(frame_entry, leaves)), list(map(leaf_hash, leaves)), write)
    signed = edge.root()
    places = [0, 30_000, TILE_WIDTH**2, size - 1]
    reader = LogReader(DirectoryStore(tmp_path), size, signed)
    assert [reader.leaf(place) for place in places] == [leaves[place] for place in places]
    assert reader.edge().root() == signed
    middle = tmp_path / "tile/1/000"
    data = bytearray(middle.read_bytes())
    data[-1] ^= 1
    middle.write_bytes(data)
    reader = LogReader(DirectoryStore(tmp_path), size, signed)
    with pytest.raises(LedgerCorrupt, match="tile/1/000 "):
        reader.leaf(0)
    assert reader.leaf(size - 1) == leaves[-1]
    with pytest.raises(LedgerCorrupt, match="add up"):
        LogReader(DirectoryStore(tmp_path), size, bytes(32))
    assert (
        LogReader(DirectoryStore(tmp_path), size).leaf(0) == leaves[0]
    )  # what the one writer reads, it wrote


def test_what_was_read_is_checked_against_the_newest_checkpoint_after_a_refresh(open_log, items):
    log = open_log()
    log.append(items(0, 300))
    log.publish()
    reader = open_log(read_only=True)
    assert len(list(reader.leaves())) == 300
    log.append(items(300, 700))
    log.publish()
    assert reader.refresh().size == 700
    path = log.path / "tile/entries/001"
    path.write_bytes(path.read_bytes().replace(b"leaf 400", b"leaf 40x"))
    with pytest.raises(LedgerCorrupt, match="entry 400 "):
        list(reader.leaves())
