# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Publishing: move durable entries into tiles, and sign a checkpoint of them about once a second."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.errors import LedgerError, LedgerStopped
from runrecord.ledger.files import FileBatch, disk_errors
from runrecord.ledger.recovery import Recovered
from runrecord.ledger.sequencer import Sequencer
from runrecord.ledger.tiles import TilePath

_log = logging.getLogger(__name__)

_LONGEST_DELAY: Final = (
    10.0  # seconds between two attempts while the disk is full, so that it recovers soon by itself
)


class Publisher:
    """The one place where tiles and checkpoints are written.

    The order is what a crash is survived by: tiles durable, keys indexed, superseded partial tiles removed, checkpoint durable, write-ahead
    segments freed. Every step can be done again.

    Args:
        path: The log's directory.
        recovered: What opening it found; its edge is where publishing goes on.
        sequencer: Where entries wait.
        published: Called with each new checkpoint before its entries are dropped from memory.
    """

    def __init__(
        self, path: Path, recovered: Recovered, sequencer: Sequencer, published: Callable[[Checkpoint], None]
    ) -> None:
        self._path = path
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
                _log.exception("the ledger in %s stopped", self._path)
                return
            except LedgerError as error:
                delay = max(min(2 * delay, _LONGEST_DELAY), interval)
                if type(error) is not logged:
                    logged = type(error)
                    _log.warning(
                        "the ledger in %s has no new checkpoint, entries are kept, and it is tried again every %g s at least: %s",
                        self._path,
                        max(_LONGEST_DELAY, interval),
                        error,
                    )
                self._dirty.set()
            else:
                delay = interval
                if logged is not None:
                    logged = None
                    _log.warning(
                        "the ledger in %s has a new checkpoint again, of size %d", self._path, checkpoint.size
                    )

    def publish(self) -> Checkpoint:
        """Publish what is durable now (see :meth:`runrecord.ledger.directory.DirectoryLog.publish`)."""
        with self._lock:
            try:
                self._sequencer.check()
                with disk_errors(self._path):
                    checkpoint = self._publish()
            except LedgerStopped as error:
                self._sequencer.stop(error)
                self.failure = error
                raise
            except LedgerError as error:
                self.failure = error
                raise
            self.failure = None
            return checkpoint

    def _publish(self) -> Checkpoint:
        self._sequencer.drop_pending(self._edge.size)  # an interrupt may have come between the last two steps
        pending = self._sequencer.pending()
        if not pending.framed and self._checkpoint.note:
            return self._checkpoint
        edge = self._edge.copy()
        scratch = self._path / ".state" / "tmp"
        with FileBatch(self._path, scratch) as files:
            full = edge.extend(
                pending.framed, pending.hashes, lambda path, data: files.write(str(path), data)
            )
            files.commit()
        root = edge.root()
        self._recovered.keys.add(pending.first, pending.digests, edge.size, root)
        self._remove_superseded(full)
        checkpoint = self._sign(Checkpoint(self._checkpoint.origin, edge.size, root))
        with FileBatch(self._path, scratch) as files:
            files.write("checkpoint", checkpoint.note)
            files.commit()
        self._edge = edge
        self._checkpoint = checkpoint
        self._published(checkpoint)
        self._sequencer.drop_pending(edge.size)
        self._recovered.wal.release(edge.size)
        return checkpoint

    def _sign(self, checkpoint: Checkpoint) -> Checkpoint:
        try:
            return checkpoint.sign([self._recovered.signer])
        except LedgerError:
            raise
        except Exception as error:  # a signer may be anyone's code, for example a client of a key service
            raise LedgerError(
                f"the checkpoint of size {checkpoint.size} can't be signed ({type(error).__name__})",
                "check the log key, or the service that holds it",
            ) from error

    def _remove_superseded(self, full: Sequence[TilePath]) -> None:
        """Remove the partial tiles whose full one is durable (C2SP tlog-tiles, "Partial Tiles")."""
        for path in full:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self._path / f"{path}.p")

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
                self._recovered.close(remove_wal=self._sequencer.size == self._checkpoint.size)
