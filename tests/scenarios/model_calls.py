# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Model calls: what was in force, what was said, what it cost.

A model call is an official span, and best left to the model client's instrumentation: `inference` finds the span that is
current and adds the run, the step and the cost to it, and makes one only where there is none. It is evidence, not a governed
record, so no ledger counts it. What a call cost goes on that span, never on its parents, or it is counted twice. The run
says which versions were in force, since "what changed?" is the first question after "what happened?". Texts are recorded only where the standard
variable `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says so, as here, and are redacted before they leave.
"""

from runrecord.instrumentation import Recorder

MATTERS = ("invoke_agent", "chat", "execute_tool")
CAPTURE_MESSAGE_CONTENT = "SPAN_ONLY"


def asks_a_model(recorder: Recorder) -> None:
    with recorder.run(
        "refund-agent",
        conversation_id="thread-7",
        tenant_id="shop-eu",
        prompt_name="refund-triage",
        prompt_version="7",
        versions={
            "prompt": "sha256:6b51d431",
            "tool_schema": "sha256:a591a6d4",
            "policy": "14",
            "agent": "refund-agent@3.2.0",
            "code": "c0a16b3",
        },
    ) as run:
        run.given("Please refund my last invoice.")
        with (
            run.step("plan"),
            run.inference(
                "gpt-5",
                provider="openai",
                prompt_name="refund-triage",
                prompt_version="7",
                versions={"prompt": "sha256:6b51d431", "tool_schema": "sha256:a591a6d4"},
            ) as model,
        ):
            model.usage(input_tokens=812, output_tokens=64, response_model="gpt-5-2026-08-01")
            model.cost(0.0031, "USD", source="price_table")
        with (
            run.step("act"),
            run.tool(
                "translate",
                tool_type="function",
                description="Translates a text.",
                call_id="call-1",
                arguments={"to": "de"},
                effect="none",
            ) as call,
        ):
            call.cost(0.002, "USD", source="provider")
            call.result({"text": "Ihre Erstattung ist unterwegs."})
        run.answered("Your refund is on its way.")
