# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where vaults are: a directory and a bucket of a real S3 server behave the same."""

from __future__ import annotations

import time

import pytest
from s3_server import BUILD_SECONDS

from runrecord.ledger.errors import LedgerError
from runrecord.ledger.vault_objects import open_objects

GO = (pytest.mark.go, pytest.mark.timeout(BUILD_SECONDS))


@pytest.fixture(params=["directory", pytest.param("s3", marks=GO)])
def objects(request):
    return open_objects(request.getfixturevalue(f"{request.param}_place").location)


def test_objects_are_kept_found_and_removed(objects):
    names = [f"step/{run}/{number}" for run in ("aa", "ab", "b") for number in (1, 2)]
    objects.put({name: name.encode() for name in names})
    assert [objects.get(name) for name in names] == [name.encode() for name in names]
    assert objects.get("step/aa/3") is None
    objects.put({"step/aa/1": b"another", "tool_result/aa/1": b"new"})
    assert objects.get("step/aa/1") == b"step/aa/1"  # what is there stays
    found = dict(objects.names("step/aa"))
    assert sorted(found) == ["step/aa/1", "step/aa/2"]
    assert all(abs(since - time.time()) < 600 for since in found.values())
    assert list(objects.names("step/a")) == []
    assert len([name for name, _ in objects.names("") if not name.startswith(".")]) == 7
    for name in ("step/aa/1", "step/aa/1", "step/aa/2"):
        objects.remove(name)
    assert list(objects.names("step/aa")) == []
    assert objects.get("step/ab/1") == b"step/ab/1"
    assert open_objects(objects.address).get("tool_result/aa/1") == b"new"


@pytest.mark.go
@pytest.mark.timeout(BUILD_SECONDS)
def test_a_bucket_that_is_not_there_is_an_error(s3_place):
    objects = open_objects(s3_place.location.replace("s3://ledgers/", "s3://no-such-bucket/"))
    for attempt in (lambda: objects.put({"a/b/c": b"x"}), lambda: objects.put({"a": b"x", "b": b"y"})):
        with pytest.raises(LedgerError):
            attempt()
