# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A guardrail looks at what goes to a model and what comes from it.

A guardrail that decides is a policy, with the engine `guardrail`; its subject is `model_input` or `model_output`, and of
the text only a commitment is kept. What it did is the action: here it removed a card number and let the message through.
In `monitor` mode the outcome is recorded and nothing is stopped: the run ends as if it had not been there. A guardrail
that only scores decides nothing; record its score as an evaluation (see `checked_and_undone`).
"""

from runrecord.instrumentation import Recorder

MATTERS = ("policy_decision pii", "policy_decision tone")


def looks_at_both_sides(recorder: Recorder) -> None:
    with recorder.run("refund-agent", conversation_id="thread-7") as run, run.step("plan"):
        run.decision(
            "pii",
            version="2026-11",
            engine="guardrail",
            mode="enforce",
            subject="message-1",
            subject_type="model_input",
            content="Please refund my invoice to card [card].",
        ).allow(rule="card_number", action="redact", reason="card_number_removed")
        with run.inference("gpt-5", provider="openai"):
            pass
        run.decision(
            "tone",
            version="3",
            engine="guardrail",
            mode="monitor",
            subject="message-2",
            subject_type="model_output",
            content="You will get your money when we feel like it.",
        ).deny(rule="rude", action="warn", reason="rude_answer")
