# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the steps of a verification hand on to each other, and how a step ends the verification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

from runrecord.ledger.audit import Finding
from runrecord.ledger.bundle_format import rotation_path
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.disclosures import Disclosure
from runrecord.ledger.records import Record
from runrecord.ledger.runs import RunView
from runrecord.ledger.strict_json import JSON
from runrecord.ledger.trust import Trust
from runrecord.ledger.verification import Code

_DIGITS: Final = 20
DO_NOT_RELY: Final = "do not rely on this bundle; ask for it again, and keep this one as evidence"


class Stop(Exception):  # noqa: N818 - control flow, never seen outside
    """A step did not pass.

    Args:
        code: What it makes of the whole.
        text: What was found.
        next_step: What the reader can do.
    """

    def __init__(self, code: Code, text: str, next_step: str = "") -> None:
        super().__init__(text)
        self.code, self.text, self.next_step = code, text, next_step


def fail(text: str) -> NoReturn:
    """End the verification: the bundle is not what was signed."""
    raise Stop(Code.FAILED, text, DO_NOT_RELY)


@dataclass
class BundleLog:
    """One log that the statement names.

    Attributes:
        name: Of its files.
        origin: Its own name.
        size: Of its tree.
        root: Of its tree.
        indices: Of the entries that are here, ascending.
        known: Sizes of other checkpoints to which there is a proof.
        statements: Indices of the entries that the log holds about itself.
        leaves: The entries, once they were proven.
        hashes: Their hashes.
    """

    name: str
    origin: str
    size: int
    root: bytes
    indices: tuple[int, ...]
    known: tuple[int, ...] = ()
    statements: tuple[int, ...] = ()
    leaves: list[bytes] = field(default_factory=list[bytes])
    hashes: list[bytes] = field(default_factory=list[bytes])


@dataclass
class Bundle:
    """The state of one verification.

    Attributes:
        archive: The bytes of the file.
        trust: The pinned keys.
        first_use: Take the keys from the bundle too.
        known: Checkpoints that the reader kept, signed notes.
        files: The members by name.
        run: Id of the run.
        subject: The signed root over its entries.
        materials: The signed digests of the files.
        logs: What the statement says of the logs.
        checkpoints: Of the logs.
        statements: What the logs state of themselves.
        records: The entries.
        disclosed: What was opened of them.
        predicate: What the producer says of the run.
        bundle_key: Id of the key that signed the statement, a hint.
        view: The run.
        findings: What the audit found.
    """

    archive: bytes
    trust: Trust
    first_use: bool = False
    known: Sequence[bytes] = ()
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    run: str = ""
    subject: bytes = b""
    materials: dict[str, str] = field(default_factory=dict[str, str])
    logs: list[BundleLog] = field(default_factory=list[BundleLog])
    checkpoints: list[Checkpoint] = field(default_factory=list[Checkpoint])
    statements: list[Record] = field(default_factory=list[Record])
    records: list[Record] = field(default_factory=list[Record])
    disclosed: list[Disclosure] = field(default_factory=list[Disclosure])
    predicate: dict[str, JSON] = field(default_factory=dict[str, JSON])
    bundle_key: str = ""
    view: RunView | None = None
    findings: list[Finding] = field(default_factory=list[Finding])

    def changes_of_key(self, log: BundleLog) -> list[str]:
        """Return the names of the proofs that a log's key was changed."""
        numbers = (name[len("keys/") + len(log.name) + 1 : -len(".tlog-proof")] for name in self.materials)
        return [
            rotation_path(log.name, int(n))
            for n in numbers
            if n.isdecimal() and n.isascii() and len(n) < _DIGITS
        ]
