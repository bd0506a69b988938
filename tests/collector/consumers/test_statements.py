# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the ledger of a gateway states of its own, in real gateways that are restarted."""

from __future__ import annotations

import pytest

from runrecord.ledger import Ledger, Verdict


@pytest.fixture
def impatient(settings):
    config = settings()
    config["exporters"]["ledger"]["abandon_after"] = "1s"
    return config


def closed(request, seq, count):
    """Make the last span of a request the run span of a segment that began with a number."""
    span = request.resource_spans[0].scope_spans[0].spans[-1]
    for pair in span.attributes:
        if pair.key == "runrecord.record.seq":
            pair.value.int_value = seq
    for name, value in (("state", "completed"), ("outcome", "success")):
        span.attributes.add(key=f"runrecord.run.{name}").value.string_value = value
    for name, number in (("segment", 0), ("records", count)):
        span.attributes.add(key=f"runrecord.run.{name}").value.int_value = number
    return request


def test_a_run_that_nobody_closes_is_given_up_once_over_restarts(  # noqa: PLR0917 - fixtures
    tmp_path, run_gateway, impatient, requests, poll, stated
):
    gateway = run_gateway(config=impatient)
    gateway.post(requests.traces(2, run="left"))
    (gone,) = poll(lambda: stated("run_abandoned"))
    assert (gone.run, gone.detail["seen"], gone.detail["quiet_seconds"]) == ("left", "2", "1")
    gateway.stop()
    again = run_gateway(config=impatient)
    again.post(requests.traces(1, start=50, run="other"))
    poll(lambda: {entry.run for entry in stated("run_abandoned")} == {"left", "other"})
    again.stop()
    assert len(stated("run_abandoned")) == 2
    assert (tmp_path / "state" / "lifecycle" / "ledger.sqlite").exists()


def test_a_run_that_was_closed_is_not_given_up_and_what_comes_then_is_late(  # noqa: PLR0917 - fixtures
    tmp_path, run_gateway, impatient, requests, poll, stated
):
    gateway = run_gateway(config=impatient)
    gateway.post(closed(requests.traces(1, start=9), 0, 3))
    for number in (1, 2, 2):  # the last one is sent again
        gateway.post(requests.traces(1, start=number))
    poll(lambda: len(stated("late")) == 2)
    gateway.post(requests.traces(1, start=70, run="other"))
    poll(lambda: stated("run_abandoned"))
    gateway.stop()
    assert [entry.run for entry in stated("run_abandoned")] == ["other"]
    assert [entry.detail["after"] for entry in stated("late")] == ["1", "1"]
    with Ledger(tmp_path / "ledger", read_only=True) as ledger:
        assert ledger.run("run-1").completeness.verdict is Verdict.COMPLETE_LATE


def test_a_resource_is_one_entry_however_many_requests_come(run_gateway, requests, poll, sealed, stated):
    gateway = run_gateway()
    for number in range(5):
        gateway.post(requests.traces(1, start=number))
    poll(lambda: len(sealed()) == 5)
    (resource,) = stated("resource")
    assert resource.attributes == {"service.name": "test-agent"}
