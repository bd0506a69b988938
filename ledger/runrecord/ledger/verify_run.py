# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The last steps of a verification: that the entries are those of the run, what was opened of them, and whether any is missing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from runrecord.ledger.audit import audit_run
from runrecord.ledger.bundle_format import DISCLOSURES, REPORT, timestamp_path
from runrecord.ledger.claims import claims as worked_out
from runrecord.ledger.claims import producer
from runrecord.ledger.completeness import Verdict
from runrecord.ledger.disclosures import by_place, decode_disclosures
from runrecord.ledger.entry import Entry, UnknownSchema
from runrecord.ledger.records import Record
from runrecord.ledger.report import Evidence, render_report
from runrecord.ledger.runs import RunView
from runrecord.ledger.strict_json import StrictJsonError, mapping, string
from runrecord.ledger.timestamp import stamped_at
from runrecord.ledger.tlog import root_of_hashes
from runrecord.ledger.verification import Code
from runrecord.ledger.verify_state import Bundle, Stop, fail
from runrecord.semconv.canonical import canonical_form

_ADVICE: Final = {
    Verdict.UNCLOSED: "ask the operator for a later bundle, made after the run had ended",
    Verdict.GAPS: "ask the operator what became of the missing records; the ledger does not hold them",
    Verdict.CONFLICTS: "read the entries named: a record was sent in two versions, and both are kept",
}
_OWN_REPORT: Final = (
    "go by what is printed here, or make the report anew with --report FILE; ask the operator why"
)


def subject_root(bundle: Bundle) -> str:
    """Compare the entries with the digest that was signed for the run."""
    if root_of_hashes(each for log in bundle.logs for each in log.hashes) != bundle.subject:
        fail("the entries do not give the root that was signed as the run's digest")
    return f"the entries are exactly those that were signed, root {bundle.subject.hex()[:16]}..."


def schema(bundle: Bundle) -> str:
    """Read the entries."""
    for log in bundle.logs:
        for index, leaf in zip(log.indices, log.leaves, strict=True):
            try:
                entry = Entry.parse(leaf)
            except UnknownSchema as error:
                raise Stop(
                    Code.UNVERIFIABLE,
                    f"entry {index} is proven, and of a schema that this version can't read",
                    error.next_step or "",
                ) from None
            if entry.run != bundle.run:
                fail(f"entry {index} belongs to another run")
            bundle.records.append(Record(index, entry))
    return f"{len(bundle.records)} entries are canonical and of this run"


def disclosures(bundle: Bundle) -> str:
    """Check that every value that was opened is the one that the entry commits to."""
    try:
        bundle.disclosed = decode_disclosures(bundle.files[DISCLOSURES])
    except (StrictJsonError, ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, StrictJsonError) else "it is not canonical JSON"
        fail(f"{DISCLOSURES} is not well-formed: {reason}")
    entries = {record.index: record.entry for record in bundle.records}
    for each in bundle.disclosed:
        entry = entries.get(each.index)
        if entry is None:
            fail(f"a value of entry {each.index} is disclosed, which is not here")
        if not each.opens(entry):
            fail(f"the disclosed value of {each.name!r} is not the one that entry {each.index} commits to")
    count = len(bundle.disclosed)
    return (
        f"{count} disclosed value{'s are those' if count > 1 else ' is the one'} that the entries commit to"
    )


def claims(bundle: Bundle) -> str:
    """Compare what the producer says of the run, in the statement and in the report, with what the entries say."""
    bundle.view = view = RunView(bundle.run, bundle.records)
    bundle.findings = audit_run(view)
    told = [
        name
        for name, value in worked_out(view, bundle.findings).items()
        if canonical_form(bundle.predicate.get(name)) != canonical_form(value)
    ]
    if told or not _is_our_report(bundle, view):
        what = f"what the statement says of {' and '.join(told)}" if told else REPORT
        if bundle.predicate.get("producer") != producer():
            return f"{what} is worded otherwise by this version than by the one that made the bundle"
        raise Stop(Code.INCOMPLETE, f"{what} is not what the entries say", _OWN_REPORT)
    return f"the statement and {REPORT} say what the entries say"


def _is_our_report(bundle: Bundle, view: RunView) -> bool:
    log, note = bundle.logs[0], bundle.checkpoints[0]
    stamp = bundle.files.get(timestamp_path(log.name, log.size), b"")
    if stamp and find_spec("rfc3161_client") is None:
        return True  # it says when the checkpoint was stamped, which can't be read here
    stamped = stamped_at(stamp) if stamp else ""
    evidence = Evidence(
        note, bundle.bundle_key, stamped, log.known, by_place(bundle.disclosed), bundle.statements
    )
    return render_report(view, bundle.findings, evidence).encode() == bundle.files[REPORT]


def completeness(bundle: Bundle) -> str:
    """See whether anything is missing."""
    bundle.view = bundle.view or RunView(bundle.run, bundle.records)
    state = bundle.view.completeness
    text = "; ".join([state.verdict.value, *(reason.text for reason in state.reasons)])
    claimed = string(mapping(bundle.predicate, "completeness"), "verdict")
    if claimed != state.verdict.value:
        text += f" (the producer claimed {claimed or 'nothing'})"
    if not state.complete:
        raise Stop(Code.INCOMPLETE, text, _ADVICE[state.verdict])
    return text
