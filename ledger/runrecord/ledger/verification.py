# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the verification of a bundle comes to: steps, and the worst of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from runrecord.ledger.audit import Finding
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.completeness import UNSEEN
from runrecord.ledger.disclosures import Disclosure
from runrecord.ledger.records import Record
from runrecord.ledger.runs import RunView


class Code(IntEnum):
    """What the verification came to; the exit code of ``runrecord verify``."""

    COMPLETE = 0
    FAILED = 1
    INCOMPLETE = 2
    UNVERIFIABLE = 3


@dataclass(frozen=True)
class Check:
    """One step of the verification.

    Attributes:
        name: What was checked.
        code: COMPLETE if it passed, else what it makes of the whole.
        text: What was found; where it failed, what and where.
        next_step: What the reader can do about it, or empty.
    """

    name: str
    code: Code
    text: str
    next_step: str = ""


@dataclass
class Verification:
    """The result.

    Attributes:
        code: The worst of the checks.
        checks: The steps in order; after one that fails there is none.
        first_use: The keys came from the bundle itself, so that it proves nothing about who made it.
        checkpoints: Of the logs, once their keys were seen to have signed them.
        view: The run, once its entries were verified.
        findings: Invariants that the run broke; they do not change the code.
        statements: What the logs state of themselves: that entries were pruned.
        disclosed: What was opened for the reader; each value is the one that its entry commits to.
        limits: What no bundle can show.
    """

    code: Code = Code.COMPLETE
    checks: list[Check] = field(default_factory=list[Check])
    first_use: bool = False
    checkpoints: tuple[Checkpoint, ...] = ()
    view: RunView | None = None
    findings: list[Finding] = field(default_factory=list[Finding])
    statements: tuple[Record, ...] = ()
    disclosed: tuple[Disclosure, ...] = ()
    limits: tuple[str, ...] = UNSEEN

    def diagnostics(self) -> str:
        """Return the step that decided, in one sentence."""
        last = next((check for check in reversed(self.checks) if check.code), self.checks[-1])
        return f"{last.name}: {last.text}"
