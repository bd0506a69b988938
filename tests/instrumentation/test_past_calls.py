# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A tool call that is heard of when it is over."""

from typing import Any


def test_the_span_begins_when_the_call_did(telemetry: Any, recorder: Any) -> None:
    began = 1_700_000_000_000_000_000
    with recorder.run(agent="agent") as run, run.step() as step:
        step.tool("read", call_id="c1", start_time=began).stop()
        step.tool("read", call_id="c2").stop()
    past, now = telemetry.named("execute_tool")
    assert past.start_time == began
    assert now.start_time > past.end_time - 60_000_000_000
