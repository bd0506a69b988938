# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Things break: the policy engine, a check, an attempt to undo, the run itself.

Status ERROR is for what could not be done, never for an unwelcome answer. A policy that could not be evaluated has no
outcome but an error; whether the call may then run is the application's rule, here that it may not. A check that could
not run is inconclusive. An effect that could not be undone has the outcome `failed` and stands. Use each object
with `with`, and the class of an exception that leaves the block is recorded, never its text.
"""

from contextlib import suppress

from runrecord.instrumentation import Recorder

MATTERS = ("policy_decision", "verify", "compensate", "invoke_workflow")


class ServiceDownError(Exception):
    """Something does not answer."""


def nothing_works(recorder: Recorder) -> None:
    with (
        suppress(ServiceDownError),
        recorder.run("refund-agent", conversation_id="thread-17") as run,
        run.step("act"),
    ):
        with run.tool("create_refund", call_id="call-1", effect="pay", target="payments") as paid:
            pass
        with suppress(ServiceDownError), run.decision("refunds", subject="call-2"):
            raise ServiceDownError
        with suppress(ServiceDownError), run.verification("refund_matches_invoice", subject="call-1"):
            raise ServiceDownError
        with suppress(ServiceDownError), run.compensation("create_refund", subject_id="call-1", of=paid):
            raise ServiceDownError
        raise ServiceDownError
    with suppress(ServiceDownError), recorder.run(workflow="nightly-refunds"):
        raise ServiceDownError
