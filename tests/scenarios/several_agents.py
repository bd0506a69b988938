# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Several agents take part: a workflow, a handoff, a nested agent, a delegation.

The outermost span is the run, here of a workflow. An agent that works inside it is an ordinary `invoke_agent` span without
any `runrecord.*`: it has no run of its own, and what it does counts for the run around it. Passing on to it is a step of
the kind `handoff`, and a policy may have to agree. An agent that acts on another's behalf in a run of its own names that
agent as its principal, and the grant under which it acts.
"""

from contextlib import AbstractContextManager
from typing import Any

from runrecord.instrumentation import Recorder

MATTERS = ("invoke_workflow", "policy_decision who-may-do-what", "invoke_agent payments-agent")


def triage_passes_on(recorder: Recorder) -> None:
    with recorder.run(
        workflow="refunds", conversation_id="thread-15", principal_ref="c-100", principal_type="user"
    ) as run:
        with run.step("route"), _nested_agent(recorder, "triage-agent"):
            pass  # decides that this is about a refund
        with run.step("handoff"):
            run.decision(
                "who-may-do-what", engine="openfga", subject="refund-agent", subject_type="handoff"
            ).allow()
        with (
            run.step("act"),
            _nested_agent(recorder, "refund-agent"),
            run.tool("ask_payments_agent", effect="none"),
        ):
            _the_payments_agent_pays(recorder)


def _the_payments_agent_pays(recorder: Recorder) -> None:
    with (
        recorder.run(
            "payments-agent",
            principal_ref="refund-agent",
            principal_type="agent",
            delegation_ref="grant-2026-0041",
            autonomy="autonomous",
        ) as run,
        run.step("act"),
    ):
        run.decision("refunds", version="14", subject="call-1").allow()
        with run.tool("create_refund", call_id="call-1", effect="pay", target="payments") as call:
            call.result({"refund": "re-0001"})


def _nested_agent(recorder: Recorder, name: str) -> AbstractContextManager[Any]:
    """The span that an agent SDK makes for each of its agents."""
    return recorder.tracer.start_as_current_span(
        f"invoke_agent {name}",
        attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name},
    )
