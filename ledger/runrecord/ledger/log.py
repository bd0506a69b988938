# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A log: durable appends, about one checkpoint a second, reads and proofs.

Its bytes are those of C2SP tlog-tiles (``checkpoint``, ``tile/``), whatever store it is kept in.

What survives a crash: an entry is durable when ``append`` returns. Tiles, then the key index, then the checkpoint become durable when
the publisher runs; only then is the journal freed. A crash between any two of these steps is repaired on the next open.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import final

from runrecord.ledger import tlog
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.errors import (
    LedgerError,
    LedgerReadOnly,
    LedgerStopped,
    OutOfRange,
    RolledBack,
    SignatureError,
)
from runrecord.ledger.keyring import OVERLAP_SECONDS, Keyring
from runrecord.ledger.note import NoteSigner, NoteVerifier
from runrecord.ledger.pruned import Pruning
from runrecord.ledger.publisher import Publisher
from runrecord.ledger.reader import LogReader
from runrecord.ledger.recovery import Recovered, missing_checkpoint, read_checkpoint, recover, trusted_keys
from runrecord.ledger.sequencer import Appended, ConflictFactory, Sequencer
from runrecord.ledger.stores.base import CHECKPOINT, WITNESSED, Objects, Store
from runrecord.ledger.stores.location import Location, open_store


@final
class Log:
    """An append-only log.

    Open it with :meth:`open`. All methods are thread-safe. It is a context manager that closes itself.
    """

    def __init__(
        self,
        store: Store,
        checkpoint: Checkpoint,
        verifiers: Sequence[NoteVerifier],
        recovered: Recovered | None,
    ) -> None:
        self._store = store
        self._verifiers = tuple(verifiers)
        self._checkpoint = checkpoint
        self._recovered = recovered
        self._reader = LogReader(
            store,
            checkpoint.size,
            None if recovered else checkpoint.root,
            verifiers=lambda: self.verifiers,
        )
        self._closed = False
        self.when_published: Callable[[], None] | None = None
        """Called after each new checkpoint of this writer."""
        self._sequencer: Sequencer | None = None
        self._publisher: Publisher | None = None
        if recovered:
            self._sequencer = Sequencer(
                recovered.writer.journal,
                recovered.keys,
                recovered.pending,
                lambda index: self._reader.node(0, index),
                make_room=self.publish,
                take_checkpoint=self.follow,
            )
            self._publisher = Publisher(store, recovered, self._sequencer, self._published)

    @classmethod
    def open(
        cls,
        location: Location,
        *,
        signer: NoteSigner | None = None,
        previous: Sequence[NoteSigner] = (),
        overlap: float = OVERLAP_SECONDS,
        read_only: bool = False,
        checkpoint_interval: float | None = 1.0,
        origin: str | None = None,
        verifiers: Sequence[NoteVerifier] = (),
        key_of: Callable[[bytes], bytes] | None = None,
        now: Callable[[], float] = time.time,
    ) -> Log:
        """Open a log, making it if there is none; recover what a crash left.

        Args:
            location: A directory, or where else the log is kept (see :mod:`runrecord.ledger.stores.location`).
            signer: The log key; its name is the log's origin. None reads the key in ``.state/`` or makes one there.
            previous: With a signer, the keys before it, which sign too until the end of their overlap (see
                :mod:`runrecord.ledger.keyring`).
            overlap: Seconds for which a key of ``previous`` goes on signing from the moment on at which the log states the change.
            read_only: Read what the last checkpoint covers, also while another process writes.
            checkpoint_interval: Seconds between two checkpoints while there is something new; None publishes only when told to.
            origin: The name of a log that is made; it should be unique, like ``example.com/agents``. Of a log that
                exists, it must be equal. None makes one up.
            verifiers: The trusted log keys, and with them those that they vouch for; none trusts the keys that the log states itself.
                Opened to write, keys that signed before those of the writer.
            key_of: Works the key of a leaf out, so that a lost key index can be rebuilt. For a leaf made by
                ``on_conflict`` it must return :func:`runrecord.ledger.dedup.conflict_key` of what it states.
            now: Seconds since the Unix epoch, for the ends of overlaps.

        Raises:
            LedgerLocked: If another process writes to it, and its store has one writer only.
            LedgerReadOnly: If its store can't be written.
            LedgerFull: If there is no room.
            RolledBack: If the files are older than, or differ from, what the log has signed.
            LedgerCorrupt: If they contradict each other in another way. Opened to read, whatever is read later is
                checked against the checkpoint too, and this raised.
            SignatureError: If the checkpoint is not signed by a trusted key.
            LedgerError: If there is no log to read, or its origin is another one.
        """
        store = open_store(location)
        try:
            if read_only:
                return cls(store, *_read(store, origin, verifiers), None)
            recovered = recover(
                store,
                signers=() if signer is None else (signer, *previous),
                origin=origin,
                verifiers=verifiers,
                key_of=key_of,
                now=now,
                overlap=overlap,
            )
        except BaseException:
            store.close()
            raise
        log = cls(store, recovered.checkpoint, verifiers, recovered)
        assert log._publisher is not None  # there is one for every log that is written
        try:
            if not recovered.checkpoint.note:
                log.publish()
        except BaseException:
            recovered.close()
            store.close()
            raise
        if recovered.pending.framed:
            log._publisher.notice()
        log._publisher.start(checkpoint_interval)
        return log

    def __enter__(self) -> Log:
        """Return the log itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the log."""
        self.close()

    def __repr__(self) -> str:
        """Return where and which log, nothing of its content."""
        return f"<Log {self.origin!r} in {self.where!r}, {self.size} entries>"

    # --- what the log is -----------------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The directory whose ``.state`` holds what belongs to this machine; that of the log, if it is in a directory."""
        return self._store.path

    @property
    def where(self) -> str:
        """Where it is kept, for people."""
        return self._store.where

    @property
    def shared(self) -> bool:
        """Whether several writers may share it."""
        return self._store.shared

    @property
    def objects(self) -> Objects:
        """Its tiles and checkpoint, by their names."""
        return self._store

    @property
    def origin(self) -> str:
        """The log's name."""
        return self._checkpoint.origin

    @property
    def vkey(self) -> str:
        """The public log key, as text; after a change, the new one."""
        return next(each.vkey for each in self.verifiers if each.name == self.origin)

    @property
    def verifiers(self) -> tuple[NoteVerifier, ...]:
        """The trusted log keys, the newest of this log first."""
        if self._recovered is None:
            return self._verifiers
        known = {each.vkey: each for each in self._recovered.verifiers}
        for vkey in self._recovered.keyring.listed:
            known.setdefault(vkey, NoteVerifier(vkey))
        return tuple(known.values())

    @property
    def keyring(self) -> Keyring:
        """The private keys; of a log that is open to write.

        Raises:
            LedgerReadOnly: If the log was opened to read.
        """
        if self._recovered is None:
            raise _read_only(self.where)
        return self._recovered.keyring

    @property
    def checkpoint(self) -> Checkpoint:
        """The last signed checkpoint."""
        return self._checkpoint

    @property
    def publish_failure(self) -> LedgerError | None:
        """Why the last attempt to publish a checkpoint failed; None if it worked. It is tried again in the background."""
        return self._publisher.failure if self._publisher else None

    @property
    def size(self) -> int:
        """How many entries are durable; opened to read, how many the checkpoint covers."""
        return self._sequencer.size if self._sequencer else self._checkpoint.size

    # --- writing -------------------------------------------------------------------------------------------------

    def append(
        self, items: Sequence[tuple[bytes, bytes]], *, on_conflict: ConflictFactory | None = None
    ) -> list[Appended]:
        """Append entries; they are durable when this returns.

        Concurrent calls share one sync. A call is atomic: all of its entries are kept, or none.

        Args:
            items: Pairs of a key and a leaf. The same key and leaf again are not logged twice.
            on_conflict: Called as ``on_conflict(key, old_index, leaf)`` when a key comes with another leaf than before; returns the
                entry that is logged in its place. Without it the leaf itself is logged.

        Returns:
            For each item its index and whether it was new.

        Raises:
            EntryTooLarge: If a leaf is over 65,535 bytes.
            LedgerFull: If there is no room; a later call may succeed.
            LedgerReadOnly: If the log was opened to read.
            LedgerStopped: If the log is closed, was inherited by a fork, or a sync failed.
        """
        sequencer, publisher = self._writable()
        results = sequencer.append(items, on_conflict) if items else []
        publisher.notice()
        return results

    def indices_of(self, keys: Sequence[bytes]) -> list[int | None]:
        """Return the index of the entry that was appended under each key, None where there is none.

        Raises:
            LedgerReadOnly: If the log was opened to read.
            LedgerStopped: If the log is closed.
        """
        return self._writable()[0].indices_of(keys)

    def publish(self) -> Checkpoint:
        """Write the tiles of all durable entries, sign and publish a checkpoint of them.

        Returns:
            The checkpoint; the last one if there is nothing new.

        Raises:
            LedgerFull: If there is no room; nothing is lost, and a later call may succeed.
            LedgerReadOnly: If the log was opened to read.
            LedgerStopped: If the log is closed or a sync failed.
        """
        return self._writable()[1].publish()

    @property
    def witnessed(self) -> Checkpoint | None:
        """The largest checkpoint that was kept with its cosignatures, None if there is none; who signed it is checked.

        Raises:
            LedgerError: If it can't be read, or is not one of this log.
        """
        note = self._store.read(WITNESSED)
        return None if note is None else Checkpoint.open(note, self.verifiers)

    def keep_witnessed(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint with the cosignatures of witnesses beside the log, as ``checkpoint.witnessed``.

        Raises:
            LedgerReadOnly: If the log was opened to read.
            LedgerStopped: If the log is closed.
            LedgerError: If it can't be written.
        """
        self.keep(WITNESSED, checkpoint.note)

    def keep(self, name: str, data: bytes) -> None:
        """Write an object beside the log (errors as in :meth:`keep_witnessed`)."""
        self._writable()[1].keep(name, data)

    def follow(self) -> None:
        """Opened to write, take in what other writers have published; an append does so by itself.

        Raises:
            RolledBack: If it is not an extension of what this writer knows.
        """
        if self._publisher is not None:
            self._publisher.follow()

    def _published(self, checkpoint: Checkpoint) -> None:
        self._reader.size = checkpoint.size
        self._checkpoint = checkpoint
        if self.when_published is not None:
            self.when_published()

    def _writable(self) -> tuple[Sequencer, Publisher]:
        if self._sequencer is None or self._publisher is None or self._recovered is None:
            raise _read_only(self.where)
        if not self._recovered.writer.held:
            raise LedgerStopped(
                f"the ledger in {self.where} was opened before this process was forked",
                "open it after the fork, in one process",
            )
        return self._sequencer, self._publisher

    def close(self) -> None:
        """Publish what is pending and give the store up. Entries are durable without it.

        Raises:
            LedgerError: If the last checkpoint could not be published; the store is given up all the same.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._recovered is None or self._publisher is None:
                return
            if self._recovered.writer.held:
                self._publisher.close(LedgerStopped(f"the ledger in {self.where} is closed", "open it again"))
            else:  # a forked child gives up its copy of the handle, and touches nothing else
                self._recovered.writer.close(remove_journal=False)
        finally:
            self._store.close()

    # --- reading -------------------------------------------------------------------------------------------------

    def refresh(self) -> Checkpoint:
        """Opened to read, take the newest checkpoint in; return it.

        Raises:
            RolledBack: If it is not an extension of the one before.
        """
        if self._sequencer is None:
            try:
                newest = read_checkpoint(self._store, self._verifiers)
            except SignatureError:  # the key may have been changed, and the overlap ended
                self._verifiers = trusted_keys(self._store, self._verifiers)
                newest = read_checkpoint(self._store, self._verifiers)
            if newest is None or newest.origin != self.origin:
                raise RolledBack(f"the checkpoint in {self.where} is gone", "restore the directory")
            if newest.note != self._checkpoint.note:
                self._take(newest)
        return self._checkpoint

    def _take(self, newest: Checkpoint) -> None:
        reader = LogReader(self._store, newest.size, newest.root, verifiers=lambda: self.verifiers)
        old = self._checkpoint
        if newest.size < old.size or tlog.tree_root(old.size, reader.node) != old.root:
            raise RolledBack(
                f"the checkpoint in {self.where}, of size {newest.size}, does not extend the one read before, of size {old.size}",
                "keep both checkpoints as evidence, and compare the directory with a copy",
            )
        self._reader, self._checkpoint = reader, newest

    def leaf(self, index: int) -> bytes:
        """Return the bytes of one entry.

        Raises:
            OutOfRange: Unless ``0 <= index < size``.
        """
        return next(self.leaves(index, index + 1))

    def leaves(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the entries ``start..end``; to the end of the log when ``end`` is None.

        Raises:
            OutOfRange: Unless ``0 <= start <= end <= size``.
            Pruned: If one of them was pruned; :meth:`kept` passes over those.
        """
        size = self.size
        stop = size if end is None else end
        if not 0 <= start <= stop <= size:
            raise OutOfRange(f"entries {start} to {stop} are not all in a log of {size}")
        return self._leaves(start, stop)

    def _leaves(self, start: int, stop: int) -> Iterator[bytes]:
        while start < stop:
            covered = min(stop, self._reader.size)
            if start < covered:
                yield from self._reader.leaves(start, covered)
                start = covered
            elif self._sequencer and (leaf := self._sequencer.pending_leaf(start)) is not None:
                yield leaf
                start += 1

    def kept(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield index and bytes of the entries ``start..end`` that were not pruned.

        Raises:
            OutOfRange: Unless ``0 <= start <= end <= size``.
        """
        size = self.size
        stop = size if end is None else end
        if not 0 <= start <= stop <= size:
            raise OutOfRange(f"entries {start} to {stop} are not all in a log of {size}")
        covered = max(start, min(stop, self._reader.size))
        yield from self._reader.kept(start, covered)
        yield from enumerate(self._leaves(covered, stop), covered)

    @property
    def pruning(self) -> Pruning | None:
        """What the log states that it has let go of, None if nothing."""
        return self._reader.pruning

    def remove(self, names: Sequence[str]) -> list[str]:
        """Remove objects; return those that the store does not let go of now.

        Raises:
            LedgerReadOnly: If the log was opened to read.
            LedgerStopped: If the log is closed.
        """
        self._writable()[0].check()
        assert self._recovered is not None
        left = self._recovered.writer.remove(names)
        self._reader.forget()
        return left

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the proof that an entry is in the tree of ``size`` (by default, the checkpoint's).

        Raises:
            OutOfRange: Unless ``0 <= index < size`` and a checkpoint covers ``size``.
        """
        return tlog.inclusion_proof(index, self._covered(size), self._reader.node)

    def consistency_proof(self, old_size: int, new_size: int | None = None) -> list[bytes]:
        """Return the proof that the tree of ``old_size`` is a prefix of that of ``new_size`` (by default, the checkpoint's).

        Raises:
            OutOfRange: Unless ``0 <= old_size <= new_size`` and a checkpoint covers ``new_size``.
        """
        return tlog.consistency_proof(old_size, self._covered(new_size), self._reader.node)

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the tree of the first ``size`` entries (by default, the checkpoint's)."""
        return tlog.tree_root(self._covered(size), self._reader.node)

    def leaf_hash(self, index: int) -> bytes:
        """Return the hash of an entry that the checkpoint covers."""
        return self._reader.node(0, index)

    def _covered(self, size: int | None) -> int:
        checkpoint = self._checkpoint
        if size is None:
            return checkpoint.size
        if size > checkpoint.size:
            raise OutOfRange(
                f"no checkpoint covers a tree of {size} yet; the last one is of size {checkpoint.size}",
                "publish one first",
            )
        return size


def _read(
    store: Store, origin: str | None, verifiers: Sequence[NoteVerifier]
) -> tuple[Checkpoint, tuple[NoteVerifier, ...]]:
    """Return the checkpoint of a store that is there, and the keys trusted for it."""
    if store.read(CHECKPOINT) is None:
        raise missing_checkpoint(store)
    trusted = trusted_keys(store, verifiers)
    checkpoint = read_checkpoint(store, trusted)
    if checkpoint is None:
        raise missing_checkpoint(store)
    if origin is not None and checkpoint.origin != origin:
        raise LedgerError(
            f"the ledger in {store.where} is named {checkpoint.origin!r}, not {origin!r}",
            "name the place of that ledger, or leave the name away",
        )
    return checkpoint, trusted


def _read_only(where: str) -> LedgerReadOnly:
    return LedgerReadOnly(f"the ledger in {where} was opened to read", "open it without read_only to append")
