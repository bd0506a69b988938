# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Pruning under Object Lock: readers no longer find what was pruned, and the version under the lock stays."""

from __future__ import annotations

import urllib.error
import uuid
from urllib.parse import urlencode

import pytest
from s3_server import BUILD_SECONDS

from runrecord.ledger import Ledger, NoteSigner, fsck
from runrecord.ledger.administration import carry_out
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.errors import Pruned
from runrecord.ledger.stores.location import open_store

pytestmark = [pytest.mark.go, pytest.mark.timeout(BUILD_SECONDS)]
DAY = 86_400.0


def test_versions_under_a_lock_outlive_the_pruning(s3, s3_place):
    bucket = f"worm-{uuid.uuid4().hex[:12]}"
    s3.make_bucket(bucket, object_lock=True)
    options = s3.options()
    location = f"s3://{bucket}/log?{urlencode({**options, 'lock_mode': 'compliance', 'lock_days': '30'})}"
    now = [1_800_000_000.0]
    signer = NoteSigner("example.com/agents", bytes(range(32)))
    store = open_store(f"s3://{bucket}/log?{urlencode(options)}")
    with Ledger(
        location, signer=signer, checkpoint_interval=None, now=lambda: now[0], epochs="month"
    ) as ledger:
        ledger.append_entries([Entry(kind=Kind.STEP, run="run", name="step", start=n) for n in range(300)])
        now[0] += 31 * DAY
        ledger.append_entries([Entry(kind=Kind.STEP, run="run", name="step", start=300)])
        version = store.objects.head("tile/entries/000")["version"]
        now[0] += 31 * DAY
        done = carry_out(ledger, "prune", {"retention": "default=30", "time": "1"})
        assert (done["bundles"], done["left"]) == (
            "0",
            "0",
        )  # the store has put a marker in front of the version
        with pytest.raises(Pruned):
            ledger.log.leaf(3)
    with pytest.raises(urllib.error.HTTPError) as caught:
        s3.request("DELETE", f"/{bucket}/log/tile/entries/000?versionId={version}")
    caught.value.close()
    assert caught.value.code == 403
    assert fsck(f"s3://{bucket}/log?{urlencode(options)}").ok
