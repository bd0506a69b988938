# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Opening a log to write: take the lock, read what is durable, and refuse what contradicts what was signed."""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.dedup import KeyIndex, key_digest
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
from runrecord.ledger.files import FileBatch, WriterLock, disk_errors, explain, make_directory
from runrecord.ledger.note import NoteSigner, NoteVerifier
from runrecord.ledger.reader import LogReader
from runrecord.ledger.sequencer import Pending
from runrecord.ledger.tiles import frame_entry
from runrecord.ledger.tlog import EMPTY_ROOT, RootStack, leaf_hash, tree_root
from runrecord.ledger.wal import WriteAheadLog

REBUILD_CHUNK = 16_384
_OF_A_VOLUME = {"lost+found", ".snapshot", ".snapshots"}  # what a file system itself puts into a fresh volume
_KEEP = "restore the directory, with its .state, from a copy; keep this one as evidence, and remove nothing from it"


@dataclass(frozen=True, slots=True)
class Recovered:
    """A log that is ready to be written.

    Attributes:
        lock: The right to write.
        signer: The log key.
        verifiers: The trusted log keys, that of the signer first.
        checkpoint: The last signed checkpoint; without a note for a log that is just being made.
        edge: The tiles' right edge at the checkpoint.
        wal: The write-ahead log.
        keys: The key index; covers at least the checkpoint.
        pending: What is durable beyond the checkpoint.
    """

    lock: WriterLock
    signer: NoteSigner
    verifiers: tuple[NoteVerifier, ...]
    checkpoint: Checkpoint
    edge: Edge
    wal: WriteAheadLog
    keys: KeyIndex
    pending: Pending

    def close(self, *, remove_wal: bool = False) -> None:
        """Give everything up; the write-ahead log too when nothing in it is needed."""
        self.wal.close(remove=remove_wal)
        self.keys.close()
        self.lock.release()


def recover(
    root: Path,
    *,
    signer: NoteSigner | None,
    origin: str | None,
    verifiers: Sequence[NoteVerifier],
    key_of: Callable[[bytes], bytes] | None,
) -> Recovered:
    """Open a log to write (see :meth:`runrecord.ledger.directory.DirectoryLog.open` for arguments and errors)."""
    state = root / ".state"
    _refuse_foreign(root)
    with disk_errors(root):
        make_directory(root)
        make_directory(state, 0o700)
        make_directory(state / "wal", 0o700)
        make_directory(state / "tmp", 0o700)
    with contextlib.ExitStack() as undo:
        lock = WriterLock(state / "lock")
        undo.callback(lock.release)
        for leftover in (state / "tmp").iterdir():
            with disk_errors(leftover):
                leftover.unlink()
        signer = _log_key(root, signer, origin)
        trusted = (signer.verifier, *(each for each in verifiers if each.vkey != signer.vkey))
        checkpoint = read_checkpoint(root, trusted)
        _keep_public_key(state, signer)  # only after it proved to be this log's
        wal = WriteAheadLog(state / "wal")
        undo.callback(wal.close)
        if checkpoint is None:
            if (root / "tile").exists() or any((state / "wal").iterdir()):
                raise RolledBack(
                    f"the checkpoint of the ledger in {root} is missing, although it holds entries", _KEEP
                )
            checkpoint = Checkpoint(signer.name, 0, EMPTY_ROOT)
        reader = LogReader(root, checkpoint.size)
        edge = _edge(reader, checkpoint, root)
        pending = _replay(wal, checkpoint.size, root)
        keys = _open_keys(state / "keys.sqlite")
        undo.callback(keys.close)
        _check_keys(keys, checkpoint, reader, pending, edge)
        _rebuild_keys(keys, checkpoint, reader, key_of)
        undo.pop_all()
    return Recovered(lock, signer, trusted, checkpoint, edge, wal, keys, pending)


def _refuse_foreign(root: Path) -> None:
    """Refuse to make a ledger among the files of something else."""
    with disk_errors(root):
        found = {each.name for each in root.iterdir()} if root.is_dir() else set[str]()
    if found - _OF_A_VOLUME and not found & {"checkpoint", "tile", ".state"}:
        raise LedgerError(
            f"{root} is not a ledger, and not empty: it holds {min(found - _OF_A_VOLUME)!r}",
            "name a directory that is empty or does not exist yet; a ledger is made there",
        )


def trusted_keys(root: Path, verifiers: Sequence[NoteVerifier]) -> tuple[NoteVerifier, ...]:
    """Return the log's own public key, if the directory has it, and the given ones.

    Raises:
        LedgerError: If there is none at all.
    """
    path = root / ".state" / "log.vkey"
    found: list[NoteVerifier] = []
    try:
        found.append(NoteVerifier(path.read_text().strip()))
    except (MalformedNote, UnicodeDecodeError) as error:
        raise MalformedNote(f"{path} does not hold the public key of a ledger", _KEEP) from error
    except OSError as error:
        if not verifiers:
            if not isinstance(error, FileNotFoundError):
                raise explain(error, path) from error
            raise LedgerError(
                f"the public key of the ledger in {root} is missing: {path}",
                "put the file back: one line, the key on the line 'log' of a trust file; in Python, it can be passed as verifiers=",
            ) from None
    return (*found, *(each for each in verifiers if each.vkey not in {one.vkey for one in found}))


def read_checkpoint(root: Path, verifiers: Sequence[NoteVerifier]) -> Checkpoint | None:
    """Return the signed checkpoint of a directory, None if it has none.

    Raises:
        MalformedError: If the file is not a checkpoint.
        SignatureError: If no trusted key signed it.
    """
    path = root / "checkpoint"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise explain(error, path) from error
    if not data:
        raise MalformedCheckpoint(f"{path} is empty: nothing vouches for the ledger in {root}", _KEEP)
    try:
        return Checkpoint.open(data, verifiers)
    except SignatureError as error:
        raise SignatureError(
            f"{path} is not signed by the key of this ledger: it was changed, or it or the key in {root / '.state'} belongs to another "
            f"ledger ({error.message})",
            _KEEP,
        ) from error
    except MalformedError as error:
        raise type(error)(f"{path} is damaged: {error.message}", _KEEP) from error


def missing_checkpoint(root: Path) -> LedgerError:
    """Return the error about a directory that has no checkpoint to read."""
    if (root / "tile").exists():
        return RolledBack(
            f"the checkpoint of the ledger in {root} is missing, although it holds entries: {root / 'checkpoint'}",
            _KEEP,
        )
    return LedgerError(
        f"there is no ledger in {root}",
        "name the directory that the gateway or the library writes to: --ledger DIR, or RUNRECORD_LEDGER in the environment",
    )


def _log_key(root: Path, signer: NoteSigner | None, origin: str | None) -> NoteSigner:
    """Return the signer to use, making and keeping a key if the log has none yet."""
    state = root / ".state"
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
        elif (root / "checkpoint").exists():
            raise LedgerError(
                f"the private key of the ledger in {root} is not in {path}",
                "put the file back from a copy; in Python, the key can be passed as signer=",
            )
        else:
            signer = NoteSigner.generate(origin or f"runrecord.invalid/{uuid.uuid4().hex[:16]}")
            made = True
    if origin is not None and signer.name != origin:
        raise LedgerError(
            f"the key of the ledger in {root} is named {signer.name!r}, not {origin!r}",
            "use one name for the log and its key",
        )
    if made:
        with FileBatch(state, state / "tmp") as files:
            files.write("log.key", f"{signer.private_text()}\n".encode(), 0o600)
            files.commit()
    return signer


def _keep_public_key(state: Path, signer: NoteSigner) -> None:
    path, text = state / "log.vkey", f"{signer.vkey}\n"
    if not path.exists() or path.read_text() != text:
        with FileBatch(state, state / "tmp") as files:
            files.write(path.name, text.encode())
            files.commit()


def _edge(reader: LogReader, checkpoint: Checkpoint, root: Path) -> Edge:
    try:
        edge = reader.edge()
    except LedgerCorrupt as error:
        raise RolledBack(
            f"the tiles in {root} are not those that were signed at size {checkpoint.size}: {error.message}",
            "restore the newest copy of the directory, together with its checkpoint",
        ) from error
    if edge.root() != checkpoint.root:
        raise RolledBack(
            f"the tiles in {root} do not add up to the root that was signed for size {checkpoint.size}",
            "restore the newest copy of the directory, together with its checkpoint",
        )
    return edge


def _replay(wal: WriteAheadLog, size: int, root: Path) -> Pending:
    """Return what the write-ahead log holds beyond ``size``."""
    pending = Pending(size, [], [], [])
    following = size
    end: int | None = None
    for frame in wal.recover():
        if end is not None and frame.first < end:
            raise LedgerCorrupt(
                f"the write-ahead log of the ledger in {root} holds entry {frame.first} twice",
                "keep the directory as evidence, and restore a copy",
            )
        end = frame.first + len(frame.leaves)
        skip = following - frame.first
        if skip < 0:
            raise RolledBack(
                f"entries {following} to {frame.first} of the ledger in {root} are gone: they were durable, and are in "
                "neither tiles nor write-ahead log",
                "restore the newest copy of the directory, together with its checkpoint",
            )
        leaves = frame.leaves[skip:]
        pending.framed.extend(map(frame_entry, leaves))
        pending.hashes.extend(map(leaf_hash, leaves))
        pending.digests.extend(frame.digests[skip:])
        following += len(leaves)
    return pending


def _open_keys(path: Path) -> KeyIndex:
    """Open the key index; one that is no database is put aside, to be made anew from the leaves."""
    try:
        return KeyIndex(path)
    except LedgerCorrupt as error:
        if not isinstance(error.__cause__, sqlite3.DatabaseError):
            raise
    with disk_errors(path):
        path.replace(path.with_suffix(".damaged"))
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    return KeyIndex(path)


def _check_keys(
    keys: KeyIndex, checkpoint: Checkpoint, reader: LogReader, pending: Pending, edge: Edge
) -> None:
    """Refuse a tree that is not an extension of the one that the key index last saw."""
    if not keys.size:
        return
    beyond = keys.size - checkpoint.size
    if beyond > len(pending.hashes):
        raise RolledBack(
            f"the ledger has {checkpoint.size + len(pending.hashes)} entries, and once had {keys.size}",
            "restore the newest copy of the directory, together with its checkpoint",
        )
    if beyond <= 0:
        root = tree_root(keys.size, reader.node)
    else:
        grown = edge.copy()
        grown.extend([b""] * beyond, pending.hashes[:beyond], lambda _path, _data: None)
        root = grown.root()
    if root != keys.root:
        raise RolledBack(
            f"the first {keys.size} entries of the ledger are not those that it once had",
            "keep the directory as evidence, and compare it with a copy",
        )


def _rebuild_keys(
    keys: KeyIndex, checkpoint: Checkpoint, reader: LogReader, key_of: Callable[[bytes], bytes] | None
) -> None:
    """Index the keys of the leaves that a lost or older index lacks."""
    if keys.size >= checkpoint.size:
        return
    if key_of is None:
        raise LedgerCorrupt(
            f"the key index covers {keys.size} of {checkpoint.size} entries, so duplicates could not be told",
            "put .state/keys.sqlite back from a copy; in Python, a function key_of= that gives the key of a leaf rebuilds it",
        )
    tree = RootStack(reader.node(0, index) for index in range(keys.size))
    while keys.size < checkpoint.size:
        first = keys.size
        leaves = list(reader.leaves(first, min(first + REBUILD_CHUNK, checkpoint.size)))
        for each in leaves:
            tree.push(leaf_hash(each))
        if tree.size == checkpoint.size and tree.root() != checkpoint.root:
            raise RolledBack(
                "the entries do not add up to the root that was signed", "compare the directory with a copy"
            )
        keys.add(first, [key_digest(key_of(each)) for each in leaves], tree.size, tree.root())
