# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The digests of keys beside a log in an object store: a machine without an index need not read every entry."""

from __future__ import annotations

import pytest

from runrecord.ledger import LedgerCorrupt
from runrecord.ledger.dedup import key_digest
from runrecord.ledger.stores import objects_keys
from runrecord.ledger.stores.copy import copy_log

BLOCK = 50


def key_of(leaf):
    return b"key " + leaf.split(b" ")[1]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(objects_keys, "BLOCK", BLOCK)


def blocks(place):
    names = sorted(str(each["path"]) for batch in place.raw.list(".state/keys") for each in batch)
    return [bytes(place.raw.get(name).bytes()) for name in names]


def expected(items, size):
    digests = [key_digest(key) for key, _ in items(0, size)]
    return [b"".join(digests[i : i + BLOCK]) for i in range(0, size // BLOCK * BLOCK, BLOCK)]


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Move on to a machine that has nothing yet."""
    numbers = iter(range(100))
    return lambda: monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path / f"machine{next(numbers)}"))


def test_a_new_machine_takes_the_keys_from_the_blocks(memory_place, open_log, items, elsewhere):
    log = open_log(memory_place.location)
    for end in (20, 120, 140, 300):
        log.append(items(0, end))
        log.publish()
    log.close()
    assert blocks(memory_place) == expected(items, 300)
    elsewhere()
    log = open_log(memory_place.location, key_of=None)  # so no leaf can have been asked
    assert {each.status for each in log.append(items(0, 300))} == {"duplicate"}
    assert log.append(items(299, 301))[1].index == 300


def test_the_last_block_goes_on_where_a_machine_left_it(memory_place, open_log, items, elsewhere):
    for size, change in ((120, False), (170, False), (180, True), (260, True), (330, False)):
        if change:
            elsewhere()
        log = open_log(memory_place.location)
        log.append(items(0, size))
        log.close()
        assert blocks(memory_place) == expected(items, size)


def test_what_was_durable_without_a_checkpoint_is_in_its_block_too(memory_place, open_log, items):
    log = open_log(memory_place.location)
    log.append(items(0, 120))
    log.publish()
    log.append(items(120, 170))
    log._publisher.publish = lambda: None
    log.close()
    log = open_log(memory_place.location)
    log.append(items(170, 210))
    log.publish()
    assert blocks(memory_place) == expected(items, 210)


def test_writers_put_the_same_blocks(memory_place, open_log, items):
    one, two = open_log(memory_place.location), open_log(memory_place.location)
    for number, start in enumerate(range(0, 600, 30)):
        (one, two)[number % 2].append(items(start, start + 30))
        (two, one)[number % 3 % 2].publish()
    one.publish()
    two.publish()
    found = blocks(memory_place)
    assert set(found) <= set(expected(items, 600))
    assert len(found) >= 8


@pytest.mark.parametrize("damage", [None, b"", b"x" * 16 * (BLOCK - 1)])
def test_a_block_that_is_gone_or_damaged_costs_time_only(memory_place, open_log, items, elsewhere, damage):
    log = open_log(memory_place.location)
    log.append(items(0, 320))
    log.close()
    memory_place.put(".state/keys/000000000002", damage)
    elsewhere()
    with pytest.raises(LedgerCorrupt, match="the key index covers 100 of 320 entries"):
        open_log(memory_place.location, key_of=None)
    log = open_log(memory_place.location)
    assert {each.status for each in log.append(items(0, 320))} == {"duplicate"}


def test_a_block_that_lies_hides_no_record(memory_place, open_log, items, elsewhere):
    log = open_log(memory_place.location)
    log.append(items(0, 100))
    log.close()
    lie = b"".join(key_digest(b"key %d" % (1000 + i)) for i in range(BLOCK))
    memory_place.put(".state/keys/000000000000", lie)
    elsewhere()
    log = open_log(memory_place.location)
    (result,) = log.append(items(1000, 1001))
    assert result.status == "conflict"
    assert log.leaf(result.index) == items(1000, 1001)[0][1]


def test_a_copy_brings_blocks_along(memory_place, open_log, items, elsewhere, tmp_path):
    log = open_log(str(tmp_path / "source"))
    log.append(items(0, 330))
    log.close()
    copy_log(str(tmp_path / "source"), memory_place.location, key_of=key_of)
    assert blocks(memory_place) == expected(items, 330)
    log = open_log(memory_place.location)
    log.append(items(330, 360))
    log.publish()
    assert blocks(memory_place) == expected(items, 360)


def test_a_store_that_takes_no_blocks_takes_the_entries(memory_place, open_log, items):
    real = memory_place.location.objects

    class Full:
        def __getattr__(self, name):
            return getattr(real, name)

        def put(self, name, data, **options):
            if "/keys/" in name:
                raise TimeoutError
            return real.put(name, data, **options)

    memory_place.location.objects = Full()
    log = open_log(memory_place.location)
    log.append(items(0, 300))
    assert log.publish().size == 300
    assert not blocks(memory_place)
