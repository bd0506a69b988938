# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Writing a log in an object store: a group, then the head; tiles, then the checkpoint."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

from runrecord.ledger.dedup import KeyIndex
from runrecord.ledger.errors import LedgerError, LedgerStopped
from runrecord.ledger.files import disk_errors, make_directory
from runrecord.ledger.stores.base import CHECKPOINT, Head, HeadMoved, Opened
from runrecord.ledger.stores.local_keys import fit, open_index
from runrecord.ledger.stores.objects import HEAD, errors
from runrecord.ledger.stores.objects_head import HeadObject, Segment, first_of, read_head, segment_name
from runrecord.ledger.stores.objects_keys import ObjectKeys
from runrecord.ledger.wal import Frame, decode_frame, encode_frame

if TYPE_CHECKING:
    from runrecord.ledger.stores.objects import ObjectStore

_log = logging.getLogger(__name__)

_PARALLEL: Final = 8
_REFUSED: Final = {"PreconditionError", "AlreadyExistsError"}  # by their names: obstore is an extra


@final
class ObjectWriter:
    """Conditional puts (a :class:`runrecord.ledger.stores.base.Writer`).

    Args:
        store: Where; the head is made if it is not there.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._pid = os.getpid()
        with disk_errors(store.path):
            make_directory(store.path / ".state", 0o700)
        self._keys = open_index(store.path / ".state" / "keys.sqlite", partial(ObjectKeys, store))
        try:
            self.journal = ObjectJournal(store)
        except BaseException:
            self._keys.close()
            raise
        self._pool = ThreadPoolExecutor(_PARALLEL, "runrecord-ledger-upload")
        self._partials: set[str] | None = None

    @property
    def held(self) -> bool:
        """Whether this process opened it; a fork has no part in its connections."""
        return os.getpid() == self._pid

    def put(self, name: str, data: bytes) -> None:
        """Write an object."""
        with errors(self._store.where, f"take {name}"):
            self._store.objects.put(name, data, use_multipart=False)

    def remove(self, names: Sequence[str]) -> list[str]:
        """Remove objects; those under a lock stay."""
        left: list[str] = []
        for name, gone in zip(names, self._pool.map(self._remove, names), strict=True):
            if not gone:
                left.append(name)
        return left

    def _remove(self, name: str) -> bool:
        try:
            self._store.objects.delete(name)
        except FileNotFoundError:
            return True
        except Exception as error:  # noqa: BLE001 - whatever it is, the object stays, and it is tried again
            _log.debug("%s was not removed: %s", self._store.locate(name), type(error).__name__)
            return False
        return True

    def open_keys(self, opened: Opened) -> KeyIndex:
        """Open the index on this machine; what it lacks is read from the leaves."""
        return fit(self._keys, opened)

    def restore(self, opened: Opened) -> None:
        """Index the keys, and replace the head."""
        self.open_keys(opened).close()
        self.journal.restore(opened.checkpoint.size)

    @contextlib.contextmanager
    def publication(self) -> Generator[ObjectPublication]:
        """Begin to publish."""
        publication = ObjectPublication(self._store, self._pool, self._partials)
        yield publication
        self._partials = publication.partials

    def close(self, *, remove_journal: bool) -> None:
        """End the uploads; with ``remove_journal``, remove the groups that are in tiles."""
        if self.held:
            self._pool.shutdown()
            self._keys.close()
            if remove_journal:
                with contextlib.suppress(LedgerError):
                    self.journal.trim()


@final
class ObjectJournal:
    """Groups as objects, under one head (a :class:`runrecord.ledger.stores.base.Journal`)."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._released = 0
        self._head = read_head(store) or self._make()
        self._sweep()

    def _make(self) -> HeadObject:
        with contextlib.suppress(HeadMoved):
            return self._replace(HeadObject(0, (), None))
        return self._load()

    def _load(self) -> HeadObject:
        head = read_head(self._store)
        if head is None:
            raise LedgerStopped(
                f"{self._store.locate(HEAD)} is gone",
                "restore the object, from an earlier version if the bucket keeps them",
            )
        return head

    def _replace(self, head: HeadObject) -> HeadObject:
        """Put a head in the place of the one it was made of.

        Raises:
            HeadMoved: Another writer was faster.
        """
        data = head.encode()
        mode: Any = head.version or "create"
        with errors(self._store.where, f"take {HEAD}"):
            try:
                version = self._store.objects.put(HEAD, data, mode=mode, use_multipart=False)
            except Exception as error:
                if type(error).__name__ not in _REFUSED:
                    raise
                found = self._store.get(HEAD)
                if found is None or found[0] != data:  # else the first of two tries came through unheard
                    raise HeadMoved from None
                version = found[1]
        return HeadObject(head.size, head.segments, {k: v for k, v in version.items() if v})

    def _sweep(self) -> None:
        """Remove groups that no head names and none can name any more: the log has grown past their place."""
        if leftovers := self._store.leftovers():
            head = self._load()
            known = {segment.name for segment in head.segments}
            self._delete(
                name
                for name in leftovers
                if name not in known and (first := first_of(name)) is not None and first < head.size
            )

    def _delete(self, names: Iterator[str] | Sequence[str]) -> None:
        if found := list(names):
            with contextlib.suppress(Exception):  # what stays does no harm, and fsck names it
                self._store.objects.delete(found)

    def recover(self) -> Iterator[Frame]:
        """Yield all groups."""
        self._head = self._load()
        yield from self._frames(0)

    @contextlib.contextmanager
    def turn(self, size: int) -> Generator[Head]:
        """Return the head; nothing is locked, the append decides."""
        if self._head.size != size:
            self._head = self._load()
        yield Head(self._head.size, list(self._frames(size)) if self._head.size > size else ())

    def _frames(self, size: int) -> Iterator[Frame]:
        for segment in self._head.segments:
            if segment.first + segment.length > size:
                data = self._store.read(segment.name)
                if data is None:  # in tiles by now
                    continue
                frame = decode_frame(data)
                if frame is None or (frame.first, len(frame.leaves)) != segment[:2]:
                    raise LedgerStopped(
                        f"{self._store.locate(segment.name)} is damaged",
                        "restore the object, from an earlier version if the bucket keeps them; its entries were acknowledged",
                    )
                yield frame

    def append(self, first: int, digests: Sequence[bytes], framed: Sequence[bytes]) -> None:
        """Put a group, then the head that names it."""
        head = self._head
        if head.size != first:
            raise HeadMoved
        segment = Segment(first, len(framed), segment_name(first, secrets.token_hex(8)))
        with errors(self._store.where, f"take {segment.name}"):
            self._store.objects.put(
                segment.name, encode_frame(first, digests, framed), mode="create", use_multipart=False
            )
        kept = self._kept(head)
        try:
            self._head = self._replace(HeadObject(first + len(framed), (*kept, segment), head.version))
        except HeadMoved:
            self._delete([segment.name])
            self._head = self._load()
            raise
        self._delete([each.name for each in head.segments if each not in kept])

    def _kept(self, head: HeadObject) -> tuple[Segment, ...]:
        released = self._released
        return tuple(each for each in head.segments if each.first + each.length > released)

    def release(self, below: int) -> None:
        """Note what is in tiles; the next append takes it out of the head and removes it."""
        self._released = max(self._released, below)

    def restore(self, size: int) -> None:
        """Say that so many entries are in tiles.

        Raises:
            HeadMoved: Another writer was faster.
        """
        if self._head.size != size:
            self._head = self._replace(HeadObject(size, (), self._head.version))

    def trim(self) -> None:
        """Take what is in tiles out of the head, and remove it."""
        head = self._head
        kept = self._kept(head)
        if kept != head.segments:
            with contextlib.suppress(HeadMoved):
                self._head = self._replace(HeadObject(head.size, kept, head.version))
                self._delete([each.name for each in head.segments if each not in kept])


@final
class ObjectPublication:
    """Uploads (a :class:`runrecord.ledger.stores.base.Publication`).

    Args:
        store: Where to.
        pool: Uploads at the same time.
        partials: The directories in which this writer has put partial tiles; None if another may have.
    """

    def __init__(self, store: ObjectStore, pool: ThreadPoolExecutor, partials: set[str] | None) -> None:
        self._store = store
        self._pool = pool
        self._known = partials
        self.partials: set[str] = set(partials or ())
        self._waiting: list[tuple[str, bytes]] = []
        self._version: Any = None

    def newest(self) -> bytes | None:
        """Return the checkpoint."""
        found = self._store.get(CHECKPOINT)
        if found is None:
            return None
        note, self._version = found
        return note

    def write(self, name: str, data: bytes) -> None:
        """Upload a tile, no later than `settle`."""
        self._waiting.append((name, data))

    def settle(self) -> None:
        """Upload what was written."""
        waiting, self._waiting = self._waiting, []
        for _ in self._pool.map(self._upload, waiting):
            pass
        self.partials |= {name.rpartition("/")[0] for name, _ in waiting if ".p/" in name}

    def _upload(self, item: tuple[str, bytes]) -> None:
        name, data = item
        locked = self._store.locked if ".p/" not in name else None
        what = f"take {name}" + (
            ", which is to be locked: is Object Lock on for the bucket?" if locked else ""
        )
        with errors(self._store.where, what):
            try:
                put: Callable[..., Any] = (locked.store() if locked else self._store.objects).put
                put(name, data, mode="create", use_multipart=False)
            except Exception as error:
                if type(error).__name__ not in _REFUSED:
                    raise
                if self._store.read(name) != data:
                    raise LedgerStopped(
                        f"{self._store.locate(name)} is there already, and is not what the entries say",
                        "run fsck; if no checkpoint covers it, remove it",
                    ) from None

    def remove(self, directories: Sequence[str]) -> None:
        """Remove partial tiles that this writer put; of its predecessor too, the first time."""
        for each in directories:
            if self._known is None or each in self._known or each in self.partials:
                with contextlib.suppress(Exception):  # what stays does no harm
                    self._store.objects.delete(list(self._store.names(f"{each}/")))
                self.partials.discard(each)

    def checkpoint(self, note: bytes) -> None:
        """Replace the checkpoint that was read."""
        mode: Any = self._version or "create"
        with errors(self._store.where, f"take {CHECKPOINT}"):
            try:
                self._store.objects.put(CHECKPOINT, note, mode=mode, use_multipart=False)
            except Exception as error:
                if type(error).__name__ not in _REFUSED:
                    raise
                if self._store.read(CHECKPOINT) != note:
                    raise HeadMoved from None
