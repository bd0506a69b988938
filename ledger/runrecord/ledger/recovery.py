# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Opening a log to write: take the right to, read what is durable, and refuse what contradicts what was signed."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.edge import Edge
from runrecord.ledger.errors import (
    LedgerCorrupt,
    LedgerError,
    MalformedCheckpoint,
    MalformedError,
    MalformedNote,
    RolledBack,
    SignatureError,
)
from runrecord.ledger.files import disk_errors, make_directory, write_whole
from runrecord.ledger.note import NoteSigner, NoteVerifier
from runrecord.ledger.pending import Pending
from runrecord.ledger.reader import LogReader
from runrecord.ledger.stores.base import CHECKPOINT, PUBLIC_KEY, Journal, Keys, Objects, Opened, Store, Writer
from runrecord.ledger.tiles import frame_entry
from runrecord.ledger.tlog import EMPTY_ROOT, leaf_hash

_KEEP = (
    "restore the ledger, with its .state, from a copy; keep this one as evidence, and remove nothing from it"
)
_TRIES = 5  # to read a log while other writers move it on


@dataclass(frozen=True, slots=True)
class Recovered:
    """A log that is ready to be written.

    Attributes:
        writer: The right to write.
        signer: The log key.
        verifiers: The trusted log keys, that of the signer first.
        checkpoint: The last signed checkpoint; without a note for a log that is just being made.
        edge: The tiles' right edge at the checkpoint.
        keys: The key index; covers at least the checkpoint.
        pending: What is durable beyond the checkpoint.
        key_of: Works the key of a leaf out; None if nobody can.
    """

    writer: Writer
    signer: NoteSigner
    verifiers: tuple[NoteVerifier, ...]
    checkpoint: Checkpoint
    edge: Edge
    keys: Keys
    pending: Pending
    key_of: Callable[[bytes], bytes] | None

    def close(self, *, remove_journal: bool = False) -> None:
        """Give everything up; the journal too when nothing in it is needed."""
        self.keys.close()
        self.writer.close(remove_journal=remove_journal)


def recover(
    store: Store,
    *,
    signer: NoteSigner | None,
    origin: str | None,
    verifiers: Sequence[NoteVerifier],
    key_of: Callable[[bytes], bytes] | None,
) -> Recovered:
    """Open a log to write (see :meth:`runrecord.ledger.log.Log.open` for arguments and errors)."""
    with contextlib.ExitStack() as undo:
        writer = store.writer()
        undo.callback(writer.close, remove_journal=False)
        signer = _log_key(store, signer, origin)
        trusted = (signer.verifier, *(each for each in verifiers if each.vkey != signer.vkey))
        checkpoint, pending = _durable(store, writer.journal, trusted)
        _keep_public_key(store, writer, signer)  # only after it proved to be this log's
        if checkpoint is None:
            if pending.hashes or _has_tiles(store):
                raise RolledBack(
                    f"the checkpoint of the ledger in {store.where} is missing, although it holds entries",
                    _KEEP,
                )
            checkpoint = Checkpoint(signer.name, 0, EMPTY_ROOT)
        reader = LogReader(store, checkpoint.size)
        edge = signed_edge(reader, checkpoint, store.where)
        opened = Opened(checkpoint, reader.node, reader.leaves, pending, edge, key_of)
        keys = writer.open_keys(opened)
        undo.pop_all()
    return Recovered(writer, signer, trusted, checkpoint, edge, keys, pending, key_of)


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
    """Return the log's own public key, if the store has it, and the given ones.

    Raises:
        LedgerError: If there is none at all.
    """
    place = store.locate(PUBLIC_KEY)
    found: list[NoteVerifier] = []
    try:
        data = store.read(PUBLIC_KEY)
    except LedgerError:
        if not verifiers:
            raise
        data = None
    if data is not None:
        try:
            found.append(NoteVerifier(data.decode().strip()))
        except (MalformedNote, UnicodeDecodeError) as error:
            raise MalformedNote(f"{place} does not hold the public key of a ledger", _KEEP) from error
    elif not verifiers:
        raise LedgerError(
            f"the public key of the ledger in {store.where} is missing: {place}",
            "put the file back: one line, the key on the line 'log' of a trust file; in Python, it can be passed as verifiers=",
        )
    return (*found, *(each for each in verifiers if each.vkey not in {one.vkey for one in found}))


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
        raise MalformedCheckpoint(f"{place} is empty: nothing vouches for the ledger in {store.where}", _KEEP)
    try:
        return Checkpoint.open(data, verifiers)
    except SignatureError as error:
        raise SignatureError(
            f"{place} is not signed by the key of this ledger: it was changed, or it or the key in {store.locate('.state')} belongs to "
            f"another ledger ({error.message})",
            _KEEP,
        ) from error
    except MalformedError as error:
        raise type(error)(f"{place} is damaged: {error.message}", _KEEP) from error


def missing_checkpoint(store: Objects) -> LedgerError:
    """Return the error about a store that has no checkpoint to read."""
    if _has_tiles(store):
        return RolledBack(
            f"the checkpoint of the ledger in {store.where} is missing, although it holds entries: {store.locate(CHECKPOINT)}",
            _KEEP,
        )
    return LedgerError(
        f"there is no ledger in {store.where}",
        "name the place that the gateway or the library writes to: --ledger, or RUNRECORD_LEDGER in the environment",
    )


def _log_key(store: Store, signer: NoteSigner | None, origin: str | None) -> NoteSigner:
    """Return the signer to use, making and keeping a key on this machine if the log has none yet."""
    state = store.path / ".state"
    path = state / "log.key"
    made = False
    if signer is None:
        if path.exists():
            with disk_errors(path):
                text = path.read_bytes().decode("utf-8", "replace")
            try:
                signer = NoteSigner.parse(text)
            except MalformedNote as error:
                raise MalformedNote(f"{path} does not hold the private key of a ledger", _KEEP) from error
        elif store.read(CHECKPOINT) is not None:
            raise LedgerError(
                f"the private key of the ledger in {store.where} is not in {path}",
                "put the file back from a copy, or name it: key_file of the exporter, signer= in Python",
            )
        else:
            signer = NoteSigner.generate(origin or f"runrecord.invalid/{uuid.uuid4().hex[:16]}")
            made = True
    if origin is not None and signer.name != origin:
        raise LedgerError(
            f"the key of the ledger in {store.where} is named {signer.name!r}, not {origin!r}",
            "use one name for the log and its key",
        )
    if made:
        with disk_errors(state):
            make_directory(state, 0o700)
        write_whole(path, f"{signer.private_text()}\n".encode(), 0o600)
    return signer


def _keep_public_key(store: Store, writer: Writer, signer: NoteSigner) -> None:
    data = f"{signer.vkey}\n".encode()
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
