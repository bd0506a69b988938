# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a log needs of the place it is kept in.

A store holds objects by the names of C2SP tlog-tiles (``checkpoint``, ``tile/...``), and to write, a journal of the entries that are
in no tile yet and an index of their keys. Everything else (duplicates, order, trees, signatures, what is refused) is
the same code for every store, so that all of them give the same bytes.

What a store promises:

- when :meth:`Journal.append` returns, the group survives any crash;
- no group is appended but behind all others: of two writers one succeeds, and the other is told before it is acknowledged;
- a checkpoint is replaced only by whoever has read the one before;
- an object is there whole or not at all, and a group or checkpoint only after what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.edge import Edge
from runrecord.ledger.pending import Pending
from runrecord.ledger.wal import Frame

CHECKPOINT = "checkpoint"
WITNESSED = "checkpoint.witnessed"
PUBLIC_KEY = ".state/log.vkey"


class HeadMoved(Exception):  # noqa: N818 - not an error: another writer was faster
    """Another writer has appended or published; nothing was written. Take its work in, and try again."""


@dataclass(frozen=True, slots=True)
class Head:
    """How far a log that several writers may share has come.

    Attributes:
        size: How many entries are durable.
        frames: Those that the asking writer does not know, as far as they are in no tile yet.
    """

    size: int
    frames: Sequence[Frame]


class Objects(Protocol):
    """Reading objects; all that a reader of a log needs. Thread-safe."""

    @property
    def where(self) -> str:
        """The place, for people; it holds no secret."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return an object, None if there is none.

        Raises:
            LedgerError: The store does not answer.
        """
        ...

    def names(self, directory: str) -> Iterator[str]:
        """Yield the names of the objects below a directory such as ``tile/``."""
        ...

    def locate(self, name: str) -> str:
        """Return where an object is, for people."""
        ...


class Keys(Protocol):
    """The index from the digest of an entry's key to its place."""

    @property
    def size(self) -> int:
        """How many leaves are indexed; those that follow must be in memory still."""
        ...

    def find(self, digests: Sequence[bytes]) -> dict[bytes, int]:
        """Return the place of each digest that is indexed; inside of a turn, if the journal has turns."""
        ...

    def add(self, first: int, digests: Sequence[bytes], size: int, root: bytes) -> None:
        """Index consecutive leaves; ``size`` and ``root`` are those of the tree with them. Durable on return."""
        ...

    def complete(self, opened: Opened) -> None:
        """Index the leaves under a checkpoint that are not indexed yet: another writer has published them."""
        ...

    def close(self) -> None:
        """Give it up."""
        ...


class Journal(Protocol):
    """Groups of entries that are durable and in no tile yet."""

    def recover(self) -> Iterable[Frame]:
        """Yield all groups in order, without what a crash tore."""
        ...

    def turn(self, size: int) -> AbstractContextManager[Head | None]:
        """Begin to append; at most one writer can succeed before the block ends.

        Args:
            size: How many entries this writer knows.

        Returns:
            How far the log is; None where nobody else can have written.
        """
        ...

    def append(self, first: int, digests: Sequence[bytes], framed: Sequence[bytes]) -> None:
        """Append one group, in a turn; on return it is durable.

        Args:
            first: The index of its first entry.
            digests: The digest of each key, 16 bytes.
            framed: The entries with their length prefix.

        Raises:
            HeadMoved: Another writer was faster; nothing is kept.
            LedgerFull: There is no room; nothing is kept.
            LedgerStopped: Whether it is kept is in doubt; nothing may be appended any more.
        """
        ...

    def release(self, below: int) -> None:
        """Forget the groups that hold only entries under an index: a published checkpoint covers them."""
        ...


class Publication(Protocol):
    """One checkpoint on its way: tiles, then the checkpoint."""

    def newest(self) -> bytes | None:
        """Return the checkpoint that is there now; None where nobody else can have replaced it."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a tile or bundle."""
        ...

    def settle(self) -> None:
        """Return when all that was written is durable, or will be no later than the checkpoint."""
        ...

    def remove(self, directories: Sequence[str]) -> None:
        """Remove partial tiles that are superseded; it does not matter if one stays."""
        ...

    def checkpoint(self, note: bytes) -> None:
        """Replace the checkpoint; durable when the block of the publication has ended.

        Raises:
            HeadMoved: Another writer has replaced it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known of a log when its keys are opened.

    Attributes:
        checkpoint: The signed checkpoint.
        node: Reads the tree that it covers.
        leaves: Reads the leaves that it covers.
        pending: What is durable beyond it.
        edge: The tree's right edge.
        key_of: Works the key of a leaf out; None if nobody can.
    """

    checkpoint: Checkpoint
    node: Callable[[int, int], bytes]
    leaves: Callable[[int, int], Iterator[bytes]]
    pending: Pending
    edge: Edge
    key_of: Callable[[bytes], bytes] | None


class Writer(Protocol):
    """The right to write to a store."""

    @property
    def journal(self) -> Journal:
        """The journal."""
        ...

    @property
    def held(self) -> bool:
        """Whether this process is the one that took it; a fork inherits the object, not the right."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write a small object that is not part of the log, whole."""
        ...

    def remove(self, names: Sequence[str]) -> list[str]:
        """Remove objects; return those that are there still, since the store does not let go of them now."""
        ...

    def open_keys(self, opened: Opened) -> Keys:
        """Open the index of keys, covering at least the checkpoint.

        Raises:
            RolledBack: It has seen another or a longer log.
            LedgerCorrupt: It lacks keys, and can't be rebuilt.
        """
        ...

    def publication(self) -> AbstractContextManager[Publication]:
        """Begin to publish."""
        ...

    def restore(self, opened: Opened) -> None:
        """Take over what a copy has put there: index its keys, and say that its entries are durable.

        Nothing may be pending. It can be done again.

        Raises:
            HeadMoved: Someone else writes.
        """
        ...

    def close(self, *, remove_journal: bool) -> None:
        """Give the right up; with ``remove_journal``, a checkpoint covers everything in it."""
        ...


class Store(Objects, Protocol):
    """A place that a log is kept in."""

    @property
    def shared(self) -> bool:
        """Whether several writers may share a log."""
        ...

    @property
    def path(self) -> Path:
        """The directory whose ``.state`` holds what belongs to this machine: keys, and indexes that can be rebuilt."""
        ...

    def writer(self) -> Writer:
        """Take the right to write, making the place if it is not there.

        Raises:
            LedgerLocked: Another process has it, and it can't be shared.
            LedgerReadOnly: It can't be written.
        """
        ...

    def leftovers(self) -> list[str]:
        """Return the names of objects that a writer made and never came to use."""
        ...

    def close(self) -> None:
        """Give connections up."""
        ...
