# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Publishing: move durable entries into tiles, and sign a checkpoint of them about once a second."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Final

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.edge import Edge
from runrecord.ledger.errors import LedgerError, LedgerStopped, RolledBack, SignatureError
from runrecord.ledger.pending import Pending
from runrecord.ledger.reader import LogReader
from runrecord.ledger.recovery import Recovered, open_checkpoint, signed_edge
from runrecord.ledger.sequencer import Sequencer
from runrecord.ledger.stores.base import CHECKPOINT, HeadMoved, Opened, Publication, Store
from runrecord.ledger.tlog import tree_root

_log = logging.getLogger(__name__)

_LONGEST_DELAY: Final = (
    10.0  # seconds between two attempts while the disk is full, so that it recovers soon by itself
)


class Publisher:
    """The one place where tiles and checkpoints are written.

    The order is what a crash is survived by: tiles durable, keys indexed, superseded partial tiles removed, checkpoint durable, journal
    freed. Every step can be done again, and by any of several writers: all of them write the same tiles.

    Args:
        store: Where the log is.
        recovered: What opening it found; its edge is where publishing goes on.
        sequencer: Where entries wait.
        published: Called with each new checkpoint before its entries are dropped from memory.
    """

    def __init__(
        self,
        store: Store,
        recovered: Recovered,
        sequencer: Sequencer,
        published: Callable[[Checkpoint], None],
    ) -> None:
        self._store = store
        self._recovered = recovered
        self._sequencer = sequencer
        self._published = published
        self._edge = recovered.edge
        self._checkpoint = recovered.checkpoint
        self._lock = threading.Lock()
        self._dirty = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self.failure: LedgerError | None = None
        """Why the last attempt to publish failed; None if it worked."""

    def start(self, interval: float | None) -> None:
        """Publish in the background, ``interval`` seconds after something is new; None does not."""
        if interval is not None:
            self._thread = threading.Thread(
                target=self._run, args=(interval,), name="runrecord-ledger-publisher", daemon=True
            )
            self._thread.start()

    def notice(self) -> None:
        """Something is new."""
        if not self._dirty.is_set():
            self._dirty.set()

    def _run(self, interval: float) -> None:
        delay = interval
        logged: type[LedgerError] | None = (
            None  # the paths in a message change at each attempt; what is wrong does not
        )
        while True:
            self._dirty.wait()
            self._closing.wait(delay)
            self._dirty.clear()  # before asking: a close whose wake-up this took has set the other event already
            if self._closing.is_set():
                return
            try:
                checkpoint = self.publish()
            except LedgerStopped:
                _log.exception("the ledger in %s stopped", self._store.where)
                return
            except LedgerError as error:
                delay = max(min(2 * delay, _LONGEST_DELAY), interval)
                if type(error) is not logged:
                    logged = type(error)
                    _log.warning(
                        "the ledger in %s has no new checkpoint, entries are kept, and it is tried again every %g s at least: %s",
                        self._store.where,
                        max(_LONGEST_DELAY, interval),
                        error,
                    )
                self._dirty.set()
            else:
                delay = interval
                if logged is not None:
                    logged = None
                    _log.warning(
                        "the ledger in %s has a new checkpoint again, of size %d",
                        self._store.where,
                        checkpoint.size,
                    )

    def publish(self) -> Checkpoint:
        """Publish what is durable now (see :meth:`runrecord.ledger.log.Log.publish`)."""
        with self._lock:
            try:
                self._sequencer.check()
                while (checkpoint := self._publish()) is None:
                    pass
            except LedgerStopped as error:
                self._sequencer.stop(error)
                self.failure = error
                raise
            except RolledBack as error:  # another writer has published another history
                self._sequencer.stop(LedgerStopped(error.message, error.next_step))
                self.failure = error
                raise
            except LedgerError as error:
                self.failure = error
                raise
            self.failure = None
            return checkpoint

    def keep(self, name: str, data: bytes) -> None:
        """Write an object beside the log, not while a checkpoint is being written."""
        with self._lock:
            self._sequencer.check()
            self._recovered.writer.put(name, data)

    def _publish(self) -> Checkpoint | None:
        """Publish once; return None if another writer was faster."""
        with contextlib.suppress(HeadMoved):
            with self._recovered.writer.publication() as publication:
                newest = publication.newest()
                if newest is not None and newest != self._checkpoint.note:
                    self._follow(self._open(newest))
                self._sequencer.drop_pending(
                    self._edge.size
                )  # an interrupt may have come between the last two steps
                pending = self._sequencer.pending()
                note, keyring = self._checkpoint.note, self._recovered.keyring
                if note and keyring.is_newer(note):  # another writer has changed the key
                    keyring.reload()
                if note and not pending.framed and keyring.has_signed(note):
                    return self._checkpoint
                edge, checkpoint = self._write(publication, pending)
            self._advance(edge, checkpoint)
            self._recovered.writer.journal.release(edge.size)
            return checkpoint
        return None

    def _write(self, publication: Publication, pending: Pending) -> tuple[Edge, Checkpoint]:
        edge = self._edge.copy()
        full = edge.extend(
            pending.framed, pending.hashes, lambda path, data: publication.write(str(path), data)
        )
        publication.settle()
        root = edge.root()
        self._recovered.keys.add(pending.first, pending.digests, edge.size, root)
        publication.remove([f"{path}.p" for path in full])
        checkpoint = self._sign(Checkpoint(self._checkpoint.origin, edge.size, root))
        publication.checkpoint(checkpoint.note)
        return edge, checkpoint

    def _advance(self, edge: Edge, checkpoint: Checkpoint) -> None:
        self._edge = edge
        self._checkpoint = checkpoint
        self._published(checkpoint)
        self._sequencer.drop_pending(edge.size)

    def follow(self) -> None:
        """Take in the checkpoint of another writer.

        Raises:
            RolledBack: If it is not an extension of what this writer knows.
        """
        with self._lock:
            newest = self._store.read(CHECKPOINT)
            if newest is not None and newest != self._checkpoint.note:
                self._follow(self._open(newest))

    def _open(self, note: bytes) -> Checkpoint:
        """Return the checkpoint of another writer, who may have changed the key.

        Raises:
            KeyRotated: Only a key that this writer does not have has signed it.
        """
        try:
            return open_checkpoint(self._store, note, self._recovered.verifiers)
        except SignatureError:
            self._recovered.keyring.reload()
        return open_checkpoint(self._store, note, self._recovered.verifiers)

    def _follow(self, newest: Checkpoint) -> None:
        reader = LogReader(self._store, newest.size)
        edge = signed_edge(reader, newest, self._store.where)
        self._sequencer.drop_pending(self._edge.size)
        pending = self._sequencer.pending()
        known = max(min(pending.end, newest.size) - pending.first, 0)
        grown = self._edge.copy()
        grown.extend(pending.framed[:known], pending.hashes[:known], lambda _path, _data: None)
        if (
            newest.origin != self._checkpoint.origin
            or newest.size < self._checkpoint.size
            or tree_root(grown.size, reader.node) != grown.root()
        ):
            raise RolledBack(
                f"the checkpoint in {self._store.where}, of size {newest.size}, is not of a log that begins with the "
                f"{grown.size} entries that this writer knows",
                "keep the store as evidence, and compare it with a copy",
            )
        keys = self._recovered.keys
        if known > 0:
            keys.add(pending.first, pending.digests[:known], grown.size, grown.root())
        keys.complete(Opened(newest, reader.node, reader.leaves, pending, edge, self._recovered.key_of))
        self._advance(edge, newest)

    def _sign(self, checkpoint: Checkpoint) -> Checkpoint:
        try:
            return checkpoint.sign(self._recovered.keyring.signing())
        except LedgerError:
            raise
        except Exception as error:  # a signer may be anyone's code, for example a client of a key service
            raise LedgerError(
                f"the checkpoint of size {checkpoint.size} can't be signed ({type(error).__name__})",
                "check the log key, or the service that holds it",
            ) from error

    def close(self, reason: LedgerStopped) -> None:
        """Publish what is pending, refuse what comes later with ``reason``, and give the directory up.

        Raises:
            LedgerError: If the last checkpoint could not be published; the rest is done all the same.
        """
        self._closing.set()
        self._dirty.set()
        if self._thread is not None:
            self._thread.join()
        try:
            with contextlib.suppress(LedgerStopped):
                self.publish()
        finally:
            self._sequencer.close(reason)
            with self._lock:
                self._recovered.close(remove_journal=self._sequencer.size == self._checkpoint.size)
