# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The ledger as its users see it: entries in, runs out, over a log and an index of its runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, final

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.dedup import conflict_key
from runrecord.ledger.entry import Entry, Kind, conflict_leaf
from runrecord.ledger.epochs import Calendar, Epochs
from runrecord.ledger.errors import LedgerError, MalformedError, OutOfRange
from runrecord.ledger.kept_index import KeptIndex
from runrecord.ledger.keyring import OVERLAP_SECONDS
from runrecord.ledger.log import Log
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.opening import ERASED, differ_by_erasure
from runrecord.ledger.records import Record
from runrecord.ledger.retention import KEEP_ALL, Retention
from runrecord.ledger.rotate import state_rotation
from runrecord.ledger.run_facts import RunSummary, row_of, row_of_entry
from runrecord.ledger.run_index import RunIndex, differs
from runrecord.ledger.run_keys import RunSecrets, open_run_secrets
from runrecord.ledger.run_listing import Listing
from runrecord.ledger.run_search import Cursor, RunPage, RunQuery
from runrecord.ledger.runs import RunView
from runrecord.ledger.sequencer import Appended
from runrecord.ledger.stores.location import Location
from runrecord.ledger.unknown_run import several_runs, unknown_run

_PAGE: Final = 500


@final
class Ledger:
    """A ledger. Thread-safe; one process writes (in PostgreSQL or an object store, several may), any number read beside it.

    Opened to read, it returns nothing that does not lead to the signed checkpoint. The index of runs is only where it looks first: it
    goes by the leaves, and makes an index of its own in memory where the two differ.

    Args:
        location: The directory, or the address of the store, where it lies (see :mod:`runrecord.ledger.stores.location`); made if
            it does not exist and ``read_only`` is false.
        read_only: Read what the last checkpoint covers, also while another process writes.
        signer: The log key; None reads the one in the directory or makes it.
        previous: With a signer, the log keys before it. If the log does not state the change yet, it does so here.
        overlap: Seconds for which the key before goes on signing then.
        origin: Name of a log that is made.
        checkpoint_interval: Seconds between two checkpoints; None publishes only when told to.
        run_secrets: Its run keys, if they are open already.
        epochs: By which calendar it is divided (:mod:`runrecord.ledger.epochs`).
        retention: How long entries are kept, if nobody who asks to prune says otherwise.
        now: Seconds since the Unix epoch.

    Raises:
        LedgerError: It can't be opened, see ``Log.open``.
    """

    def __init__(
        self,
        location: Location,
        *,
        read_only: bool = False,
        signer: NoteSigner | None = None,
        previous: Sequence[NoteSigner] = (),
        overlap: float = OVERLAP_SECONDS,
        origin: str | None = None,
        checkpoint_interval: float | None = 1.0,
        run_secrets: RunSecrets | None = None,
        epochs: Calendar = "none",
        retention: Retention = KEEP_ALL,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._log = Log.open(
            location,
            signer=signer,
            previous=previous,
            overlap=overlap,
            read_only=read_only,
            origin=origin,
            checkpoint_interval=checkpoint_interval,
            key_of=key_of,
            now=now,
        )
        self.now = now
        self.retention = retention
        self._epochs = Epochs(self._log, epochs, now)
        self._read_only = read_only
        self._secrets_lock = threading.Lock()
        self._secrets = run_secrets
        self._erased_below = 0
        try:
            self._index = KeptIndex(self._log, read_only=read_only)
        except BaseException:
            self._log.close()
            raise
        self._log.when_published = self._index.flush
        try:
            if not read_only and self._log.keyring.is_due:
                state_rotation(self)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Ledger:
        """Return the ledger itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the ledger."""
        self.close()

    def __repr__(self) -> str:
        """Return where it lies, nothing of its content."""
        return f"<Ledger {self._log.origin!r} in {self.where!r}>"

    @property
    def path(self) -> Path:
        """The directory whose ``.state`` holds what belongs to this machine; that of the ledger, if it is in a directory."""
        return self._log.path

    @property
    def where(self) -> str:
        """Where it is kept, for people."""
        return self._log.where

    @property
    def log(self) -> Log:
        """The log under the ledger."""
        return self._log

    @property
    def read_only(self) -> bool:
        """Whether it was opened to read."""
        return self._read_only

    @property
    def run_secrets(self) -> RunSecrets:
        """What the keys of the runs derive from; opened to write, they are made where there are none.

        Opened to write, what the log says was erased is destroyed here before anything derives from it.

        Raises:
            RunKeysError: They are not on this machine, or those of another ledger.
            LedgerError: They can't be read or made.
        """
        with self._secrets_lock:
            if self._secrets is None:
                found = open_run_secrets(self._log, make=not self._read_only)
                self._destroy_erased(found)
                self._secrets = found
            return self._secrets

    def apply_erasures(self) -> int:
        """Destroy the secrets of runs that the log says were erased since it was last looked at, maybe by another writer.

        Returns:
            How many were destroyed.

        Raises:
            LedgerError: The log or the secrets can't be read or written.
        """
        with self._secrets_lock:
            if self._secrets is None:
                return 0
            if self._log.shared:
                self._log.follow()
            return self._destroy_erased(self._secrets)

    def _destroy_erased(self, secrets: RunSecrets) -> int:
        if self._read_only:
            return 0
        size = self._log.size
        found = self.erasures(since=self._erased_below)
        destroyed = secrets.puncture((record.entry.tenant, record.entry.run) for record in found)
        self._erased_below = size
        return destroyed

    def append_entries(self, entries: Sequence[Entry]) -> list[Appended]:
        """Append entries; they are durable when this returns.

        A record that the log already holds gives its old index; one that differs from what the log holds
        under the same key is logged as a ``conflict``.

        Returns:
            For each entry its index and what became of it.

        Raises:
            LedgerError: Nothing of the call was kept, see ``Log.append``.
        """
        if entries:
            self._epochs.turn()
        items = [(entry.key(), entry.leaf()) for entry in entries]
        results = self._log.append(items, on_conflict=self._conflict)
        self._index.add(
            {
                result.index: row_of_entry(result.index, entry)
                if result.status == "new"
                else row_of(result.index, self._log.leaf(result.index))
                for result, entry in zip(results, entries, strict=True)
                if result.status != "duplicate"
            }
        )
        return results

    def _conflict(self, key: bytes, old: int, leaf: bytes) -> bytes | None:
        """State a conflict, unless a record came again whose run was erased in between: then it is the same one."""
        second = Entry.parse(leaf)
        try:
            if differ_by_erasure(Entry.parse(self._log.leaf(old)), second):
                return None
        except (MalformedError, OutOfRange):  # it came in the same call: then both were made under one key
            pass
        except LedgerError:  # it was pruned
            if ERASED in second.truncated:
                return None
        return conflict_leaf(key, old, leaf)

    def turn_epoch(self) -> None:
        """Close the epoch if the calendar has turned since something was appended.

        Raises:
            LedgerStopped: The log is stopped.
        """
        self._epochs.turn(appending=False)

    def publish(self) -> Checkpoint:
        """Sign and publish a checkpoint of everything that is durable, and return it; opened to read, return the newest one."""
        return self.refresh() if self._read_only else self._log.publish()

    def refresh(self) -> Checkpoint:
        """Opened to read, take in what was published since; return the checkpoint."""
        return self._log.refresh()

    def search(self, query: RunQuery | None = None, *, limit: int = 50, after: str | None = None) -> RunPage:
        """Return a page of runs.

        Args:
            query: What they are like, and which come first; None for all, the newest first.
            limit: At most this many.
            after: The cursor of the page before. All pages show the runs as they were when the first one was asked for.

        Raises:
            LedgerError: The cursor is none of this ledger.
            LedgerCorrupt: Opened to read, a leaf of one of them is not what was signed.
        """
        cursor = None if after is None else Cursor.parse(after)
        size = self._log.size if cursor is None else cursor.size
        if size > self._log.size:
            raise LedgerError(
                f"the cursor is of a ledger of {size} entries, and this one has {self._log.size}",
                "begin without a cursor",
            )
        asked, place = query or RunQuery(), None if cursor is None else cursor.place
        return self._index.ask(
            lambda index: Listing(index, self._index.leaf, size, self._read_only).page(asked, place, limit)
        )

    def each_run(self, query: RunQuery | None = None) -> Iterator[RunSummary]:
        """Yield all runs that are like a query, read a page at a time; see ``search``.

        Opened to read, and without a query, no run is left out, whatever the index says: every leaf is looked at.
        """
        cursor: str | None = None
        if query is None and self._read_only:
            self._index.ask(
                lambda index: Listing(index, self._index.leaf, self._log.size, checks=True).whole()
            )
        while True:
            page = self.search(query, limit=_PAGE, after=cursor)
            yield from page.runs
            cursor = page.cursor
            if cursor is None:
                return

    def runs(self, *, since: int = 0, limit: int = -1) -> list[RunSummary]:
        """Return the runs, the newest first.

        Args:
            since: Only those that ended at or after this time, nanoseconds since the Unix epoch.
            limit: At most this many; negative for all.

        Raises:
            LedgerCorrupt: Opened to read, a leaf of one of them is not what was signed.
        """
        query = RunQuery(since=since) if since else None
        return list(self.each_run(query) if limit < 0 else self.search(query, limit=limit).runs)

    def texts(self, kind: str) -> list[str]:
        """Return by what runs can be found, as far as the index knows: a hint for people, checked against nothing.

        Args:
            kind: ``outcome``, ``agent``, ``tool``, ``policy``, ``approver`` or ``tenant``.
        """
        return self._index.ask(lambda index: index.texts(kind))

    def runs_by(self, kind: str, prefix: str) -> list[tuple[str, str]]:
        """Return runs, the newest first, each with a text of a kind (see ``texts``) that begins with a prefix; a hint, too."""
        return self._index.ask(lambda index: index.runs_by(kind, prefix))

    def resolve(self, run: str) -> str:
        """Return the run id that a user means by an id or the start of one.

        Raises:
            UnknownRun: None or several match; the error names the nearest.
        """
        matching = self._index.ask(lambda index: index.matching(run, self._log.size) if run else [])
        if run and not matching and self._read_only and not self._index.made_from_leaves:
            self.rebuild_index()  # nobody signed the index: that there is no such run, only the entries can say
            matching = self._index.ask(lambda index: index.matching(run, self._log.size))
        if run in matching or len(matching) == 1:
            return run if run in matching else matching[0]
        if matching:
            raise several_runs(run, matching)
        pruning = self._log.pruning
        known = self._index.ask(lambda index: index.names(self._log.size))
        raise unknown_run(run, known, self.where, pruning.sentence() if pruning else "")

    def run(self, run: str) -> RunView:
        """Return a run, read from the leaves.

        Args:
            run: Its id, or the start of its id.

        Raises:
            UnknownRun: None or several match.
            MalformedEntry: A leaf of it is not an entry.
            LedgerCorrupt: Opened to read, a leaf of it is not what was signed.
        """
        name = self.resolve(run)
        return self._index.ask(
            lambda index: RunView(name, self._records(name, index.indices(name, self._log.size)))
        )

    def records_of(self, run: str, *, without: Container[int] = ()) -> list[Record]:
        """Return the records of the run with exactly this id, none if there is none, read from the leaves.

        Args:
            run: Its id.
            without: Indices of entries that are left out.

        Raises:
            MalformedEntry: A leaf of it is not an entry.
            LedgerCorrupt: Opened to read, a leaf of it is not what was signed.
        """

        def read(index: RunIndex) -> list[Record]:
            return self._records(run, [i for i in index.indices(run, self._log.size) if i not in without])

        return self._index.ask(read)

    def erasures(self, *, since: int = 0) -> list[Record]:
        """Return the records that state an erasure, from an index on, by index.

        Raises:
            MalformedEntry: A leaf of such a run is not an entry.
            LedgerCorrupt: Opened to read, one is not what was signed.
        """
        runs = self._index.ask(lambda index: index.erased(since))
        records = (record for run in runs for record in self.records_of(run))
        found = [each for each in records if each.entry.kind == Kind.ERASURE and each.index >= since]
        return sorted(found, key=lambda record: record.index)

    def forget(self, bundles: Iterable[int]) -> None:
        """Take what the index of runs says of some entry bundles that were pruned out of it.

        Args:
            bundles: Their numbers; the files are gone.

        Raises:
            LedgerError: The index can't be written; made anew from the entries, it holds nothing of them either.
        """
        self._index.forget(bundles)

    def rebuild_index(self) -> None:
        """Make the index of runs anew from the leaves; opened to read, in memory, so that no index has to be believed."""
        self._index.rebuild()

    def close(self) -> None:
        """Publish what is pending and give the store up."""
        try:
            self._index.close()
        finally:
            self._log.close()

    def _records(self, run: str, indices: Sequence[int]) -> list[Record]:
        leaves = ((index, self._index.leaf(index)) for index in indices)
        records = [Record(index, Entry.parse(leaf)) for index, leaf in leaves if leaf]
        if any(record.entry.run != run for record in records):
            raise differs(run)
        return records


def key_of(leaf: bytes) -> bytes:
    """Return the deduplication key under which a leaf was appended.

    Raises:
        MalformedEntry: It is not an entry.
    """
    entry = Entry.parse(leaf)
    if entry.kind != Kind.CONFLICT:
        return entry.key()
    try:
        second = bytes.fromhex(entry.detail["leaf_hash"])
        return conflict_key(replace(entry, kind=entry.detail["kind"]).key(), second)
    except (KeyError, ValueError):
        raise MalformedError("a conflict entry does not say what it is a conflict of") from None
