# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What only a log in an object store must stand: lost races, torn uploads, locks, and a store that does not answer."""

from __future__ import annotations

import json
import re
import urllib.error
import uuid
from datetime import datetime, timedelta, timezone
from urllib.parse import urlencode

import pytest
from obstore.store import MemoryStore
from s3_server import BUILD_SECONDS

from runrecord.ledger import LedgerCorrupt, LedgerError, LedgerStopped, fsck
from runrecord.ledger.stores.location import open_store
from runrecord.ledger.stores.objects import HEAD, JOURNAL, ObjectStore

pytestmark = [pytest.mark.go, pytest.mark.timeout(BUILD_SECONDS)]


class Faults:
    """Obstore's own store, but for the puts that a test has something to say about."""

    def __init__(self, store):
        self._store = store
        self.before = lambda name: None
        self.after = lambda name: None

    def __getattr__(self, name):
        return getattr(self._store, name)

    def put(self, name, data, **options):
        self.before(name)
        done = self._store.put(name, data, **options)
        self.after(name)
        return done


@pytest.fixture
def faulty(s3_place):
    """A location whose puts can be made to fail, over the real server."""
    store = open_store(s3_place.location)
    store.objects = Faults(store.objects)
    return store


def fail_at(part, error=None):
    def put(name):
        if part in name:
            raise error or TimeoutError("the answer did not come")

    return put


def test_a_group_whose_head_was_never_put_is_garbage_that_is_named_and_removed(
    faulty, s3_place, open_log, items
):
    log = open_log(faulty)
    log.append(items(0, 3))
    faulty.objects.before = fail_at(HEAD)
    for _ in range(2):
        with pytest.raises(LedgerStopped, match=re.escape(f"did not take {HEAD} (TimeoutError)")):
            log.append(items(3, 5))
    log.close()
    report = fsck(s3_place.location)
    assert report.ok
    (garbage,) = report.leftovers
    assert garbage.startswith(f"{JOURNAL}{3:020d}-")
    log = open_log(s3_place.location)
    assert log.size == 3
    log.append(items(4, 6))
    log.close()
    assert fsck(s3_place.location).leftovers == [garbage]
    log = open_log(s3_place.location)  # the log has grown past it: no head can name it any more
    assert fsck(s3_place.location).leftovers == []
    assert list(log.leaves()) == [leaf for _, leaf in (*items(0, 3), *items(4, 6))]


def test_a_head_that_was_put_without_an_answer_is_found_again(faulty, s3_place, open_log, items):
    log = open_log(faulty)
    log.append(items(0, 3))
    faulty.objects.after = fail_at(HEAD)
    with pytest.raises(LedgerStopped):
        log.append(items(3, 5))
    faulty.objects.after = lambda name: None
    log.close()
    log = open_log(s3_place.location)
    assert [each.status for each in log.append(items(3, 6))] == ["duplicate", "duplicate", "new"]


def test_a_put_that_was_repeated_after_it_came_through_is_no_lost_race(faulty, open_log, items):
    """The client repeats a put whose answer was lost; the server refuses the second, since the first came through."""
    log = open_log(faulty)
    log.append(items(0, 3))
    put = faulty.objects._store.put

    def twice(name, data, **options):
        put(name, data, **options)
        return put(name, data, **options)

    faulty.objects.put = lambda name, data, **options: (
        twice(name, data, **options) if name in {HEAD, "checkpoint"} else put(name, data, **options)
    )
    assert [each.index for each in log.append(items(3, 5))] == [3, 4]
    assert log.publish().size == 5
    assert log.append(items(5, 6))[0].index == 5


def test_a_writer_that_stood_still_can_not_put_its_head(faulty, s3_place, open_log, items):
    slow, fast = open_log(faulty), open_log(s3_place.location)
    slow.append(items(0, 2))
    done = []

    def others_first(name):
        if name == HEAD and not done:
            done.append(fast.append(items(10, 400))[-1].index)
            done.append(fast.publish().size)
            done.append(fast.append(items(400, 401))[0].index)  # what is in tiles is removed from the journal

    faulty.objects.before = others_first
    results = slow.append([*items(2, 4), *items(20, 21)])
    assert done == [391, 392, 392]
    assert [(each.index, each.status) for each in results] == [(393, "new"), (394, "new"), (12, "duplicate")]
    assert slow.publish().size == 395
    slow.close()
    fast.close()
    report = fsck(s3_place.location)
    assert (report.ok, report.leftovers) == (True, [])


def test_tiles_without_a_checkpoint_do_no_harm(faulty, s3_place, open_log, items):
    log = open_log(faulty)
    log.append(items(0, 3))
    log.publish()
    log.append(items(3, 300))
    faulty.objects.before = fail_at("checkpoint")
    with pytest.raises(LedgerStopped, match="did not take checkpoint"):
        log.publish()
    log.close()
    report = fsck(s3_place.location)
    assert (report.ok, report.checkpoint.size, report.beyond > 0) == (True, 3, True)
    log = open_log(s3_place.location)
    log.append(items(300, 310))
    assert log.publish().size == 310
    assert fsck(s3_place.location).ok


def test_a_tile_that_is_there_and_differs_stops_the_log(s3_place, open_log, items):
    log = open_log(s3_place.location)
    log.append(items(0, 300))
    s3_place.put("tile/entries/000", b"something else")
    with pytest.raises(
        LedgerStopped, match="tile/entries/000 is there already, and is not what the entries say"
    ):
        log.publish()
    with pytest.raises(LedgerStopped):
        log.append(items(300, 301))


@pytest.mark.parametrize("damage", [b"{}", b"\xff", b'{"size": 1, "journal": [[0]]}'])
def test_a_head_that_is_none_is_named(s3_place, open_log, items, damage):
    log = open_log(s3_place.location)
    log.append(items(0, 2))
    s3_place.put(HEAD, damage)
    with pytest.raises(LedgerCorrupt, match=r"\.state/head is damaged"):
        open_log(s3_place.location)
    assert any("head is damaged" in each for each in fsck(s3_place.location).problems)


def test_a_group_that_is_damaged_or_gone_is_refused(s3_place, open_log, items):
    log = open_log(s3_place.location)
    log.append(items(0, 2))
    log._publisher.publish = lambda: None
    log.close()
    ((_, _, name),) = json.loads(bytes(s3_place.raw.get(HEAD).bytes()))["journal"]
    data = bytes(s3_place.raw.get(name).bytes())
    s3_place.put(name, data[:-1] + b"?")
    with pytest.raises(LedgerStopped, match=r"journal/.* is damaged"):
        open_log(s3_place.location)
    s3_place.put(name, None)
    log = open_log(s3_place.location)
    with pytest.raises(LedgerCorrupt, match="has 2 entries; this writer knows 0"):
        log.append(items(0, 1))


def test_a_new_machine_works_the_keys_out_of_the_leaves(s3_place, open_log, items, monkeypatch, tmp_path):
    log = open_log(s3_place.location)
    log.append(items(0, 300))
    log.publish()
    log.append(items(300, 302))
    log.close()
    monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path / "another machine"))
    with pytest.raises(LedgerCorrupt, match="duplicates could not be told"):
        open_log(s3_place.location, key_of=None)
    log = open_log(s3_place.location)
    assert [each.status for each in log.append(items(0, 303))] == ["duplicate"] * 302 + ["new"]


def test_full_tiles_are_locked_where_that_is_configured(s3, s3_place, open_log, items):
    """The server refuses to remove the version before its time; what must change, stays free."""
    bucket = f"worm-{uuid.uuid4().hex[:12]}"
    s3.make_bucket(bucket, object_lock=True)
    options = urlencode({**s3.options(), "lock_mode": "compliance", "lock_days": "30"})
    log = open_log(f"s3://{bucket}/log?{options}")
    log.append(items(0, 300))
    log.publish()
    log.append(items(300, 600))
    log.publish()
    log.close()
    now = datetime.now(timezone.utc)
    for name in ("tile/entries/000", "tile/entries/001", "tile/0/000"):
        answer = s3.request("GET", f"/{bucket}/log/{name}?retention").decode()
        assert "<Mode>COMPLIANCE</Mode>" in answer
        until = datetime.fromisoformat(re.search(r"<RetainUntilDate>([^<.Z]+)", answer)[1]).replace(
            tzinfo=timezone.utc
        )
        assert timedelta(days=29) < until - now < timedelta(days=31)
    raw = open_store(f"s3://{bucket}/log?{urlencode(s3.options())}").objects
    version = raw.head("tile/entries/000")["version"]
    with pytest.raises(urllib.error.HTTPError) as caught:
        s3.request("DELETE", f"/{bucket}/log/tile/entries/000?versionId={version}")
    caught.value.close()
    assert caught.value.code == 403
    with pytest.raises(urllib.error.HTTPError) as caught:  # it has no retention
        s3.request("GET", f"/{bucket}/log/checkpoint?retention")
    caught.value.close()
    assert fsck(f"s3://{bucket}/log?{urlencode(s3.options())}").ok


def test_a_lock_on_a_bucket_that_has_none_says_so(s3, s3_place, open_log, items):
    log = open_log(f"{s3_place.location}&lock_mode=governance&lock_days=1")
    log.append(items(0, 300))
    with pytest.raises(LedgerStopped, match="is Object Lock on for the bucket"):
        log.publish()
    log.close()
    assert open_log(s3_place.location).size == 300


@pytest.mark.parametrize(
    "address",
    [
        "s3://key:secret@bucket/log",
        "s3:///log",
        "s3://bucket/log?secret_access_key=secret",
        "s3://bucket/log?lock_mode=compliance",
        "s3://bucket/log?lock_mode=secret&lock_days=3",
        "s3://bucket/log?lock_mode=governance&lock_days=-secret",
    ],
)
def test_an_address_that_is_not_whole_is_refused_without_being_quoted(address):
    with pytest.raises(LedgerError, match="the ledger's object store") as caught:
        open_store(address)
    assert "secret" not in caught.value.diagnostics().replace("SECRET", "").replace("secret_access", "")


def test_a_store_that_refuses_is_named_without_its_answer(s3, s3_place, open_log, items, monkeypatch):
    log = open_log(s3_place.location)
    shown = [repr(log), repr(log.objects)]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with pytest.raises(LedgerError) as caught:
        open_log(s3_place.location)
    shown.append(caught.value.diagnostics())
    assert "SignatureDoesNotMatch" in shown[-1] or "403" in shown[-1]
    for text in shown:
        for word in ("not-the-secret", *s3.environment().values(), "<?xml", "endpoint"):
            assert word not in text


def test_a_store_of_ones_own_can_be_given(open_log, items):
    """Whatever obstore can reach: another cloud, or memory."""
    store = ObjectStore(MemoryStore(), "memory://example")
    log = open_log(store)
    log.append(items(0, 300))
    log.publish()
    assert open_log(store, read_only=True).size == 300
    assert repr(log) == "<Log 'example.com/agents' in 'memory://example', 300 entries>"
