# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The vault: what entries commit to can be opened, by nobody else, until its time is over or its run is erased."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.ledger import vault as module
from runrecord.ledger.entry import Entry, Kind, conflict_leaf
from runrecord.ledger.erasure import Target, encode_targets, erase, settle
from runrecord.ledger.errors import LedgerCorrupt, LedgerError
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.legal_hold import change
from runrecord.ledger.opening import attribute_label
from runrecord.ledger.run_keys import RunKeys
from runrecord.ledger.vault import Content, Vault, VaultNames, expire, state_vault, vault_of
from runrecord.ledger.vault_objects import open_objects
from runrecord.semconv.commitment import RunKey, TenantKey

KEY = TenantKey(b"k" * 32)
DAY = 86_400
NAME = "gen_ai.tool.call.arguments"
VALUE = '{"amount": 5, "to": "Ada"}'
ASKED = {"scope": "run", "legal_basis": "GDPR Art. 17", "actor": "grace", "time": "1"}


@pytest.fixture
def place(tmp_path):
    return tmp_path / "vault"


@pytest.fixture
def vault(ledger, place) -> Vault:
    state_vault(ledger, str(place))
    found = vault_of(ledger, KEY)
    assert found is not None
    return found


def content(ledger, number=1, run="run-1", kind=Kind.STEP, **values) -> Content:
    key = RunKeys(ledger.run_secrets, KEY).key("", run)
    values = values or {NAME: VALUE}
    blank = Entry(kind, run=run, trace_id="ab" * 16, span_id=f"{number:016x}")
    found = {
        name: key.commit(attribute_label(blank.trace_id, blank.span_id, name), v)
        for name, v in values.items()
    }
    return Content(replace(blank, commitments=found), key, values)


def kept(ledger, vault, *contents):
    vault.keep(contents)
    ledger.append_entries([each.entry for each in contents])


def files(place):
    return sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file())


def test_what_was_kept_is_opened_and_nobody_sees_it(ledger, vault, place):
    one, two = content(ledger), content(ledger, 2, run="run-2")
    kept(ledger, vault, one, two)
    assert vault.open(one.entry) == {NAME: VALUE}
    assert vault.open(content(ledger, 3).entry) == {}
    again = vault_of(ledger, KEY)
    assert again.open(Entry.parse(ledger.log.leaf(0))) == {NAME: VALUE}
    stored = b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())
    names = " ".join(files(place))
    for needle in ("Ada", "amount", NAME, "run-1", one.entry.span_id):
        assert needle.encode() not in stored
        assert needle not in names
    assert {path.stat().st_mode & 0o077 for path in place.rglob("*") if path.is_file()} == {0}
    assert len({name.split("/")[1] for name in files(place)}) == 2
    with pytest.raises(LedgerCorrupt):
        vault_of(ledger, TenantKey(b"o" * 32)).open(one.entry)
    assert "hidden" in repr(VaultNames(ledger.run_secrets))


def test_a_retry_changes_no_byte_and_overwrites_nothing(ledger, vault, place):
    one = content(ledger)
    vault.keep([one])
    (name,) = files(place)
    before = (place / name).read_bytes(), (place / name).stat().st_mtime_ns
    vault.keep([one])
    assert ((place / name).read_bytes(), (place / name).stat().st_mtime_ns) == before
    (place / name).unlink()
    vault.keep([one])
    assert (place / name).read_bytes() == before[0]


def test_both_versions_of_a_conflict_are_kept(ledger, vault):
    one = content(ledger)
    other = content(ledger, **{NAME: "another"})
    kept(ledger, vault, one)
    kept(ledger, vault, other)
    conflict = Entry.parse(ledger.log.leaf(1))
    assert conflict == Entry.parse(conflict_leaf(b"", 0, other.entry.leaf()))
    assert vault.open(one.entry) == {NAME: VALUE}
    assert vault.open(conflict) == {NAME: "another"}


def test_an_object_that_was_changed_or_moved_is_not_believed(ledger, vault, place):
    one, two = content(ledger), content(ledger, 2)
    kept(ledger, vault, one, two)
    first, second = (place / name for name in files(place))
    data = first.read_bytes()
    shutil.copy(second, first)
    for each in (one, two):
        if first.name in vault._names.entry(each.entry):
            with pytest.raises(LedgerCorrupt, match="not what the entry commits to"):
                vault.open(each.entry)
    for place_ in range(0, len(data), 11):
        spoiled = bytearray(data)
        spoiled[place_] ^= 1
        first.write_bytes(spoiled)
        with pytest.raises(LedgerCorrupt):
            [vault.open(each.entry) for each in (one, two)]
    for length in (0, 5, 19, 40, len(data) - 1):
        first.write_bytes(data[:length])
        with pytest.raises(LedgerCorrupt):
            [vault.open(each.entry) for each in (one, two)]


def test_a_value_that_is_not_the_committed_one_is_not_shown(ledger, vault):
    one = content(ledger)
    vault.keep([replace(one, values={NAME: "forged"})])
    with pytest.raises(LedgerCorrupt):
        vault.open(one.entry)


def test_the_longest_values_are_left_out_of_an_object_that_gets_too_long(ledger, vault, monkeypatch):
    monkeypatch.setattr(module, "MAX_OBJECT", 100)
    one = content(ledger, short="s", long="x" * 60, longer="y" * 90)
    kept(ledger, vault, one)
    assert vault.open(one.entry) == {"short": "s"}


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5),
        st.one_of(
            st.text(), st.floats(allow_nan=False, allow_infinity=False).map(lambda v: {"doubleValue": v})
        ),
    )
)
def test_any_values_come_back(values):
    key = RunKey(b"r" * 32)
    data = module._seal(key, "step/a/b", values)
    assert module._unseal(key, "step/a/b", data) == values
    assert module._unseal(key, "step/a/c", data) is None
    assert module._unseal(RunKey(b"s" * 32), "step/a/b", data) is None


def test_two_values_never_meet_one_nonce():
    key = RunKey(b"r" * 32)
    nonces = {
        module._seal(key, name, {"v": value})[19:31] for name in ("a/b/c", "a/b/d") for value in ("x", "y")
    }
    assert len(nonces) == 4


def test_an_erasure_empties_the_vault_and_a_copy_stays_unreadable(ledger, vault, place):
    one, two = content(ledger), content(ledger, 2, run="run-2", kind=Kind.TOOL_RESULT)
    kept(ledger, vault, one, two)
    shutil.copytree(place, place.with_name("copy"))
    erase(ledger, {**ASKED, "targets": encode_targets([Target("run-1")])})
    assert [name.split("/")[0] for name in files(place)] == ["tool_result"]
    shutil.rmtree(place)
    shutil.copytree(place.with_name("copy"), place)
    assert (vault.open(one.entry), vault.open(two.entry)) == ({}, {NAME: VALUE})


def test_an_erasure_that_did_not_reach_the_vault_is_finished_later(ledger, vault, place, monkeypatch):
    one = content(ledger)
    kept(ledger, vault, one)
    reach = module.open_objects

    def gone(address):
        raise LedgerError("the vault does not answer")

    monkeypatch.setattr(module, "open_objects", gone)
    asked = {**ASKED, "targets": encode_targets([Target("run-1")])}
    with pytest.raises(LedgerError, match="does not answer"):
        erase(ledger, asked)
    assert (len(files(place)), vault.open(one.entry)) == (1, {})
    monkeypatch.setattr(module, "open_objects", reach)
    ledger.close()
    with Ledger(ledger.path, checkpoint_interval=None) as again:
        assert again.run_secrets
        settle(again)
        assert files(place) == []
        settle(again)
        assert json.loads(erase(again, asked)["erased"]) == {"run-1": 1}


def test_each_kind_is_kept_for_its_time_and_held_runs_longer(ledger, vault, place):
    contents = [
        content(ledger, 1, "run-1", Kind.STEP),
        content(ledger, 2, "run-1", Kind.TOOL_RESULT),
        content(ledger, 3, "run-held", Kind.STEP),
    ]
    kept(ledger, vault, *contents)
    ledger.publish()
    hold = {"run": "run-held", "action": "placed", "reason": "case 7", "actor": "ada", "time": "1"}
    change(ledger, hold)
    now = max((place / name).stat().st_mtime for name in files(place))
    assert expire(ledger, {}, now=now + 100 * DAY) == 0
    assert expire(ledger, {"step": 10}, now=now + 9 * DAY) == 0
    assert expire(ledger, {"step": 10}, now=now + 11 * DAY) == 1
    assert [bool(vault.open(each.entry)) for each in contents] == [False, True, True]
    assert expire(ledger, {"step": 10, "default": 20}, now=now + 21 * DAY) == 1
    change(ledger, {**hold, "action": "released", "time": "2"})
    assert expire(ledger, {"default": 20}, now=now + 21 * DAY) == 1
    assert files(place) == []


def test_without_a_vault_nothing_is_looked_for(ledger):
    assert vault_of(ledger, KEY) is None
    assert expire(ledger, {"default": 1}) == 0
    settle(ledger)
    with pytest.raises(LedgerError, match="s3://"):
        open_objects("http://example.com/vault")
