# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A gateway that refuses says so: in the intake log, so in the ledger and at the back ends; no later than it can."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from runrecord.collector.receiver.gaps import GAP_HEADER, Gaps
from runrecord.exporters.errors import IntakeFull
from runrecord.exporters.intake import IntakeLimits, IntakeLog
from runrecord.processors.signal import Signal


@pytest.fixture
def intake(tmp_path):
    log = IntakeLog(
        tmp_path / "intake", consumers=["ledger"], limits=IntakeLimits(max_bytes=8192, segment_bytes=2048)
    )
    yield log
    log.close()


async def fill(intake):
    while True:
        await intake.append(Signal.TRACES, bytes(500))


def said(intake):
    """What the log holds of gaps: reason, requests, records."""
    consumer = intake.consumer("ledger")
    found = []
    for record in consumer.read(max_records=1000):
        if dict(record.headers).get(GAP_HEADER):
            request = ExportLogsServiceRequest.FromString(record.body)
            (one,) = request.resource_logs[0].scope_logs[0].log_records
            facts = {pair.key.removeprefix("runrecord.gap."): pair.value for pair in one.attributes}
            assert facts["start"].int_value <= facts["end"].int_value == one.time_unix_nano
            found.append((facts["reason"].string_value, facts["requests"].int_value, "records" in facts))
    consumer.close()
    return found


def test_what_was_refused_is_said_once_for_each_reason(intake):
    async def run():
        gaps = Gaps(intake)
        await gaps.tell()
        for _ in range(3):
            gaps.note("intake_full")
        gaps.note("not_redacted", 5)
        gaps.tell_soon()
        gaps.tell_soon()
        await gaps.close()

    asyncio.run(run())
    assert said(intake) == [("intake_full", 3, False), ("not_redacted", 1, True)]


def test_what_can_not_be_said_yet_is_said_later_and_together(intake):
    async def run():
        gaps = Gaps(intake)
        with pytest.raises(IntakeFull):
            await fill(intake)
        gaps.note("intake_full")
        await gaps.tell()
        gaps.note("intake_full")
        reader = intake.consumer("ledger")
        reader.done(reader.read(max_records=1000))
        reader.commit()
        reader.close()
        await gaps.close()

    asyncio.run(run())
    assert said(intake) == [("intake_full", 2, False)]


def test_a_full_intake_log_is_a_gap_in_the_ledger_and_at_the_back_end(  # noqa: PLR0917 - fixtures
    run_gateway, settings, sink, requests, poll, stated
):
    """The back end is away until the log is full; what was refused meanwhile is sealed as soon as there is room."""
    config = settings(sink.url)
    config["service"]["intake"] = {"max_size_mib": 1}
    config["service"]["pipelines"] = {"traces": config["service"]["pipelines"]["traces"]}
    sink.status = 503
    gateway = run_gateway(config=config)
    statuses = [gateway.post(requests.traces(1, start=n, text="x" * 100_000)).status_code for n in range(14)]
    assert 503 in statuses
    sink.status = 200
    refused = statuses.count(503)
    (gap,) = poll(lambda: stated("gap"))
    assert (gap.run, gap.detail) == ("", {"reason": "intake_full", "requests": str(refused)})


def test_a_request_that_can_not_be_redacted_is_a_gap(run_gateway, requests, poll, stated):
    limits = {"redaction": {"packs": ["pii"], "limits": {"request_confirms": 1}}}
    gateway = run_gateway(processors=limits)
    text = "ada@example.org bob@example.org 4111 1111 1111 1111"
    assert gateway.post(requests.traces(2, text=text)).status_code == 500
    (gap,) = poll(lambda: stated("gap"))
    assert gap.detail == {"reason": "not_redacted", "requests": "1", "records": "2"}
