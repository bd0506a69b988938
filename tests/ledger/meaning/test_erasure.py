# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Erasures: the log says so first, the key is gone after any crash, everything else stays provable."""

from __future__ import annotations

import gc
import json
import os
from dataclasses import replace

import pytest

from runrecord.ledger import fsck
from runrecord.ledger import run_keys as files
from runrecord.ledger.audit import Severity, audit_run
from runrecord.ledger.bundle import build_bundle
from runrecord.ledger.completeness import Verdict
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.erasure import (
    LABEL_SUBJECT,
    MAX_TARGETS,
    ErasureRefused,
    Target,
    encode_targets,
    erase,
    erasure_of,
    keep_for_days,
    kept_days,
    refusal,
)
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.legal_hold import RunHeld, change
from runrecord.ledger.narrate import stated
from runrecord.ledger.opening import attribute_label, opens, without_content
from runrecord.ledger.records import Record
from runrecord.ledger.run_keys import RunKeys
from runrecord.ledger.runs import RunView
from runrecord.ledger.subjects import find_subject
from runrecord.ledger.unknown_run import UnknownRun
from runrecord.ledger.verification import Code
from runrecord.ledger.verify import verify_bundle
from runrecord.semconv.commitment import TenantKey

KEY = TenantKey(b"k" * 32)
DAY = 86_400 * 1_000_000_000
ASKED = {
    "scope": "run",
    "legal_basis": "GDPR Art. 17, request 31",
    "actor": "grace",
    "time": "1800000000000000000",
}


def asking(*runs, **changes):
    return {**ASKED, "targets": encode_targets([Target(run) for run in runs]), **changes}


def committed(ledger, entry, **content):
    """The entry as the projection makes it: with commitments under the ledger's key of the run."""
    key = RunKeys(ledger.run_secrets, KEY).key(entry.tenant, entry.run)
    if key is None:
        return without_content(replace(entry, commitments=dict.fromkeys(content, "hmac-sha256:" + "00" * 32)))
    found = {
        name.replace("__", "."): key.commit(
            attribute_label(entry.trace_id, entry.span_id, name.replace("__", ".")), value
        )
        for name, value in content.items()
    }
    return replace(entry, commitments=found)


@pytest.fixture
def filled(ledger, refund):
    """A ledger with two runs; the user of the first is Ada, that of the second Bob."""
    for run, who in (("run-ada", "ada"), ("run-bob", "bob")):
        entries = [committed(ledger, replace(e, run=run), user__id=who) for e in refund(run).entries]
        ledger.append_entries(entries)
    ledger.publish()
    return ledger


@pytest.fixture
def in_child():
    """Run a function in a forked child, which ends without any clean-up; return its exit status."""

    def run(work):
        child = os.fork()
        if child == 0:
            gc.disable()
            try:
                work()
            finally:
                os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return run


def key_of(ledger, run, tenant=""):
    return RunKeys(ledger.run_secrets, KEY).key(tenant, run)


# --- one run ------------------------------------------------------------------------------------------------------


def test_an_erased_run_can_be_proved_and_not_opened(filled):
    before = filled.records_of("run-ada")
    key = key_of(filled, "run-ada")
    assert opens(key, before[0].entry, "user.id", "ada")
    done = erase(filled, asking("run-ada"))
    [(run, index)] = json.loads(done["erased"]).items()
    assert (run, done["refused"]) == ("run-ada", "{}")
    assert key_of(filled, "run-ada") is None
    assert key_of(filled, "run-bob") is not None
    records = filled.records_of("run-ada")
    assert records[:-1] == before
    statement = erasure_of(records)
    assert (statement.index, statement.entry.detail) == (
        index,
        {"actor": "grace", "legal_basis": "GDPR Art. 17, request 31", "scope": "run"},
    )
    assert stated(statement).startswith("ERASED: all content recorded of the run, by grace at 2027-")
    view = filled.run("run-ada")
    assert view.completeness.verdict is filled.run("run-bob").completeness.verdict is Verdict.COMPLETE
    assert audit_run(view) == audit_run(filled.run("run-bob")) == []
    result = verify_bundle(build_bundle(filled, "run-ada"), first_use=True)
    assert (result.code, index in {each.index for each in result.view.records}) == (Code.COMPLETE, True)
    filled.close()
    assert fsck(filled.path).ok


def test_what_came_after_the_erasure_can_not_be_judged_and_breaks_no_rule(refund):
    entries = refund("run-ada").entries
    view = RunView(
        "run-ada",
        [Record(n, without_content(e) if e.kind == Kind.TOOL_RESULT else e) for n, e in enumerate(entries)],
    )
    assert view.completeness.verdict is Verdict.COMPLETE
    [finding] = audit_run(view)
    assert (finding.rule, finding.severity) == ("approved-is-what-ran", Severity.NOTICE)
    assert "was erased before its arguments could be compared" in finding.text


def test_to_ask_again_changes_nothing_and_to_erase_again_is_refused(filled):
    done = erase(filled, asking("run-ada"))
    size = filled.log.size
    assert erase(filled, asking("run-ada")) == done
    assert filled.log.size == size
    with pytest.raises(ErasureRefused, match="erased already"):
        erase(filled, asking("run-ada", time="1800000000000000001"))
    done = erase(filled, asking("run-ada", "run-bob", time="1800000000000000001"))
    assert list(json.loads(done["erased"])) == ["run-bob"]
    assert "erased already" in json.loads(done["refused"])["run-ada"]


def test_the_parts_of_several_tenants_are_erased(ledger):
    entries = [
        Entry(Kind.STEP, run="run-1", tenant=tenant, trace_id="ab" * 16, span_id=f"{n:016x}")
        for n, tenant in enumerate(("a", "b"), 1)
    ]
    ledger.append_entries(
        [*entries, Entry(Kind.RUN_ABANDONED, run="run-1")]
    )  # the ledger's own has no tenant
    erase(ledger, asking("run-1"))
    assert [key_of(ledger, "run-1", tenant) for tenant in ("a", "b")] == [None, None]
    assert key_of(ledger, "run-1", "c") is not None
    assert [erasure_of(ledger.records_of("run-1"), tenant).index for tenant in ("a", "b")] == [3, 4]
    assert erasure_of(ledger.records_of("run-1"), "") is None
    ledger.append_entries([replace(entries[0], tenant="c", span_id=f"{3:016x}")])
    assert refusal(ledger, "run-1", 0) is None  # a part of it came later
    erase(ledger, asking("run-1", time="1800000000000000001"))
    assert key_of(ledger, "run-1", "c") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"legal_basis": " "}, "needs a legal basis"),
        ({"actor": ""}, "needs an actor"),
        ({"legal_basis": "x" * 1001}, "1 to 1000 characters"),
        ({"scope": "all"}, "of runs or of a subject"),
        ({"targets": "[]"}, "names 1 to"),
        ({"targets": "{"}, "names 1 to"),
        ({"targets": '[{"run": "run-ada"}]'}, "names 1 to"),
        ({"targets": encode_targets([Target("run-ada", "ada@example.org")])}, "only as a commitment"),
        ({"targets": encode_targets([Target("run-ada")] * (MAX_TARGETS + 1))}, "names 1 to"),
    ],
)
def test_a_request_that_is_not_complete_changes_nothing(filled, changes, message):
    size = filled.log.size
    with pytest.raises(LedgerError, match=message):
        erase(filled, asking("run-ada", **changes))
    assert (filled.log.size, key_of(filled, "run-ada") is None) == (size, False)


def test_a_run_that_is_not_there_is_refused(filled):
    with pytest.raises(UnknownRun, match="there is no run 'run-a'"):
        erase(filled, asking("run-a"))


def test_a_held_run_is_not_erased(filled):
    hold = {"run": "run-ada", "action": "placed", "reason": "case 7", "actor": "ada", "time": "1"}
    change(filled, hold)
    with pytest.raises(RunHeld, match="legal hold"):
        erase(filled, asking("run-ada"))
    done = erase(filled, asking("run-ada", "run-bob"))
    assert list(json.loads(done["erased"])) == ["run-bob"]
    assert "legal hold" in json.loads(done["refused"])["run-ada"]
    change(filled, {**hold, "action": "released", "time": "2"})
    erase(filled, asking("run-ada"))
    assert key_of(filled, "run-ada") is None


def test_a_ledger_that_keeps_content_erases_nothing_before(filled):
    end = max(record.entry.end for record in filled.records_of("run-ada"))
    assert kept_days(filled) == 0
    keep_for_days(filled, 20_000)
    assert isinstance(refusal(filled, "run-ada", end + 20_000 * DAY - 1), ErasureRefused)
    assert refusal(filled, "run-ada", end + 20_000 * DAY) is None
    with pytest.raises(
        ErasureRefused, match=r"can't be erased before 20.*keeps the content of each run for 20000 days"
    ):
        erase(filled, asking("run-ada", time=str(end + 30_000 * DAY)))  # a claim of the time does not help
    keep_for_days(filled, 1)
    erase(filled, asking("run-ada"))
    for days in (-1, 40_000):
        with pytest.raises(LedgerError, match="can't be kept"):
            keep_for_days(filled, days)
    filled.log.keep(".state/erasure-after-days", b"soon")
    assert "does not hold a number" in refusal(filled, "run-bob", end).message


# --- a person -----------------------------------------------------------------------------------------------------


def test_a_person_is_found_by_trying(filled):
    keys = RunKeys(filled.run_secrets, KEY)
    seen = []
    found = find_subject(
        filled, keys, lambda _: ["ada"], progress=lambda done, size: seen.append((done, size))
    )
    assert list(found) == ["run-ada"]
    assert found["run-ada"].committed == [r.index for r in filled.records_of("run-ada")]
    assert seen[-1] == (filled.log.size, filled.log.size)
    assert not find_subject(filled, keys, lambda _: ["ada"], attributes=["user.email"])
    assert not find_subject(filled, keys, lambda _: ["ada"], since=filled.log.size)
    assert not find_subject(filled, keys, lambda _: ["grace", ""])
    erase(filled, asking("run-ada"))
    assert not find_subject(filled, keys, lambda _: ["ada"])


def test_numbers_pseudonyms_of_a_tenant_and_names_in_clear_are_found(ledger):
    blank = Entry(Kind.STEP, run="run-1", trace_id="ab" * 16, span_id="01" * 8, tenant="t")
    entries = [
        committed(ledger, blank, user__id={"intValue": "42"}),
        committed(ledger, replace(blank, run="run-2", tenant="t"), enduser__id="[USER:t]"),
        committed(ledger, replace(blank, run="run-3", tenant="u"), enduser__id="[USER:t]"),
        replace(blank, run="run-4", attributes={"runrecord.principal.ref": "42"}),
    ]
    ledger.append_entries(entries)
    keys = RunKeys(ledger.run_secrets, KEY)
    found = find_subject(ledger, keys, lambda tenant: ["42", f"[USER:{tenant}]"])
    assert {run: (len(each.committed), each.clear) for run, each in found.items()} == {
        "run-1": (1, []),
        "run-2": (1, []),
        "run-4": (0, [3]),
    }


def test_the_entry_names_a_person_only_as_a_commitment(filled):
    subject = KEY.run_key("run-ada").commit(LABEL_SUBJECT, "ada")
    targets = encode_targets([Target("run-ada", subject)])
    erase(filled, asking(scope="subject", targets=targets))
    entry = erasure_of(filled.records_of("run-ada")).entry
    assert entry.detail["subject"] == subject
    assert "wish of a person" in stated(filled.records_of("run-ada")[-1])


# --- crashes ------------------------------------------------------------------------------------------------------


def _die(*_, **__):
    os._exit(7)


POINTS = {
    "before the entry": (Ledger, "append_entries", "before"),
    "after the entry": (Ledger, "append_entries", "after"),
    "before the checkpoint": (Ledger, "publish", "before"),
    "after the checkpoint": (Ledger, "publish", "after"),
    "before the file": (files, "_replace", "before"),
    "when the file is replaced": (files, "write_all", "before"),
    "after the file": (files, "_replace", "after"),
    "before the rest": (Ledger, "apply_erasures", "before"),
    "after the rest": (Ledger, "apply_erasures", "after"),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_between_any_two_steps_is_repaired_by_the_next_start(filled, in_child, monkeypatch, point):
    path, size = filled.path, filled.log.size
    filled.close()
    place, name, when = POINTS[point]

    def work():
        ledger = Ledger(path, checkpoint_interval=None)
        whole = getattr(place, name)

        def dying(*arguments, **options):
            if when == "after":
                whole(*arguments, **options)
            _die()

        monkeypatch.setattr(place, name, dying)
        erase(ledger, asking("run-ada"))

    assert in_child(work) == 7
    with Ledger(path, checkpoint_interval=None) as ledger:
        is_stated = ledger.log.size > size
        assert is_stated is (point != "before the entry")
        assert (key_of(ledger, "run-ada") is None) is is_stated  # before anybody asks again
        done = erase(ledger, asking("run-ada"))
        assert ledger.log.size == size + 1
        assert json.loads(done["erased"]) == {"run-ada": size}
        assert key_of(ledger, "run-ada") is None
        assert key_of(ledger, "run-bob") is not None
    assert fsck(path).ok


def test_an_old_file_of_keys_is_punctured_again(filled):
    path = filled.path / ".state" / "run.keys"
    before = path.read_bytes()
    erase(filled, asking("run-ada"))
    filled.close()
    path.write_bytes(before)  # a backup
    with Ledger(filled.path) as ledger:
        assert key_of(ledger, "run-ada") is None
    with Ledger(filled.path, read_only=True) as reader:
        assert key_of(reader, "run-ada") is None


def test_without_the_keys_nothing_is_promised(filled):
    size = filled.log.size
    path = filled.path
    filled.close()
    (path / ".state" / "run.keys").rename(path / "elsewhere")
    with Ledger(path) as ledger, pytest.raises(LedgerError, match="are not in"):
        erase(ledger, asking("run-ada"))
    with Ledger(path, read_only=True) as ledger:
        assert ledger.log.size == size
