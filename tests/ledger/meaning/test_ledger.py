# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import sqlite3
import stat
import threading
from dataclasses import replace

import pytest

from runrecord.ledger.completeness import Verdict
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.errors import LedgerCorrupt
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.run_index import RunIndexError
from runrecord.ledger.unknown_run import UnknownRun
from runrecord.ledger.values import wrap


def test_a_run_comes_back_from_the_leaves(ledger, refund):
    entries = refund().entries
    results = ledger.append_entries(entries)
    assert [r.index for r in results] == list(range(len(entries)))
    view = ledger.run("run-0001")
    assert sorted(r.index for r in view.records) == list(range(len(entries)))
    assert {r.entry.leaf() for r in view.records} == {e.leaf() for e in entries}
    assert view.completeness.verdict is Verdict.COMPLETE


def test_sent_again_gives_the_old_index(ledger, refund):
    entries = refund().entries
    first = ledger.append_entries(entries)
    again = ledger.append_entries(entries)
    assert [r.index for r in again] == [r.index for r in first]
    assert {r.status for r in again} == {"duplicate"}
    assert ledger.log.size == len(entries)


def test_a_changed_record_is_logged_as_a_conflict(ledger, refund):
    entries = refund().entries
    ledger.append_entries(entries)
    changed = replace(entries[1], name="execute_tool something_else")
    (result,) = ledger.append_entries([changed])
    assert result.status == "conflict"
    (again,) = ledger.append_entries([changed])
    assert again.index == result.index
    view = ledger.run("run-0001")
    assert view.completeness.verdict is Verdict.CONFLICTS
    (reason,) = [r for r in view.completeness.reasons if r.verdict is Verdict.CONFLICTS]
    assert reason.indices == (1, result.index)


def test_the_key_index_can_be_rebuilt_from_the_leaves(tmp_path, refund):
    entries = refund().entries
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.append_entries(entries)
        (conflict,) = ledger.append_entries([replace(entries[1], name="execute_tool something_else")])
    for file in (tmp_path / ".state").glob("*.sqlite*"):
        file.unlink()
    with Ledger(tmp_path) as ledger:
        assert {r.status for r in ledger.append_entries(entries)} == {"duplicate"}
        (again,) = ledger.append_entries([replace(entries[1], name="execute_tool something_else")])
        assert again.index == conflict.index
        assert [s.run for s in ledger.runs()] == ["run-0001"]


def test_runs_are_listed_newest_first(ledger, refund, build):
    ledger.append_entries(refund("run-0001").entries)
    later = build("run-0002")
    later.clock += 10**12
    later.begin()
    ledger.append_entries([later.step(0)])
    summaries = ledger.runs()
    assert [(s.run, s.outcome) for s in summaries] == [("run-0002", "open"), ("run-0001", "success")]
    assert summaries[1].agent == "refund-agent"
    assert [s.run for s in ledger.runs(since=later.clock)] == ["run-0002"]
    assert len(ledger.runs(limit=1)) == 1


def test_a_prefix_names_a_run_and_an_unknown_one_gets_the_nearest(ledger, refund):
    ledger.append_entries(refund("run-0001").entries + refund("other-77").entries)
    assert ledger.run("oth").run == "other-77"
    ledger.append_entries(refund("run-0002").entries)
    with pytest.raises(UnknownRun, match="more than one run"):
        ledger.run("run-")
    with pytest.raises(UnknownRun, match="no run") as error:
        ledger.run("run-0003")
    assert error.value.nearest[:2] in (("run-0002", "run-0001"), ("run-0001", "run-0002"))


def test_an_empty_ledger_says_so(ledger):
    assert ledger.runs() == []
    with pytest.raises(UnknownRun, match="no run"):
        ledger.run("x")


def test_a_reader_sees_what_the_checkpoint_covers_while_another_writes(tmp_path, refund):
    with Ledger(tmp_path, origin="example.com/test", checkpoint_interval=None) as writer:
        writer.append_entries(refund("run-0001").entries)
        writer.publish()
        writer.append_entries(refund("run-0002").entries)
        with Ledger(tmp_path, read_only=True) as reader:
            assert [s.run for s in reader.runs()] == ["run-0001"]
            writer.publish()
            reader.refresh()
            assert {s.run for s in reader.runs()} == {"run-0001", "run-0002"}


def test_a_read_only_directory_can_be_read(tmp_path, refund):
    directory = tmp_path / "ledger"
    with Ledger(directory, origin="example.com/test") as writer:
        writer.append_entries(refund().entries)
    index = directory / ".state" / "index.sqlite"
    index.write_bytes(b"damaged")
    modes = {p: stat.S_IMODE(p.stat().st_mode) for p in [directory, *directory.rglob("*")]}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        with Ledger(directory, read_only=True) as reader:
            assert reader.run("run").completeness.verdict is Verdict.COMPLETE
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def test_a_damaged_index_is_made_anew(tmp_path, refund):
    with Ledger(tmp_path, origin="example.com/test") as writer:
        writer.append_entries(refund().entries)
    (tmp_path / ".state" / "index.sqlite").write_bytes(b"x" * 5000)
    with Ledger(tmp_path) as ledger:
        assert [s.run for s in ledger.runs()] == ["run-0001"]
        ledger.rebuild_index()
        assert [s.entries for s in ledger.runs()] == [len(refund().entries)]


def test_an_index_that_is_behind_or_ahead_of_the_log_is_brought_up_to_date(tmp_path, refund):
    index = tmp_path / "a" / ".state" / "index.sqlite"
    with Ledger(tmp_path / "a", origin="example.com/test") as ledger:
        ledger.append_entries(refund("run-0001").entries)
    behind = index.read_bytes()
    with Ledger(tmp_path / "a") as ledger:
        ledger.append_entries(refund("run-0002").entries)
    ahead = index.read_bytes()
    index.write_bytes(behind)
    with Ledger(tmp_path / "a", read_only=True) as ledger:
        assert {s.run for s in ledger.runs()} == {"run-0001", "run-0002"}
    with Ledger(tmp_path / "b", origin="example.com/test") as ledger:
        ledger.append_entries(refund("run-0001").entries)
    (tmp_path / "b" / ".state" / "index.sqlite").write_bytes(ahead)
    for read_only in (True, False):
        with Ledger(tmp_path / "b", read_only=read_only) as ledger:
            assert [s.run for s in ledger.runs()] == ["run-0001"]


def test_an_index_of_another_log_is_not_believed(tmp_path, refund):
    for name, run in (("a", "run-0001"), ("b", "run-0002")):
        with Ledger(tmp_path / name, origin=f"example.com/{name}") as ledger:
            ledger.append_entries(refund(run).entries)
    other = (tmp_path / "a" / ".state" / "index.sqlite").read_bytes()
    (tmp_path / "b" / ".state" / "index.sqlite").write_bytes(other)
    with Ledger(tmp_path / "b", read_only=True) as ledger:
        assert [s.run for s in ledger.runs()] == ["run-0002"]


def hide(directory, run, under):
    """Have the index name the entries of one run after another."""
    index = sqlite3.connect(directory / ".state" / "index.sqlite")
    with index:
        index.execute(
            "UPDATE entries SET number = (SELECT number FROM runs WHERE run = ?) "
            "WHERE number = (SELECT number FROM runs WHERE run = ?)",
            (under, run),
        )
    index.close()


def test_a_run_that_the_index_hides_is_found_in_the_entries(tmp_path, refund):
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.append_entries(refund("run-0001").entries + refund("run-0002").entries)
    hide(tmp_path, "run-0001", "run-0002")
    with Ledger(tmp_path, read_only=True) as ledger:
        assert len(ledger.run("run-0001").records) == len(refund().entries)
    with Ledger(tmp_path, read_only=True) as ledger:
        assert len(ledger.run("run-0002").records) == len(
            refund().entries
        )  # it names entries that are not of this run
        with pytest.raises(UnknownRun):
            ledger.run("run-0003")


def test_a_scan_finds_single_entries_that_the_index_hides(tmp_path, refund):
    b = refund("run-0001")
    gap = Entry(kind=Kind.GAP, run=b.run, detail={"reason": "queue_full"})
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.append_entries([*b.entries, gap])
    index = sqlite3.connect(tmp_path / ".state" / "index.sqlite")
    with index:
        index.execute("UPDATE entries SET number = -1 WHERE idx = ?", (len(b.entries),))
    index.close()
    with Ledger(tmp_path, read_only=True) as ledger:
        ledger.rebuild_index()
        assert ledger.run("run-0001").completeness.verdict is Verdict.GAPS


def test_threads_that_append_at_once_leave_a_whole_index(tmp_path, refund):
    runs = [f"run-{number:04d}" for number in range(12)]
    with Ledger(tmp_path, origin="example.com/test") as ledger:

        def work(own):
            for run in own:
                for entry in refund(run).entries:
                    ledger.append_entries([entry])

        threads = [threading.Thread(target=work, args=(runs[i::4],)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {s.run: s.entries for s in ledger.runs()} == dict.fromkeys(runs, 11)
        assert all(ledger.run(run).completeness.complete for run in runs)
    with Ledger(tmp_path, read_only=True) as ledger:
        assert len(ledger.runs()) == len(runs)


def test_leaves_that_are_no_entries_are_kept_and_skipped(tmp_path, refund):
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.log.append(
            [(b"k1", b"not json"), (b"k2", b'{"schema":"other/v9","run":"x"}'), (b"k3", b"[" * 60000)]
        )
        ledger.append_entries(refund().entries)
        ledger.rebuild_index()
        assert [s.run for s in ledger.runs()] == ["run-0001"]


def test_wild_times_and_names_are_indexed(ledger, build):
    b = build("100%_\\x")
    b.add("step", "x", start=2**64 - 1, end=2**64 - 1)
    b.add("step", "x", start=0, end=0)
    ledger.append_entries(b.entries)
    assert ledger.run("100%").run == "100%_\\x"
    with pytest.raises(UnknownRun):
        ledger.run("1000")
    with pytest.raises(UnknownRun):
        ledger.run("")


def test_an_index_that_can_not_be_written_loses_no_entry(tmp_path, refund, caplog):
    entries = refund().entries
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.append_entries(entries[:3])
        ledger.publish()
        blocker = sqlite3.connect(tmp_path / ".state" / "index.sqlite", isolation_level=None)
        ledger._index.index._connection.execute("PRAGMA busy_timeout = 1")
        blocker.execute("BEGIN EXCLUSIVE")
        assert [r.status for r in ledger.append_entries(entries[3:])] == ["new"] * (len(entries) - 3)
        ledger.publish()
        assert "is behind" in caplog.text
        with pytest.raises(RunIndexError):
            ledger.runs()
        blocker.execute("ROLLBACK")
        blocker.close()
        assert [s.entries for s in ledger.runs()] == [len(entries)]


def test_rows_wait_in_memory_until_somebody_needs_them(tmp_path, refund):
    entries = [each for number in range(30) for each in refund(f"run-{number:04d}").entries]

    def written():
        with contextlib.closing(sqlite3.connect(tmp_path / ".state" / "index.sqlite")) as index:
            return index.execute("SELECT COUNT(*) FROM entries").fetchone()[0]

    with Ledger(tmp_path, origin="example.com/test", checkpoint_interval=None) as ledger:
        for each in entries[:255]:
            ledger.append_entries([each])
        assert written() == 0
        ledger.append_entries([entries[255]])
        assert written() == 256
        ledger.append_entries([entries[256]])
        ledger.publish()
        assert written() == 257
        ledger.append_entries([entries[257]])
        assert len(ledger.run("run-0023").records) == 5
        assert written() == 258
        ledger.append_entries(entries[258:300])
    assert written() == 300


def test_an_index_that_can_not_be_opened_gives_the_directory_up(tmp_path, refund):
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.append_entries(refund().entries)
        assert "run-0001" not in repr(ledger)
        assert not ledger.read_only
    index = tmp_path / ".state" / "index.sqlite"
    index.unlink()
    index.mkdir()
    with pytest.raises(RunIndexError, match="can't use the run index"):
        Ledger(tmp_path)
    with Ledger(tmp_path, read_only=True) as reader:
        assert [s.run for s in reader.runs()] == ["run-0001"]
    index.rmdir()
    Ledger(tmp_path).close()  # the lock was given up


def test_a_reader_survives_an_index_that_is_damaged_deep_inside(tmp_path, refund):
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        for number in range(40):
            ledger.append_entries(refund(f"run-{number:04d}").entries)
    index = tmp_path / ".state" / "index.sqlite"
    data = bytearray(index.read_bytes())
    page = int.from_bytes(data[16:18], "big")
    for start in range(3 * page, len(data), page):
        data[start : start + 200] = b"\xff" * 200
    index.write_bytes(data)
    with Ledger(tmp_path, read_only=True) as reader:
        assert len(reader.runs()) == 40
        assert reader.run("run-0017").completeness.complete
        reader.rebuild_index()
        assert len(reader.runs()) == 40


def test_odd_text_and_numbers_are_indexed_as_the_leaf_has_them(ledger):
    huge = {"runrecord.run.segment": wrap(2**70), "runrecord.run.outcome": "x\udfff"}
    ledger.append_entries(
        [Entry(kind="run_close", run="a\ud800", trace_id="ab" * 16, span_id="ab" * 8, attributes=huge)]
    )
    ledger.log.append(
        [
            (
                b"k",
                b'{"schema":"runrecord.ledger.entry/v1","kind":"run_close","start":"1","end":"1","attributes":[]}',
            )
        ]
    )
    (summary,) = ledger.runs()
    assert (summary.run, summary.outcome) == ("a\ufffd", "x\ufffd")
    ledger.rebuild_index()
    assert ledger.runs() == [summary]
    assert ledger.run("a\ufffd").run == "a\ufffd"


@pytest.mark.parametrize(
    "lie",
    [
        "UPDATE runs SET outcome = 'failure', final = 'failure'",
        "UPDATE runs SET agent = 'somebody-else'",
        "UPDATE runs SET spend = 5, money = '[{}, {\"USD\": 5}]'",
        'UPDATE runs SET "end" = "end" + 1000000000000',
        "UPDATE entries SET number = 11 WHERE number = 0 AND idx > 3",
        "UPDATE runs SET run = 'run-0003' WHERE run = 'run-0001'",
        "DELETE FROM runs WHERE run = 'run-0001'",
        "DELETE FROM entries WHERE number = 0",
        "DELETE FROM entries WHERE idx = 2",
        "UPDATE meta SET value = '7' WHERE name = 'size'",
        "DELETE FROM meta WHERE name = 'size'",
        "UPDATE meta SET value = 'x' WHERE name = 'size'",
    ],
)
def test_a_reader_goes_by_the_leaves_where_the_index_lies(tmp_path, refund, lie):
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.append_entries(refund("run-0001").entries + refund("run-0002").entries)
        truth = ledger.runs()
    with contextlib.closing(sqlite3.connect(tmp_path / ".state" / "index.sqlite")) as index, index:
        assert index.execute(lie).rowcount > 0
    with Ledger(tmp_path, read_only=True) as reader:
        assert reader.runs() == truth
        assert {len(reader.run(summary.run).records) for summary in truth} == {11}
    with Ledger(tmp_path, read_only=True) as reader:
        assert len(reader.run("run-0002").records) == 11


def test_a_changed_leaf_is_neither_listed_nor_shown(tmp_path, refund):
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.append_entries(refund("run-0001").entries)
    bundle = tmp_path / "tile" / "entries" / "000.p" / "11"
    bundle.write_bytes(bundle.read_bytes().replace(b'"success"', b'"failure"'))
    with Ledger(tmp_path, read_only=True) as reader:
        for ask in (reader.runs, lambda: reader.run("run-0001"), reader.rebuild_index):
            with pytest.raises(LedgerCorrupt, match=r"000\.p/11 .* entry 10 "):
                ask()
