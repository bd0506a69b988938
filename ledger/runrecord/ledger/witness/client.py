# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Ask the witnesses of a policy to cosign a checkpoint."""

from __future__ import annotations

import http.client
import re
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.errors import LedgerError, MalformedError
from runrecord.ledger.note import Note, Signature
from runrecord.ledger.tlog_policy import Peer, TlogPolicy
from runrecord.ledger.witness.protocol import SIZE_TYPE, AddCheckpoint

_ATTEMPTS: Final = 3
_LIMIT: Final = 64 << 10
_AT_ONCE: Final = 8
_CONFLICT: Final = 409
_OK: Final = 200
_SIZE: Final = re.compile(rb"(?:0|[1-9][0-9]{0,18})\n")

Prover = Callable[[int, int], Sequence[bytes]]
"""``prove(old_size, new_size)``: a consistency proof."""


class CosignError(LedgerError):
    """A witness did not cosign."""


@dataclass
class Cosigned:
    """A checkpoint with what witnesses added to it.

    Attributes:
        checkpoint: The checkpoint, its note with a line for each cosignature.
        by: Names of the witnesses, as the policy has them.
        enough: Whether they make the quorum of the policy.
        failures: Name of a witness to why it did not cosign.
    """

    checkpoint: Checkpoint
    by: tuple[str, ...] = ()
    enough: bool = False
    failures: dict[str, CosignError] = field(default_factory=dict[str, CosignError])


def cosign(
    checkpoint: Checkpoint,
    policy: TlogPolicy,
    prove: Prover,
    *,
    last: dict[str, int] | None = None,
    timeout: float = 10.0,
) -> Cosigned:
    """Ask all witnesses of a policy that have a URL, at the same time; what one does not answer costs only its cosignature.

    Args:
        checkpoint: What is to be cosigned.
        policy: Names the witnesses.
        prove: Makes consistency proofs of the log.
        last: Name of a witness to the size that it cosigned last, as far as known; kept up to date.
        timeout: Seconds that one request may take.
    """
    sizes = {} if last is None else last
    asked = {name: peer for name, peer in policy.witnesses.items() if peer.url}
    done = Cosigned(checkpoint)
    lines: list[Signature] = list(Note.parse(checkpoint.note).signatures)

    def ask(name: str) -> list[Signature] | CosignError:
        try:
            return _Request(name, asked[name], checkpoint, timeout).send(prove, sizes)
        except CosignError as error:
            return error

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="runrecord-witness") as pool:
        for name, outcome in zip(asked, pool.map(ask, asked), strict=True):
            if isinstance(outcome, CosignError):
                done.failures[name] = outcome
            else:
                lines += (line for line in outcome if line not in lines)
    note = Note(Note.parse(checkpoint.note).text, tuple(lines)).encode()
    witnessed = policy.witnessed(note)
    done.checkpoint = Checkpoint.parse(note)
    done.by, done.enough = tuple(witnessed.times), witnessed.enough
    return done


@dataclass(frozen=True)
class _Request:
    """One checkpoint to one witness."""

    name: str
    peer: Peer
    checkpoint: Checkpoint
    timeout: float

    def send(self, prove: Prover, last: dict[str, int]) -> list[Signature]:
        """Return the lines of the witness; a size that it did not expect is put right."""
        name, size = self.name, self.checkpoint.size
        for _ in range(_ATTEMPTS):
            old = last.get(name, 0)
            if old > size:
                raise CosignError(
                    f"witness {name} has cosigned size {old} of this log, and its checkpoint is of size {size}",
                    "the log may have been put back from a copy: compare it with what the witness serves",
                )
            hashes = tuple(prove(old, size)) if old else ()
            status, kind, body = self._post(AddCheckpoint(old, hashes, self.checkpoint.note).encode())
            if status == _CONFLICT and kind == SIZE_TYPE and _SIZE.fullmatch(body):
                last[name] = int(body)
                continue
            if status != _OK:
                raise CosignError(f"witness {name} answered {status}: {_shown(body)}", _NEXT.get(status))
            lines = self._lines(body)
            last[name] = size
            return lines
        raise CosignError(f"witness {name} says again and again that it has cosigned another size")

    def _lines(self, body: bytes) -> list[Signature]:
        """Return the lines of the key that we know; what else was sent is ignored."""
        text, key = Note.parse(self.checkpoint.note).text, self.peer.verifier
        try:
            found = Note.parse(text + b"\n" + body).signatures
        except MalformedError as error:
            raise CosignError(
                f"witness {self.name} answered with something else than signature lines"
            ) from error
        known = [
            line
            for line in found
            if (line.name, line.key_hash) == (key.name, key.key_hash) and key.verify(text, line.value)
        ]
        if not known:
            raise CosignError(
                f"witness {self.name} answered with no cosignature of its key {key.name!r}",
                "compare the key in the policy with that of the witness",
            )
        return known

    def _post(self, body: bytes) -> tuple[int, str, bytes]:
        url = self.peer.url
        if urlsplit(url).scheme not in {"http", "https"}:
            raise CosignError(
                f"the URL of witness {self.name} is not of HTTP", "write http://... or https://..."
            )
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked
            f"{url.rstrip('/')}/add-checkpoint",
            data=body,
            headers={"Content-Type": "text/plain; charset=utf-8", "User-Agent": "runrecord"},
        )
        try:
            with _OPENER.open(request, timeout=self.timeout) as response:
                return response.status, response.headers.get_content_type(), response.read(_LIMIT)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            raise CosignError(f"witness {self.name} can't be reached: {reason}") from error


def _opener() -> urllib.request.OpenerDirector:
    """Return one that follows no redirect and raises for no status."""
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
    ):
        director.add_handler(handler)
    return director


_OPENER: Final = _opener()
_NEXT: Final = {
    403: "give the operator of the witness the public key of this log",
    404: "ask the operator of the witness to add this log",
    422: "the witness has seen another history of this log: compare the log with what the witness serves",
}


def _shown(body: bytes) -> str:
    return repr(body[:200].decode("utf-8", "replace").strip())
