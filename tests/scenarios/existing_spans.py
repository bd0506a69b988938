# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Your SDK, or another instrumentation, makes the spans already.

Nothing is made twice: inside an `invoke_agent`, `invoke_workflow` or `execute_tool` span that is current, the recorder adds its attributes
to that span and leaves the rest, its end included, to whoever made it. Only what nobody else records becomes a span of its
own: steps, decisions, approvals. Where the span is not current, pass it: `run(span=...)`, `tool(span=...)`.
"""

from runrecord.instrumentation import Recorder

MATTERS = ("invoke_agent", "execute_tool")
AGENT = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "refund-agent",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.response.model": "gpt-5-2026-08-01",
}
CALL = {
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "list_invoices",
    "gen_ai.tool.call.id": "call-1",
}


def adds_to_what_is_there(recorder: Recorder) -> None:
    sdk = recorder.tracer  # stands for the tracer of the other instrumentation
    with (
        sdk.start_as_current_span("invoke_agent refund-agent", attributes=AGENT),
        recorder.run("refund-agent", autonomy="read_only") as run,
    ):
        run.decision("tools", engine="sdk", subject="call-1", subject_name="list_invoices").allow()
        with (
            sdk.start_as_current_span("execute_tool list_invoices", attributes=CALL),
            run.tool("list_invoices", call_id="call-1", read_only=True) as call,
        ):
            call.result([])
