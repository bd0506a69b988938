# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What is said before anything happens: that a segment began, and that a call is about to be made that may change something."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from runrecord.instrumentation._state import Sequence
from runrecord.semconv.root import records_root

INTENT = "runrecord.tool.intent"


def events(telemetry: Any, name: str) -> list[dict[str, Any]]:
    return [facts for event, facts in telemetry.events if event == name]


def test_a_segment_is_opened_once_in_each_process(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a", conversation_id="t") as run:
        approval = run.request_approval("c", tool="t", arguments={}, key=("sdk", "t"))
        run.suspend()
    with telemetry.recorder().resume(approval.key):
        pass
    opened = events(telemetry, "runrecord.run.opened")
    assert [facts["runrecord.run.segment"] for facts in opened] == [0, 1]
    assert {facts["runrecord.subject.name"] for facts in opened} <= {"a"}


def test_an_intent_is_said_before_the_tool_runs_under_the_ids_of_its_span(
    telemetry: Any, recorder: Any
) -> None:
    with recorder.run("a") as run, run.step(), run.tool("pay", call_id="c1", arguments=[1], effect="pay"):
        (said,) = events(telemetry, INTENT)
    (record,) = [
        item.log_record
        for item in telemetry.log_exporter.get_finished_logs()
        if item.log_record.event_name == INTENT
    ]
    span = telemetry.one("execute_tool pay")
    assert (record.trace_id, record.span_id) == (span.context.trace_id, span.context.span_id)
    assert said["runrecord.arguments.digest"] == span.attributes["runrecord.arguments.digest"]
    assert (said["runrecord.subject.name"], said["runrecord.subject.id"]) == ("pay", "c1")
    assert said["runrecord.record.seq"] == span.attributes["runrecord.record.seq"]


@pytest.mark.parametrize(
    ("facts", "announced"),
    [
        ({}, True),
        ({"effect": "none"}, False),
        ({"effect": "read"}, False),
        ({"read_only": True}, False),
        ({"effect": "update"}, True),
        ({"effect": "read", "destructive": True}, True),
        ({"effect": "pay", "dry_run": True}, False),
    ],
)
def test_a_call_is_announced_unless_it_is_known_to_change_nothing(
    telemetry: Any, recorder: Any, facts: dict[str, Any], announced: bool
) -> None:
    with recorder.run("a") as run:
        run.tool("t", **facts).stop()
    assert bool(events(telemetry, INTENT)) is announced


def test_nothing_is_announced_of_what_is_not_sampled(telemetry: Any) -> None:
    tracers = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    with telemetry.recorder(tracer_provider=tracers).run("a") as run:
        run.tool("t", effect="pay").stop()
    assert not events(telemetry, INTENT)
    assert not events(telemetry, "runrecord.run.opened")


def test_what_is_made_between_two_segments_is_in_neither() -> None:
    sequence = Sequence("s")
    sequence.begin()
    assert sequence.take() == (0, False)
    assert sequence.close(0) == (1, None)
    stray = sequence.take()[0]
    sequence.begin()
    first = sequence.take()[0]
    assert (stray, first) == (1, 2)
    assert sequence.close(first)[0] == 1


def test_two_segments_at_once_cover_all_that_was_made() -> None:
    sequence = Sequence("s")
    sequence.begin()
    one = sequence.take()[0]
    sequence.begin()
    other = sequence.take()[0]
    sequence.take()
    assert sequence.close(one)[0] == 3
    sequence.take()
    assert sequence.close(other)[0] == 3  # numbers 1 to 3


def test_a_fork_that_closes_what_it_did_not_open_states_no_root() -> None:
    sequence = Sequence("s")
    sequence.take()
    assert sequence.close(7) == (1, None)
    assert sequence.close(-1) == (1, None)


def test_the_root_is_that_of_rfc_6962() -> None:
    from runrecord.ledger.tlog import leaf_hash, root_of_hashes

    for count in range(1, 20):
        ids = [(2**127 + n, 2**63 + n) for n in range(count)]
        leaves = [trace.to_bytes(16, "big") + span.to_bytes(8, "big") for trace, span in ids]
        assert records_root(ids) == "sha256:" + root_of_hashes(map(leaf_hash, leaves)).hex()
