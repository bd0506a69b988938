# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A log moves between stores: byte for byte, checked, taken up after an interruption; a fork is refused."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from runrecord.ledger import LedgerCorrupt, LedgerError, NoteSigner, RolledBack, SignatureError, fsck
from runrecord.ledger.entry import Entry
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.ledger import key_of as ledger_key
from runrecord.ledger.run_keys import RunKeysError, RunSecrets
from runrecord.ledger.stores import copy as module
from runrecord.ledger.stores.copy import copy_log
from runrecord.ledger.stores.location import open_store


def key_of(leaf):
    return b"key " + leaf.split(b" ")[1]


@pytest.fixture
def source(tmp_path, open_log, items):
    """A directory with a log of 700 entries, some of them published later than others."""
    path = str(tmp_path / "source")
    log = open_log(path)
    for start, end in ((0, 3), (3, 300), (300, 700)):
        log.append(items(start, end))
        log.publish()
    log.close()
    return path


def public(location):
    """The objects of which there is one of each name, whatever was published in between."""
    store = open_store(location)
    names = ("checkpoint", *sorted(store.names("tile/")))
    found = {name: store.read(name) for name in names if ".p/" not in name}
    store.close()
    return found


def test_a_log_goes_to_any_store_and_back(place, source, open_log, items, tmp_path):
    there = copy_log(source, place.location, key_of=key_of)
    assert (there.checkpoint.size, there.written > 3) == (700, True)
    assert public(place.location) == public(source)
    assert copy_log(source, place.location, key_of=key_of).written == 0
    log = open_log(place.location)
    assert {each.status for each in log.append(items(0, 700))} == {"duplicate"}
    assert log.append(items(700, 705))[0].index == 700
    log.close()
    back = str(tmp_path / "back")
    assert copy_log(place.location, back, key_of=key_of).checkpoint.size == 705
    assert fsck(back).ok
    assert public(back) == public(place.location)
    more = copy_log(back, source, key_of=key_of)  # the first has only the beginning
    assert (more.checkpoint.size, more.written) == (705, 2)
    log = open_log(source)
    assert log.append(items(600, 706))[-1].index == 705


def test_a_copy_that_was_killed_is_taken_up(place, source, open_log, items, monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 1)
    child = os.fork() if not place.shared else 0
    if place.shared:  # their clients do not survive a fork: an interrupt, at the same place

        def stop(done, size):
            if done > 300:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            copy_log(source, place.location, key_of=key_of, progress=stop)
    elif child == 0:
        copy_log(
            source,
            place.location,
            key_of=key_of,
            progress=lambda done, size: os.kill(os.getpid(), signal.SIGKILL) if done > 300 else None,
        )
        os._exit(1)
    else:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with pytest.raises(LedgerError):
        open_log(place.location, read_only=True)
    assert not fsck(place.location).ok
    assert copy_log(source, place.location, key_of=key_of).written < 8
    assert public(place.location) == public(source)
    assert open_log(place.location).append(items(699, 701))[-1].index == 700


def test_what_is_kept_beside_the_log_goes_along(place, source):
    (Path(source) / "checkpoint.witnessed").write_bytes(b"cosigned")
    for _ in range(2):
        copy_log(source, place.location, key_of=key_of)
        store = open_store(place.location)
        assert store.read("checkpoint.witnessed") == b"cosigned"
        store.close()


def test_a_fork_is_refused_and_left_as_it_is(place, source, open_log, items):
    log = open_log(place.location)
    log.append(items(500, 600))
    log.close()
    before = place.objects()
    with pytest.raises(RolledBack, match="contradict each other"):
        copy_log(source, place.location, key_of=key_of)
    assert place.objects() == before


def test_entries_that_only_the_target_has_are_not_lost(place, source, open_log, items):
    log = open_log(place.location)
    log.append(items(0, 3))
    log.publish()
    log.append(items(900, 902))
    log._publisher.publish = lambda: None
    log.close()
    with pytest.raises(RolledBack, match="entries that no checkpoint covers"):
        copy_log(source, place.location, key_of=key_of)
    log = open_log(place.location)
    assert log.size == 5


def test_a_longer_target_another_log_and_another_key_are_refused(source, open_log, items, tmp_path):
    longer = str(tmp_path / "longer")
    copy_log(source, longer, key_of=key_of)
    log = open_log(longer)
    log.append(items(700, 701))
    log.close()
    with pytest.raises(RolledBack, match="of size 701, which does not go with"):
        copy_log(source, longer, key_of=key_of)
    other = str(tmp_path / "other")
    open_log(other, signer=NoteSigner("example.com/other", bytes(32))).close()
    with pytest.raises(SignatureError):
        copy_log(source, other, key_of=key_of)
    with pytest.raises(LedgerError, match="there is no ledger in"):
        copy_log(str(tmp_path / "nothing"), other)


def test_a_source_that_is_not_what_was_signed_is_not_copied(source, tmp_path):
    bundle = Path(source) / "tile" / "entries" / "001"
    bundle.write_bytes(bundle.read_bytes().replace(b"leaf 300 ", b"leaf 30X "))
    with pytest.raises(LedgerCorrupt, match="entry 300 "):
        copy_log(source, str(tmp_path / "target"), key_of=key_of)
    assert not (tmp_path / "target" / "checkpoint").exists()


def test_a_target_that_is_being_written_is_refused(source, open_log, tmp_path):
    busy = open_log(str(tmp_path / "busy"))
    with pytest.raises(LedgerError, match="by process"):
        copy_log(source, str(busy.path), key_of=key_of)


def test_private_keys_go_along_only_when_told_to(place, open_log, items, tmp_path):
    path = tmp_path / "own"
    log = open_log(str(path), signer=None, origin="example.com/own")
    log.append(items(0, 3))
    log.close()
    copy_log(str(path), place.location, key_of=key_of)
    state = open_store(place.location).path / ".state"
    assert not (state / "log.key").exists()
    with pytest.raises(LedgerError, match="the private key of the ledger"):
        open_log(place.location, signer=None)
    copy_log(str(path), place.location, key_of=key_of, with_keys=True)
    assert stat.S_IMODE((state / "log.key").stat().st_mode) == 0o600
    log = open_log(place.location, signer=None)
    assert (log.origin, log.append(items(2, 4))[-1].index) == ("example.com/own", 3)


def test_the_run_keys_go_along_only_when_they_are_asked_for(place, tmp_path):
    source = tmp_path / "source"
    with Ledger(source, checkpoint_interval=None) as ledger:
        ledger.append_entries([Entry("gap", detail={"reason": "a test"})])
        secret = ledger.run_secrets.secret("", "run-1")
    copy_log(source, place.location, key_of=ledger_key)
    state = open_store(place.location).path / ".state"
    signer = NoteSigner.parse((source / ".state" / "log.key").read_text())
    with Ledger(place.location, signer=signer) as there, pytest.raises(RunKeysError, match="are not in"):
        assert there.run_secrets  # no others are made, under which nothing would open
    assert not (state / "run.keys").exists()
    copy_log(source, place.location, key_of=ledger_key, with_keys=True)
    assert stat.S_IMODE((state / "run.keys").stat().st_mode) == 0o600
    with Ledger(place.location) as there:
        assert there.run_secrets.secret("", "run-1") == secret
    (state / "run.keys").unlink()
    RunSecrets.make(state / "run.keys")
    with Ledger(place.location) as there, pytest.raises(RunKeysError, match="are not those of the ledger"):
        assert there.run_secrets
