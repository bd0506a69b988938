# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that somebody without a key can do to stored files, one thing at a time, in order: nothing is left to chance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from runrecord.ledger import NoteSigner
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.edge import Edge
from runrecord.ledger.tlog import leaf_hash
from runrecord.semconv.canonical import canonical_json

Files = Mapping[str, bytes]
Tampered = tuple[str, dict[str, bytes]]
"""What was done, and the files with it."""


class StoredFiles:
    """The files of a log as a store that can be read (:class:`runrecord.ledger.stores.base.Objects`)."""

    shared = False
    where = "memory"

    def __init__(self, files: Files, path: Path) -> None:
        self.files = files
        self.path = path

    def read(self, name: str) -> bytes | None:
        """Return a file."""
        return self.files.get(name)

    def names(self, directory: str) -> Iterator[str]:
        """Yield the files below a directory."""
        return (name for name in self.files if name.startswith(directory))

    def locate(self, name: str) -> str:
        """Return where a file is."""
        return name

    def leftovers(self) -> list[str]:
        """Nothing."""
        return []

    def close(self) -> None:
        """Nothing is open."""


def stored(path: Path) -> dict[str, bytes]:
    """Return the public files of a log, and its public key."""
    found = {each.relative_to(path).as_posix(): each for each in path.rglob("*") if each.is_file()}
    return {
        name: each.read_bytes()
        for name, each in sorted(found.items())
        if not name.startswith(".state/") or name == ".state/log.vkey"
    }


SMALL = 1_000
"""Bytes; of a larger file two bits of each byte stand for all: it is compared, or hashed, as a whole."""


def changed_bytes(files: Files, bits: Sequence[int], step: int = 1) -> Iterator[Tampered]:
    """Flip bits of each ``step``-th byte of each file."""
    for name, data in files.items():
        for at in range(0, len(data), step):
            for bit in bits if len(data) < SMALL else bits[::7]:
                changed = data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
                yield f"bit {bit} of byte {at} of {name} flipped", {**files, name: changed}


def changed_lengths(files: Files, step: int = 1) -> Iterator[Tampered]:
    """Cut each file at each ``step``-th byte, and put bytes in and at its end."""
    for name, data in files.items():
        for at in range(0, len(data), step):
            yield f"{name} cut at byte {at}", {**files, name: data[:at]}
            yield f"byte {at} of {name} removed", {**files, name: data[:at] + data[at + 1 :]}
            yield f"a byte put in at {at} of {name}", {**files, name: data[:at] + b"\0" + data[at:]}
        yield f"a byte put after {name}", {**files, name: data + b"\0"}
        yield f"{name} twice in itself", {**files, name: data + data}


def exchanged_files(files: Files, others: Mapping[str, Files]) -> Iterator[Tampered]:
    """Remove each file, exchange any two, and put in its place each file of other versions and other logs."""
    for name in files:
        yield f"{name} removed", {key: data for key, data in files.items() if key != name}
        for origin, other in others.items():
            for source, data in other.items():
                if data != files[name]:
                    yield f"{name} replaced by {source} of {origin}", {**files, name: data}
    for one, two in combinations(files, 2):
        if files[one] != files[two]:
            yield f"{one} and {two} exchanged", {**files, one: files[two], two: files[one]}


# --- entries, with all that follows from them ------------------------------------------------------------------------------


def moved_leaves(leaves: Sequence[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Delete each entry, insert one at each place, swap any two, and cut at each place."""
    for at in range(len(leaves)):
        yield f"entry {at} deleted", [*leaves[:at], *leaves[at + 1 :]]
        yield f"entry {at} emptied", [*leaves[:at], b"", *leaves[at + 1 :]]
        if at:
            yield f"all entries from {at} on deleted", list(leaves[:at])
        yield f"entry {at} twice", [*leaves[: at + 1], *leaves[at:]]
        yield f"an entry put in at {at}", [*leaves[:at], b"{}", *leaves[at:]]
    yield "an entry put in at the end", [*leaves, leaves[0]]
    for one, two in combinations(range(len(leaves)), 2):
        if leaves[one] != leaves[two]:
            swapped = list(leaves)
            swapped[one], swapped[two] = leaves[two], leaves[one]
            yield f"entries {one} and {two} swapped", swapped


def edited_leaves(leaves: Sequence[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Edit each JSON member of each entry."""
    for at, leaf in enumerate(leaves):
        for how, entry in edited(json.loads(leaf)):
            yield f"entry {at}: {how}", [*leaves[:at], canonical_json(entry), *leaves[at + 1 :]]
        loose = json.dumps(json.loads(leaf), indent=1).encode()
        yield f"entry {at}: in another encoding", [*leaves[:at], loose, *leaves[at + 1 :]]


def edited(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a JSON value with each single edit: a member removed, added, renamed, emptied, or changed a little."""
    if isinstance(value, dict):
        for key, member in value.items():
            rest = {other: kept for other, kept in value.items() if other != key}
            yield f"{place}/{key} removed", rest
            yield f"{place}/{key} renamed", {**rest, f"{key}x": member}
            for how, changed in edited(member, f"{place}/{key}"):
                yield how, {**value, key: changed}
        yield f"{place}/ has a member more", {**value, "more": "1"}
    elif isinstance(value, list):
        for at, member in enumerate(value):
            yield f"{place}/{at} removed", [*value[:at], *value[at + 1 :]]
            for how, changed in edited(member, f"{place}/{at}"):
                yield how, [*value[:at], changed, *value[at + 1 :]]
        yield f"{place}/ has an element more", [*value, "1"]
    else:
        for changed in _neighbours(value):
            yield f"{place} is {changed!r:.40}", changed


def _neighbours(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value, None]
    if isinstance(value, (int, float)):
        return [value + 1, -value - 1, str(value)]
    if isinstance(value, str):
        last = value[-1:]
        return [
            each
            for each in ("", value + "0", value[:-1] + ("1" if last != "1" else "2"), None)
            if each != value
        ]
    return ["", 0]


def rebuilt(files: Files, leaves: Sequence[bytes], signer: NoteSigner | None = None) -> dict[str, bytes]:
    """Return a log of other leaves, as far as somebody can make it: tiles, bundles, and the root in the checkpoint.

    Args:
        files: The log.
        leaves: The other leaves.
        signer: Who signs the checkpoint; without one, the signature is the one of the real checkpoint.
    """
    made = {name: data for name, data in files.items() if not name.startswith("tile/")}
    edge = Edge()
    framed = [len(leaf).to_bytes(2, "big") + leaf for leaf in leaves]
    edge.extend(
        framed, [leaf_hash(leaf) for leaf in leaves], lambda path, data: made.update({str(path): data})
    )
    old = Checkpoint.parse(files["checkpoint"])
    new = Checkpoint(old.origin, len(leaves), edge.root())
    made["checkpoint"] = (
        new.sign([signer]).note if signer else files["checkpoint"].replace(old.body(), new.body())
    )
    return made
