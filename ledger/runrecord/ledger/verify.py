# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Verify an audit bundle offline, against keys that the reader already has.

Nothing in the bundle is believed before a pinned key vouches for it: the bundle key for the statement, the statement for the
other files, the log key for the checkpoint, the checkpoint for every entry. Input is hostile; no input raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from runrecord.ledger import verify_log, verify_run, verify_statement
from runrecord.ledger.bundle_format import DISCLOSURES
from runrecord.ledger.disclosures import by_place
from runrecord.ledger.dsse import UntrustedKey
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.report import Evidence, render_report
from runrecord.ledger.tlog_policy import TlogPolicy
from runrecord.ledger.trust import Trust
from runrecord.ledger.verification import Check, Code, Verification
from runrecord.ledger.verify_state import DO_NOT_RELY, Bundle, Stop
from runrecord.ledger.verify_statement import NO_KEYS

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

__all__ = ["NO_KEYS", "Check", "Code", "Verification", "verified_report", "verify_bundle"]

Step = Callable[[Bundle], str]


def verify_bundle(
    archive: bytes,
    trust: Trust | None = None,
    *,
    policy: TlogPolicy | None = None,
    tsa_roots: Sequence[Certificate] = (),
    known: Sequence[bytes] = (),
    first_use: bool = False,
) -> Verification:
    """Verify a bundle.

    Args:
        archive: The bytes of the file.
        trust: The pinned keys; without a log key and a bundle key nothing can be verified.
        policy: Names logs whose keys are pinned too, and the witnesses that must have cosigned.
        tsa_roots: Roots of time stamping authorities; the checkpoint must have a stamp of one.
        known: Signed checkpoints that the reader kept from earlier; the log of the bundle must be theirs.
        first_use: Take the keys from the bundle too. Shows that it is consistent, not who made it.

    Returns:
        The verdict and every step; it never raises for what is in the archive.
    """
    trust = Trust() if trust is None else trust
    if policy is not None:
        trust |= Trust(log=tuple(log.verifier for log in policy.logs))
    bundle = Bundle(archive, trust, first_use, known)
    result = Verification(first_use=first_use)
    for name, step in _steps(policy, tsa_roots, known):
        if name == "disclosures" and DISCLOSURES not in bundle.files:
            continue
        check = _checked(name, step, bundle)
        result.checks.append(check)
        result.code = check.code or result.code
        if result.code not in {Code.COMPLETE, Code.INCOMPLETE}:
            break
    if bundle.view is not None:
        result.view = bundle.view
        result.checkpoints = tuple(bundle.checkpoints)
        result.statements = tuple(bundle.statements)
        result.disclosed = tuple(bundle.disclosed)
        result.findings = bundle.findings
    return result


def verified_report(result: Verification) -> str:
    """Return the report of a run, made here from the entries that were proven: it owes nothing to the one in the bundle.

    Args:
        result: Of a bundle whose entries are authentic.

    Raises:
        LedgerError: They are not, so that nothing can be reported.
    """
    if result.view is None or result.code not in {Code.COMPLETE, Code.INCOMPLETE}:
        raise LedgerError("there is no report of a bundle that is not authentic", DO_NOT_RELY)
    checked = [(check.name, check.code.name.lower(), check.text) for check in result.checks]
    evidence = Evidence(
        result.checkpoints[0],
        disclosed=by_place(result.disclosed),
        statements=result.statements,
        checked=checked,
    )
    return render_report(result.view, result.findings, evidence)


def _steps(
    policy: TlogPolicy | None, tsa_roots: Sequence[Certificate], known: Sequence[bytes]
) -> Sequence[tuple[str, Step]]:
    return (
        ("container", verify_statement.container),
        ("keys", verify_statement.keys),
        ("statement", verify_statement.statement),
        ("contents", verify_statement.contents),
        ("checkpoint", verify_log.checkpoints),
        *((("witnesses", partial(verify_log.witnesses, policy=policy)),) if policy is not None else ()),
        *((("time", partial(verify_log.times, roots=tsa_roots)),) if tsa_roots else ()),
        *((("history", verify_log.history),) if known else ()),
        ("inclusion", verify_log.inclusion),
        ("run digest", verify_run.subject_root),
        ("schema", verify_run.schema),
        ("disclosures", verify_run.disclosures),
        ("claims", verify_run.claims),
        ("completeness", verify_run.completeness),
    )


def _checked(name: str, step: Step, bundle: Bundle) -> Check:
    try:
        return Check(name, Code.COMPLETE, step(bundle))
    except Stop as stop:
        return Check(name, stop.code, stop.text, stop.next_step)
    except UntrustedKey as error:
        return Check(name, Code.UNVERIFIABLE, error.message, error.next_step or "")
    except LedgerError as error:
        return Check(name, Code.FAILED, error.message, error.next_step or DO_NOT_RELY)
