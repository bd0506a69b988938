# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a log states that it has let go of: a minimum index, below which entry bundles may be missing (C2SP tlog-tiles, "Pruning").

The statement is an entry, ``pruned``; its proof is kept beside the log as ``pruned.tlog-proof``, with the entry as its extra data. The
hash tiles stay, so every proof that was made stays valid, and those of pruned entries can still be made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import pairwise
from typing import Final

from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.errors import LedgerError, MalformedProof, Pruned
from runrecord.ledger.note import NoteVerifier
from runrecord.ledger.stores.base import Objects
from runrecord.ledger.tiles import TILE_WIDTH
from runrecord.ledger.tlog import leaf_hash
from runrecord.ledger.tlog_proof import TlogProof

PRUNED: Final = "pruned.tlog-proof"
"""Name of the proof of the newest statement."""
_MAX_BUNDLES: Final = 1 << 40
_NANO: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Pruning:
    """A statement that entries were pruned.

    Attributes:
        index: Index of the entry that states it.
        minimum: Below this index entry bundles may be missing.
        epoch: The newest epoch of which entries were pruned.
        time: When, nanoseconds since the Unix epoch.
        bundles: Which entry bundles went with it.
        leaf: The entry.
    """

    index: int
    minimum: int
    epoch: str
    time: int
    bundles: Sequence[int]
    leaf: bytes

    def covers(self, bundle: int) -> bool:
        """Return whether an entry bundle may be missing."""
        return (bundle + 1) * TILE_WIDTH <= self.minimum

    def sentence(self) -> str:
        """Return what was pruned, for people."""
        day = datetime.fromtimestamp(self.time / _NANO, timezone.utc)
        return (
            f"entries below {self.minimum} were pruned, as their time of retention had ended, up to epoch {self.epoch} on {day:%Y-%m-%d} "
            f"(entry {self.index} states it)"
        )

    def error(self, first: int, end: int) -> Pruned:
        """Return the error about entries that are not there any more."""
        return Pruned(
            f"entries {first} to {end - 1} of the ledger are not there any more: {self.sentence()}",
            "bundles that were made earlier still verify, and their proofs can still be made; a copy of the ledger may still have the entries",
        )


def encode_ranges(numbers: Iterable[int]) -> str:
    """Return ascending numbers as text, such as ``0-3,7``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def decode_ranges(text: str, limit: int = _MAX_BUNDLES) -> list[range]:
    """Read ranges of numbers.

    Raises:
        MalformedProof: They are not ranges that ascend.
    """
    ranges: list[range] = []
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            break
        ranges.append(range(int(first), int(last or first) + 1))
    else:
        if all(a.stop < b.start for a, b in pairwise(ranges)) and all(
            len(r) and r.stop <= limit for r in ranges
        ):
            return ranges
    raise MalformedProof("a statement that entries were pruned does not say which")


def parse_pruning(proof: bytes) -> Pruning:
    """Read the proof of a statement; nothing is verified.

    Raises:
        MalformedError: It is not one.
    """
    parsed = TlogProof.parse(proof)
    leaf = parsed.extra or b""
    entry = Entry.parse(leaf)
    minimum = entry.detail.get("minimum", "")
    if entry.kind != Kind.PRUNED or not minimum.isdecimal() or int(minimum) > parsed.index:
        raise MalformedProof("the proof is not about a statement that entries were pruned")
    limit = int(minimum) // TILE_WIDTH
    bundles = [n for each in decode_ranges(entry.detail.get("bundles", ""), limit) for n in each]
    return Pruning(parsed.index, int(minimum), entry.detail.get("epoch", ""), entry.start, bundles, leaf)


def read_pruning(
    store: Objects,
    size: int,
    node: Callable[[int, int], bytes],
    verifiers: Sequence[NoteVerifier] = (),
) -> Pruning | None:
    """Return the newest statement of a store, only if the log vouches for it.

    Args:
        store: The store.
        size: How far ``node`` reads.
        node: Reads the hashes of a tree that is checked.
        verifiers: The trusted log keys, for a statement that is newer than this tree.

    Raises:
        LedgerError: The store does not answer, or the statement is not in the log.
    """
    data = store.read(PRUNED)
    if data is None:
        return None
    pruning = parse_pruning(data)
    if pruning.index >= size:
        TlogProof.parse(data).verify(leaf_hash(pruning.leaf), verifiers)
    elif node(0, pruning.index) != leaf_hash(pruning.leaf):
        raise MalformedProof(f"{store.locate(PRUNED)} is not about an entry of this log")
    return pruning


def pruning_or_none(
    store: Objects,
    size: int,
    node: Callable[[int, int], bytes],
    verifiers: Sequence[NoteVerifier] = (),
) -> Pruning | None:
    """Return the newest statement, None where nothing vouches for it: what is missing then is damage."""
    try:
        return read_pruning(store, size, node, verifiers)
    except LedgerError:
        return None
