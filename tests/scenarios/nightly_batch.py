# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Nobody asks: a schedule starts the run, and it works within limits.

A run that no person started still acts for somebody: the principal is the service that started it, and the grant says by
whose leave. Everything that was in force is on the run, since such runs are compared night by night: the autonomy, the
versions, the budget. This one stops before its limit, since it found more than it may decide alone, and hands over.
"""

from contextlib import suppress

from runrecord.instrumentation import Recorder

MATTERS = ("invoke_workflow", "runrecord.escalation")


def the_scheduler_starts_it(recorder: Recorder) -> None:
    with recorder.run(
        workflow="nightly-refunds",
        autonomy="draft",
        principal_ref="scheduler",
        principal_type="service",
        delegation_ref="grant-2026-0007",
        tenant_id="shop-eu",
        versions={
            "prompt": "sha256:6b51d431",
            "tool_schema": "sha256:a591a6d4",
            "retrieval_index": "kb-2026-11-20",
            "policy": "14",
            "agent": "refund-agent@3.2.0",
            "code": "c0a16b3",
        },
    ) as run:
        for attempt in range(2):
            with (
                suppress(TimeoutError),
                run.step("act"),
                run.tool(
                    "list_open_refunds", call_id="call-1", read_only=True, attempt=attempt or None
                ) as call,
            ):
                if not attempt:
                    raise TimeoutError
                call.result(["inv-7001", "inv-7003"])
        with run.step("plan"):
            with run.inference("gpt-5", provider="openai") as model:
                model.cost(0.0031, "USD")
            with run.inference("gpt-5-mini", provider="openai"):
                pass  # nobody knows what it costs
            run.verification("every_invoice_is_paid", subject="call-1").passed()
            run.request_approval(subject_type="run").approved(actor="policy", actor_ref="nightly-drafts")
        run.budget("nightly", dimension="cost", currency="USD", limit=1000, consumed=430, action="none")
        run.escalate("too_many_refunds", target_type="finance", target_ref="queue-3")
        run.finish(stop_reason="needs_a_person")
