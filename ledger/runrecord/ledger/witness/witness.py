# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A witness: cosigns a checkpoint if the log can show that it extends the one that was cosigned before."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.errors import LedgerError, MalformedError, ProofError, SignatureError
from runrecord.ledger.note import CosignatureSigner, Note, NoteVerifier
from runrecord.ledger.tlog import EMPTY_ROOT, verify_consistency
from runrecord.ledger.witness.protocol import SIZE_TYPE, AddCheckpoint
from runrecord.ledger.witness.state import Seen, WitnessState

_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """What to answer over HTTP.

    Attributes:
        status: The status code.
        body: The body.
        content_type: Its type.
    """

    status: int
    body: bytes
    content_type: str = _TEXT


class _Refused(Exception):  # noqa: N818 - control flow
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.answer = Answer(status, f"{why}\n".encode())


class Witness:
    """Answers the calls of C2SP tlog-witness.

    Args:
        state: Its memory and its key.
        logs: Keys of the logs that it cosigns; several of one name are keys of one log.
        now: Seconds since the epoch.
    """

    def __init__(
        self, state: WitnessState, logs: Iterable[NoteVerifier], *, now: Callable[[], float] = time.time
    ) -> None:
        self._state = state
        self._now = now
        self._logs: dict[str, list[NoteVerifier]] = {}
        for key in logs:
            self._logs.setdefault(key.name, []).append(key)
        self._origins = {sha256(origin.encode()).hexdigest(): origin for origin in self._logs}

    @property
    def signer(self) -> CosignatureSigner:
        """Its key."""
        return self._state.signer

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer ``POST add-checkpoint``; what is answered with 200 is durable."""
        try:
            return self._add(body)
        except _Refused as refused:
            return refused.answer
        except sqlite3.Error as error:
            return Answer(
                503, f"the memory of the witness does not answer ({type(error).__name__})\n".encode()
            )

    def checkpoint(self, origin_hash: str) -> Answer:
        """Answer ``GET ORIGIN-HASH/checkpoint``: the largest that was cosigned, with both signatures."""
        origin = self._origins.get(origin_hash)
        try:
            seen = self._state.seen(origin) if origin is not None else None
        except sqlite3.Error as error:
            return Answer(
                503, f"the memory of the witness does not answer ({type(error).__name__})\n".encode()
            )
        return Answer(200, seen.note) if seen else Answer(404, b"nothing of such a log was cosigned here\n")

    def _add(self, body: bytes) -> Answer:
        try:
            request = AddCheckpoint.parse(body)
            note = Note.parse(request.checkpoint)
            checkpoint = Checkpoint.parse_body(note.text, request.checkpoint)
        except MalformedError as error:
            raise _Refused(400, error.message) from None
        keys = self._logs.get(checkpoint.origin)
        if keys is None:
            raise _Refused(404, "this witness does not know the log")
        try:
            signed_by = note.verified_by(keys)
        except SignatureError as error:
            raise _Refused(403, error.message) from None
        if request.old_size > checkpoint.size:
            raise _Refused(400, f"the old size {request.old_size} is above the size {checkpoint.size}")
        first = {(line.name, line.key_hash): line for line in reversed(note.signatures)}
        log_lines = tuple(first[key.name, key.key_hash] for key in signed_by)  # those that were verified
        with self._state.deciding(checkpoint.origin) as (seen, put):
            size = seen.size if seen else 0
            if request.old_size != size:
                answer = Answer(409, b"%d\n" % size, SIZE_TYPE)
            elif why := _contradiction(request, checkpoint, seen):
                answer = Answer(422, f"{why}\n".encode())
            else:
                when = max(int(self._now()), seen.time if seen else 1)
                line = self.signer.sign_at(when, note.text)
                cosigned = Note(note.text, (*log_lines, line)).encode()
                put.append(Seen(checkpoint.size, checkpoint.root, cosigned, when))
                answer = Answer(200, line.line().encode())
        if seen is not None and checkpoint.size == seen.size and checkpoint.root != seen.root:
            self._keep(checkpoint, "another root at the size that was cosigned", body)
        elif answer.status == 422:  # noqa: PLR2004 - the code of the specification
            self._keep(checkpoint, answer.body.decode().strip(), body)
        return answer

    def _keep(self, checkpoint: Checkpoint, why: str, body: bytes) -> None:
        self._state.keep_evidence(checkpoint.origin, why, int(self._now()), body)


def _contradiction(request: AddCheckpoint, checkpoint: Checkpoint, seen: Seen | None) -> str:
    """Say why a checkpoint is not shown to extend what was cosigned; empty if it is."""
    if not checkpoint.size and checkpoint.root != EMPTY_ROOT:
        return "a log without entries does not have this root"
    if not request.old_size or seen is None or not seen.size:
        return "a proof was sent though the old size is 0" if request.hashes else ""
    try:
        verify_consistency(seen.size, seen.root, checkpoint.size, checkpoint.root, request.hashes)
    except (ProofError, LedgerError) as error:
        return error.message
    return ""
