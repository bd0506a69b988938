# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Taking part in a run of another process, and what the ledger says of the whole."""

from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from runrecord.instrumentation import propagation
from runrecord.instrumentation.recorder import Recorder, Step
from runrecord.ledger.completeness import Verdict, assess
from runrecord.ledger.entry import Entry
from runrecord.ledger.records import Record
from runrecord.ledger.runs import RunView
from runrecord.processors.ledger.projection import project
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import TenantKey


@pytest.fixture
def server(telemetry: Any) -> Recorder:
    """The recorder of another process: it shares nothing with the first but the exporter."""
    return telemetry.recorder(new_source=iter(["b" * 16, "c" * 16, "d" * 16]).__next__)


def _called(carrier: dict[str, str], server: Recorder, **kwargs: Any) -> Step | None:
    return server.join(context=propagation.extract_trusted(carrier), **kwargs)


def _carrier() -> dict[str, str]:
    carrier: dict[str, str] = {}
    propagation.inject_trusted(carrier)
    return carrier


def _ledger(telemetry: Any) -> list[Record]:
    body = encode_spans(telemetry.spans).SerializeToString()
    entries: list[Entry] = project(Signal.TRACES, body, tenant_key=TenantKey(bytes(32)))
    return [Record(index, entry) for index, entry in enumerate(entries)]


def test_a_part_is_a_step_with_the_index_of_the_caller(
    recorder: Any, server: Recorder, telemetry: Any
) -> None:
    with recorder.run("agent", run_id="run-1") as run, run.step(index=6), run.tool("search"):
        part = _called(_carrier(), server, name="search_server")
        assert part is not None
        with part, part.tool("query") as tool:
            assert tool.run_id == "run-1"
    remote = telemetry.dump(telemetry.one("execute_tool query"))
    assert remote["attributes"]["runrecord.step.index"] == 6
    assert remote["attributes"]["runrecord.source.id"] == "b" * 16
    assert remote["attributes"]["runrecord.record.seq"] == 1
    (step,) = [s for s in telemetry.named("agent_step") if "runrecord.run.records" in s.attributes]
    assert step.parent.span_id == telemetry.one("execute_tool search").context.span_id
    assert step.attributes["runrecord.step.index"] == 6
    assert step.attributes["runrecord.step.name"] == "search_server"
    assert step.attributes["runrecord.run.records"] == 2
    telemetry.check_counters()


def test_two_parts_at_once_are_two_sources(recorder: Any, server: Recorder, telemetry: Any) -> None:
    with recorder.run("agent") as run, run.step():
        carrier = _carrier()
        first, second = _called(carrier, server), _called(carrier, server)
        assert first is not None
        assert second is not None
        tools = [part.tool("t") for part in (first, second, first)]
        for one in (*tools, first, second):
            one.stop()
    telemetry.check_counters()
    assessed = assess(_ledger(telemetry))
    assert assessed.verdict is Verdict.COMPLETE
    assert assessed.notes == ()
    assert set(assessed.sources) == {"0" * 15 + "1", "b" * 16, "c" * 16}


def test_the_ledger_misses_each_record_of_a_part(recorder: Any, server: Recorder, telemetry: Any) -> None:
    with recorder.run("agent") as run, run.step():
        part = _called(_carrier(), server)
        assert part is not None
        with part:
            for _ in range(3):
                part.tool("t").stop()
    every = _ledger(telemetry)
    assert assess(every).verdict is Verdict.COMPLETE
    inside = [record for record in every if record.entry.source == "b" * 16]
    assert len(inside) == 4
    for lost in inside:
        left = [record for record in every if record is not lost]
        expected = Verdict.UNCLOSED if lost.entry.seq == 0 else Verdict.GAPS
        assert assess(left).verdict is expected


def test_an_approval_that_is_answered_in_a_part_is_counted_by_it(
    recorder: Any, server: Recorder, telemetry: Any
) -> None:
    with recorder.run("agent") as run, run.step():
        part = _called(_carrier(), server)
        assert part is not None
        with part:
            part.request_approval("call_1", tool="t").approved(actor="human")
    telemetry.check_counters()
    assert assess(_ledger(telemetry)).verdict is Verdict.COMPLETE


def test_a_part_that_fails(recorder: Any, server: Recorder, telemetry: Any) -> None:
    with recorder.run("agent"):
        part = _called(_carrier(), server)
        assert part is not None
        with pytest.raises(LookupError), part:
            raise LookupError
        part.stop()
    step = telemetry.one("agent_step")
    assert step.attributes["error.type"] == "LookupError"
    assert step.attributes["runrecord.run.records"] == 1
    assert step.attributes["runrecord.step.index"] == 0


def test_there_is_nothing_to_join_without_a_run_and_in_the_run_itself(
    recorder: Any, server: Recorder
) -> None:
    assert recorder.join() is None
    assert _called({"baggage": "k=v"}, server) is None
    with recorder.run("agent"):
        assert recorder.join() is None
        assert server.join() is None


def test_a_request_that_is_not_believed_joins_nothing(allow: Any, recorder: Any, server: Recorder) -> None:
    header = {"baggage": "runrecord.run.id=somebody-elses"}
    with recorder.run("agent", run_id="somebody-elses"):
        assert server.join(context=propagation.extract(header)) is None
        allow(accept=True)
        part = server.join(context=propagation.extract(header))
        assert part is not None
        part.stop()
    assert part.run_id == "somebody-elses"


def test_what_a_part_calls_is_told_its_step(recorder: Any, server: Recorder) -> None:
    with recorder.run("agent", run_id="run-1") as run, run.step(index=6):
        carrier = _carrier()
    part = _called(carrier, server)
    assert part is not None
    token = otel_context.attach(otel_context.Context())
    try:
        with part:
            assert _carrier()["baggage"] == "runrecord.run.id=run-1,runrecord.step.index=6"
    finally:
        otel_context.detach(token)


def test_a_part_is_shown_in_the_step_that_called(recorder: Any, server: Recorder, telemetry: Any) -> None:
    with recorder.run("agent", run_id="run-1") as run:
        with run.step(index=0):
            pass
        with run.step(index=1), run.tool("search"):
            part = _called(_carrier(), server)
            assert part is not None
            with part, part.tool("query"):
                pass
    (segment,) = RunView("run-1", _ledger(telemetry)).segments
    shown = [
        (step.index, [record.entry.name for record in (*step.spans, *step.records)]) for step in segment.steps
    ]
    inside = ["agent_step act", "agent_step act", "execute_tool search", "execute_tool query"]
    assert shown == [(0, ["agent_step act"]), (1, inside)]
