# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the recorder counts is what a ledger finds: no record of any process is missing, and a lost one shows."""

from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from runrecord.ledger.completeness import Verdict, assess
from runrecord.ledger.records import Record
from runrecord.processors.ledger.projection import project
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import TenantKey

KEY = ("sdk", "thread-7", "i-1")


def ledger(spans: list[Any]) -> Any:
    body = encode_spans(spans).SerializeToString()
    entries = project(Signal.TRACES, body, tenant_key=TenantKey(bytes(32)))
    return assess([Record(index, entry) for index, entry in enumerate(entries)])


@pytest.mark.parametrize("same_process", [True, False])
def test_an_answer_between_two_segments_leaves_no_hole(telemetry: Any, *, same_process: bool) -> None:
    one = telemetry.recorder()

    def process(source: str) -> Any:
        return one if same_process else telemetry.recorder(new_source=lambda: source * 16)

    with one.run("a", conversation_id="thread-7") as run:
        with run.step(), run.inference("gpt-5", provider="openai"):
            pass
        run.request_approval("c", tool="t", arguments={}, key=KEY)
        run.request_approval("d", tool="t", arguments={}, key=KEY)
        run.suspend()
    web = process("e")
    for _ in range(2):
        web.approval(KEY).approved(actor="human", actor_ref="u-17")
    with process("f").resume(KEY) as run:
        run.approval.approved()
        run.tool("t", call_id="c", arguments={}).stop()
    whole = ledger(telemetry.spans)
    assert (whole.verdict, whole.reasons, whole.notes) == (Verdict.COMPLETE, (), ())
    answers = telemetry.named("approval_decision")
    assert len(answers) == 2
    for lost in [span for span in telemetry.spans if not span.name.startswith("chat")]:
        if lost is answers[-1] and not same_process:
            continue  # the last of a source that only answers: nobody knows that there was another
        rest = ledger([span for span in telemetry.spans if span is not lost])
        assert rest.verdict is not Verdict.COMPLETE, lost.name
