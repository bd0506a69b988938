# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Opening a log to write: take the right to, read what is durable, and refuse what contradicts what was signed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.edge import Edge
from runrecord.ledger.errors import (
    LedgerCorrupt,
    LedgerError,
    MalformedCheckpoint,
    MalformedError,
    RolledBack,
    SignatureError,
)
from runrecord.ledger.keyring import KEEP, Keyring, public_keys
from runrecord.ledger.note import NoteSigner, NoteVerifier
from runrecord.ledger.pending import Pending
from runrecord.ledger.reader import LogReader
from runrecord.ledger.rotation import learned_keys
from runrecord.ledger.stores.base import CHECKPOINT, PUBLIC_KEY, Journal, Keys, Objects, Opened, Store, Writer
from runrecord.ledger.tiles import frame_entry
from runrecord.ledger.tlog import EMPTY_ROOT, leaf_hash

_TRIES = 5  # to read a log while other writers move it on


@dataclass(frozen=True, slots=True)
class Recovered:
    """A log that is ready to be written.

    Attributes:
        writer: The right to write.
        keyring: The log keys.
        given: Further trusted log keys.
        checkpoint: The last signed checkpoint; without a note for a log that is just being made.
        edge: The tiles' right edge at the checkpoint.
        keys: The key index; covers at least the checkpoint.
        pending: What is durable beyond the checkpoint.
        key_of: Works the key of a leaf out; None if nobody can.
    """

    writer: Writer
    keyring: Keyring
    given: tuple[NoteVerifier, ...]
    checkpoint: Checkpoint
    edge: Edge
    keys: Keys
    pending: Pending
    key_of: Callable[[bytes], bytes] | None

    @property
    def verifiers(self) -> tuple[NoteVerifier, ...]:
        """The keys that are trusted to have signed a checkpoint, the newest of the log first."""
        own = self.keyring.verifiers
        return (*own, *(each for each in self.given if each.vkey not in {key.vkey for key in own}))

    def close(self, *, remove_journal: bool = False) -> None:
        """Give everything up; the journal too when nothing in it is needed."""
        self.keys.close()
        self.writer.close(remove_journal=remove_journal)


def recover(
    store: Store,
    *,
    signers: Sequence[NoteSigner],
    origin: str | None,
    verifiers: Sequence[NoteVerifier],
    key_of: Callable[[bytes], bytes] | None,
    now: Callable[[], float],
    overlap: float,
) -> Recovered:
    """Open a log to write (see :meth:`runrecord.ledger.log.Log.open` for arguments and errors)."""
    with contextlib.ExitStack() as undo:
        writer = store.writer()
        undo.callback(writer.close, remove_journal=False)
        keyring = Keyring(store, signers, origin, now=now, overlap=overlap)
        trusted = (*keyring.verifiers, *verifiers)
        checkpoint, pending = _durable(store, writer.journal, trusted)
        _keep_public_keys(store, writer, keyring)  # only after they proved to be this log's
        if checkpoint is None:
            if pending.hashes or _has_tiles(store):
                raise RolledBack(
                    f"the checkpoint of the ledger in {store.where} is missing, although it holds entries",
                    KEEP,
                )
            checkpoint = Checkpoint(keyring.newest.name, 0, EMPTY_ROOT)
        reader = LogReader(store, checkpoint.size)
        edge = signed_edge(reader, checkpoint, store.where)
        opened = Opened(checkpoint, reader.node, reader.leaves, pending, edge, key_of)
        keys = writer.open_keys(opened)
        undo.pop_all()
    return Recovered(writer, keyring, tuple(verifiers), checkpoint, edge, keys, pending, key_of)


def _durable(
    store: Store, journal: Journal, trusted: Sequence[NoteVerifier]
) -> tuple[Checkpoint | None, Pending]:
    """Return the checkpoint and what is durable beyond it; other writers may publish between the two."""
    checkpoint = read_checkpoint(store, trusted)
    for _ in range(_TRIES):
        try:
            return checkpoint, _replay(journal, checkpoint.size if checkpoint else 0, store.where)
        except RolledBack:
            before, checkpoint = checkpoint, read_checkpoint(store, trusted)
            if before == checkpoint:
                raise
    raise LedgerError(
        f"other writers move the ledger in {store.where} on faster than it can be read", "try again"
    )


def _has_tiles(store: Objects) -> bool:
    return next(iter(store.names("tile/")), None) is not None


def trusted_keys(store: Objects, verifiers: Sequence[NoteVerifier]) -> tuple[NoteVerifier, ...]:
    """Return the given keys and those that they vouch for, the newest first; if none is given, the keys that the store states itself.

    Raises:
        LedgerError: If there is none at all.
    """
    found = learned_keys(store, verifiers) if verifiers else tuple(public_keys(store))
    if not found:
        raise LedgerError(
            f"the public key of the ledger in {store.where} is missing: {store.locate(PUBLIC_KEY)}",
            "put the file back: one line, the key on the line 'log' of a trust file; in Python, it can be passed as verifiers=",
        )
    return found


def read_checkpoint(store: Objects, verifiers: Sequence[NoteVerifier]) -> Checkpoint | None:
    """Return the signed checkpoint of a store, None if it has none.

    Raises:
        MalformedError: If it is not a checkpoint.
        SignatureError: If no trusted key signed it.
    """
    data = store.read(CHECKPOINT)
    return None if data is None else open_checkpoint(store, data, verifiers)


def open_checkpoint(store: Objects, data: bytes, verifiers: Sequence[NoteVerifier]) -> Checkpoint:
    """Return the checkpoint that a store holds (errors as in :func:`read_checkpoint`)."""
    place = store.locate(CHECKPOINT)
    if not data:
        raise MalformedCheckpoint(f"{place} is empty: nothing vouches for the ledger in {store.where}", KEEP)
    try:
        return Checkpoint.open(data, verifiers)
    except SignatureError as error:
        raise SignatureError(
            f"{place} is not signed by the key of this ledger: it was changed, or it or the key in {store.locate('.state')} belongs to "
            f"another ledger ({error.message})",
            f"{KEEP}; if the key was changed on purpose, give the other one too: previous_key_files of the exporter, --log-key",
        ) from error
    except MalformedError as error:
        raise type(error)(f"{place} is damaged: {error.message}", KEEP) from error


def missing_checkpoint(store: Objects) -> LedgerError:
    """Return the error about a store that has no checkpoint to read."""
    if _has_tiles(store):
        return RolledBack(
            f"the checkpoint of the ledger in {store.where} is missing, although it holds entries: {store.locate(CHECKPOINT)}",
            KEEP,
        )
    return LedgerError(
        f"there is no ledger in {store.where}",
        "name the place that the gateway or the library writes to: --ledger, or RUNRECORD_LEDGER in the environment",
    )


def _keep_public_keys(store: Store, writer: Writer, keyring: Keyring) -> None:
    data = "".join(f"{vkey}\n" for vkey in keyring.listed).encode()
    if store.read(PUBLIC_KEY) != data:
        writer.put(PUBLIC_KEY, data)


def signed_edge(reader: LogReader, checkpoint: Checkpoint, where: str) -> Edge:
    """Return the right edge of a tree, only if it adds up to the signed root.

    Raises:
        RolledBack: It does not, or a part of it is missing.
    """
    next_step = "restore the newest copy of the ledger, together with its checkpoint"
    try:
        edge = reader.edge()
    except LedgerCorrupt as error:
        raise RolledBack(
            f"the tiles in {where} are not those that were signed at size {checkpoint.size}: {error.message}",
            next_step,
        ) from error
    if edge.root() != checkpoint.root:
        raise RolledBack(
            f"the tiles in {where} do not add up to the root that was signed for size {checkpoint.size}",
            next_step,
        )
    return edge


def _replay(journal: Journal, size: int, where: str) -> Pending:
    """Return what the journal holds beyond ``size``."""
    pending = Pending(size, [], [], [])
    following = size
    end: int | None = None
    for frame in journal.recover():
        if end is not None and frame.first < end:
            raise LedgerCorrupt(
                f"the write-ahead log of the ledger in {where} holds entry {frame.first} twice",
                "keep the ledger as evidence, and restore a copy",
            )
        end = frame.first + len(frame.leaves)
        skip = following - frame.first
        if skip < 0:
            raise RolledBack(
                f"entries {following} to {frame.first} of the ledger in {where} are gone: they were durable, and are in "
                "neither tiles nor write-ahead log",
                "restore the newest copy of the ledger, together with its checkpoint",
            )
        leaves = frame.leaves[skip:]
        pending.framed.extend(map(frame_entry, leaves))
        pending.hashes.extend(map(leaf_hash, leaves))
        pending.digests.extend(frame.digests[skip:])
        following += len(leaves)
    return pending
