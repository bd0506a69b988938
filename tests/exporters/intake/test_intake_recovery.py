# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the intake log makes of files that a crash, or someone, left behind."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import pytest

from runrecord.exporters.intake import IntakeCorrupt, IntakeLimits, IntakeLog
from runrecord.exporters.intake.segment import HEADER_SIZE
from runrecord.processors.signal import Signal


def write(directory, values, **options):
    log = IntakeLog(directory, consumers=["a"], **options)
    for value in values:
        log.append_sync(Signal.TRACES, str(value).encode())
    log.close()


def read(directory):
    log = IntakeLog(directory, consumers=["a"])
    found = [int(record.body) for record in log.consumer("a").read(max_records=100_000)]
    log.close()
    return found


def test_a_tail_torn_at_any_byte_is_dropped_and_the_rest_is_kept(tmp_path):
    write(tmp_path, range(3))
    [segment] = tmp_path.glob("*.segment")
    whole = segment.read_bytes()
    frame = (len(whole) - HEADER_SIZE) // 3
    for cut in range(len(whole) + 1):
        segment.write_bytes(whole[:cut])
        kept = max(0, cut - HEADER_SIZE) // frame
        assert read(tmp_path) == list(range(kept)), f"cut at byte {cut}"
        write(tmp_path, [7])
        assert read(tmp_path) == [*range(kept), 7], f"appended after a cut at byte {cut}"
        for path in tmp_path.glob("*.segment"):
            path.unlink()


@pytest.mark.parametrize(
    "junk", [b"\0" * 40, b"RRF1" * 20, b"RRF1\xff\xff\xff\x7f" + b"\1" * 60, b"x" * 3000]
)
def test_junk_behind_the_last_record_is_dropped(tmp_path, caplog, junk):
    write(tmp_path, range(3))
    [segment] = tmp_path.glob("*.segment")
    with segment.open("ab") as file:
        file.write(junk)
    assert read(tmp_path) == [0, 1, 2]
    assert f"dropped {len(junk)} bytes" in caplog.text


def test_a_group_of_which_only_the_end_reached_the_disk_is_dropped_whole(tmp_path):
    """One sync covers a group, so a hole in it was never acknowledged: its frames say so themselves."""
    log = IntakeLog(tmp_path, consumers=["a"])
    log.append_sync(Signal.TRACES, b"0")
    before = log.stored_bytes
    log.store.append([[b"\1\0\0" + bytes(8) + str(n).encode()] for n in (1, 2, 3)], 0)
    log.close()
    [segment] = tmp_path.glob("*.segment")
    data = bytearray(segment.read_bytes())
    data[before + 30 : before + 40] = bytes(10)
    segment.write_bytes(data)
    assert read(tmp_path) == [0]


def test_damage_in_front_of_a_synced_record_is_no_torn_tail(tmp_path):
    """Every byte of an acknowledged record: changed, it is either found at the start or when it is read."""
    write(tmp_path, range(3))
    [segment] = tmp_path.glob("*.segment")
    whole = segment.read_bytes()
    frame = (len(whole) - HEADER_SIZE) // 3
    for at in range(HEADER_SIZE + 2 * frame):
        data = bytearray(whole)
        data[at] ^= 0x20
        segment.write_bytes(data)
        with pytest.raises(IntakeCorrupt) as caught:
            read(tmp_path)
        assert str(segment) in str(caught.value), f"byte {at}"
        assert segment.read_bytes() == data, "a damaged file is evidence and stays as it is"


def test_damage_in_an_earlier_segment_is_found_when_it_is_read(tmp_path):
    write(tmp_path, range(30), limits=IntakeLimits(segment_bytes=300))
    first = min(tmp_path.glob("*.segment"))
    data = bytearray(first.read_bytes())
    data[-1] ^= 1
    first.write_bytes(data)
    with pytest.raises(IntakeCorrupt, match="damaged at byte"):
        read(tmp_path)


def test_a_segment_that_was_moved_away_is_named_and_the_rest_goes_on(tmp_path, caplog):
    write(tmp_path, range(30), limits=IntakeLimits(segment_bytes=300))
    second = sorted(tmp_path.glob("*.segment"))[1]
    third = sorted(tmp_path.glob("*.segment"))[2]
    first_missing, first_there = int(second.stem), int(third.stem)
    second.rename(tmp_path / "aside")
    log = IntakeLog(tmp_path, consumers=["a"])
    consumer = log.consumer("a")
    found = [int(record.body) for record in consumer.read(max_records=1000)]
    log.close()
    assert found == [*range(first_missing), *range(first_there, 30)]
    assert f"records {first_missing} to {first_there - 1} are missing" in caplog.text


CHILD = """
import sys
from runrecord.exporters.intake import IntakeLog, IntakeLimits
from runrecord.processors.signal import Signal
import threading
log = IntakeLog(sys.argv[1], consumers=["a", "b"], limits=IntakeLimits(segment_bytes=20_000))
start, out = int(sys.argv[2]), threading.Lock()
def work(lane):
    number = start + lane
    while True:
        log.append_sync(Signal.TRACES, str(number).encode() + b" " * (number % 97))
        with out:
            sys.stdout.write(f"{number}\\n"); sys.stdout.flush()
        number += 4
for lane in range(4):
    threading.Thread(target=work, args=(lane,), daemon=True).start()
def consume():
    consumer = log.consumer("b")
    while True:
        if log.wait_beyond_sync(consumer.position, 1):
            consumer.read(max_records=7)
            consumer.commit(consumer.position)
threading.Thread(target=consume).start()
"""


@pytest.mark.e2e
def test_sigkill_loses_nothing_that_was_acknowledged(tmp_path):
    """Ten rounds: a real process appends from four threads and is killed at a random moment."""
    chance = random.Random(20261121)
    acknowledged: list[int] = []
    for round_ in range(10):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), str(round_ * 1_000_000)], stdout=subprocess.PIPE
        )
        wanted, data = chance.randrange(1, 300), b""
        deadline = time.monotonic() + 60
        while data.count(b"\n") < wanted:
            assert time.monotonic() < deadline
            data += os.read(child.stdout.fileno(), 65536)
        child.kill()
        data += child.stdout.read()
        child.stdout.close()
        child.wait()
        acknowledged += [int(line) for line in data[: data.rfind(b"\n")].split()]
    log = IntakeLog(tmp_path, consumers=["a", "b"])
    found = [int(record.body) for record in log.consumer("a").read(max_records=1_000_000, max_bytes=1 << 30)]
    rest = [int(record.body) for record in log.consumer("b").read(max_records=1_000_000, max_bytes=1 << 30)]
    log.close()
    assert len(found) == len(set(found))
    assert set(acknowledged) <= set(found)
    assert rest == found[len(found) - len(rest) :]
