# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A consumer's position: written in place, whole at any moment, and set right when the log does not fit it."""

from __future__ import annotations

import pytest

from runrecord.exporters.intake import IntakeCorrupt, IntakeLog
from runrecord.exporters.intake.cursor import Position, read_cursor, write_cursor
from runrecord.processors.signal import Signal


def fill(directory, count):
    log = IntakeLog(directory, consumers=["a"])
    for number in range(count):
        log.append_sync(Signal.TRACES, str(number).encode())
    log.close()


def test_a_cursor_keeps_its_size_and_its_place_on_the_disk(tmp_path):
    position = write_cursor(tmp_path, "a", 0, None)
    [file] = tmp_path.iterdir()
    made = file.stat()
    for sequence in (1, 7, 123_456_789_012):
        position = write_cursor(tmp_path, "a", sequence, position)
        assert read_cursor(tmp_path, "a") == position
        assert position.next == sequence
    assert (file.stat().st_size, file.stat().st_ino) == (made.st_size, made.st_ino)
    assert [path.name for path in tmp_path.iterdir()] == ["a.cursor"]


def test_a_write_torn_at_any_byte_leaves_the_position_before_it(tmp_path):
    first = write_cursor(tmp_path, "a", 5, None)
    second = write_cursor(tmp_path, "a", 6, first)
    [file] = tmp_path.iterdir()
    before = file.read_bytes()
    write_cursor(tmp_path, "a", 1234, second)
    after = file.read_bytes()
    for cut in range(len(Position(1234, 2).line()) + 1):
        file.write_bytes(after[:cut] + before[cut:])
        assert read_cursor(tmp_path, "a").next == (1234 if cut >= len(Position(1234, 2).line()) - 1 else 6)


def test_a_cursor_beyond_the_end_is_set_back_so_that_nothing_new_is_skipped(tmp_path, caplog):
    fill(tmp_path, 3)
    cursors = tmp_path / "cursors"
    write_cursor(cursors, "a", 50, read_cursor(cursors, "a"))
    log = IntakeLog(tmp_path, consumers=["a"])
    assert "records are missing" in caplog.text
    log.append_sync(Signal.TRACES, b"3")
    assert [record.body for record in log.consumer("a").read()] == [b"3"]
    log.close()
    assert read_cursor(cursors, "a").next == 3


@pytest.mark.parametrize(
    "text", ["", "{}", "runrecord.intake.cursor/v2 write=0 next=1 check=00000000\n", "\n" * 8192]
)
def test_a_cursor_that_is_none_is_refused(tmp_path, text):
    fill(tmp_path, 1)
    (tmp_path / "cursors" / "a.cursor").write_text(text)
    with pytest.raises(IntakeCorrupt, match=r"a\.cursor is not a cursor"):
        IntakeLog(tmp_path, consumers=["a"])
