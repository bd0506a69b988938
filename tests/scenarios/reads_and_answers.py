# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The agent only reads, and answers.

Open a run, a step for each turn of the agent, and a tool call for each call. A tool that declares itself read-only
(`read_only=True`, MCP's `readOnlyHint`) has the effect `read` without further words. Arguments and results are committed
to, not recorded: the digests prove later what was asked and answered to whoever has the values and the key.
"""

from runrecord.instrumentation import Recorder

MATTERS = ("invoke_agent", "execute_tool list_invoices")


def answers_a_question(recorder: Recorder) -> None:
    with recorder.run("refund-agent", conversation_id="thread-7", autonomy="read_only") as run:
        with run.step("plan"):
            pass  # the model decides what to look up
        with (
            run.step("act", name="look_up"),
            run.tool(
                "list_invoices", call_id="call-1", arguments={"customer": "c-100"}, read_only=True
            ) as call,
        ):
            call.result([{"invoice": "inv-7001", "amount": 120.0}])
        run.finish("success", stop_reason="final_answer")
