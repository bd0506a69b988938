# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The agent retrieves documents, and a policy decides which of them it may see.

The retrieval itself is an official span, made by the client's instrumentation. What a policy decided about it has the
subject `retrieval`; and the run names the version of the index, because the same question a week later may find other
documents.
"""

from runrecord.instrumentation import Recorder

MATTERS = ("policy_decision", "invoke_agent")


def looks_up_the_rules(recorder: Recorder) -> None:
    with recorder.run("refund-agent", versions={"retrieval_index": "kb-2026-11-20"}) as run, run.step("plan"):
        run.decision(
            "documents",
            engine="cedar",
            subject="kb",
            subject_type="retrieval",
            subject_name="kb",
        ).allow(rule="public_only", action="modify", reason="internal_documents_left_out")
        with recorder.tracer.start_as_current_span(
            "retrieval kb",
            attributes={"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "kb"},
        ):
            pass
