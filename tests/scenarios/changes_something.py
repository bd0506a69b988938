# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The agent changes something, and repeats the call.

Say what kind of effect a tool has and on which system: that is what somebody asks first when a run went wrong. `reversible`
says whether it can be undone, `effect(ref=...)` by which reference the other system knows it. That it took place
(`side_effect.committed`) is set for you when the call ends without an error. Record the decision that let it happen, too,
before the call. The idempotency key itself is never recorded, but a keyed commitment to it may be, by which calls with
the same key are matched. The second call carries the same one, and the payment service answers it with the first result, so
that no second effect is claimed.
"""

from runrecord.instrumentation import Recorder

MATTERS = ("execute_tool create_refund", "execute_tool create_refund")
REFUND = {"invoice": "inv-7002", "amount": 42.0}
KEY_REF = "hmac-sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"


def pays_once(recorder: Recorder) -> None:
    with recorder.run("refund-agent", conversation_id="thread-7", autonomy="autonomous") as run:
        for call_id, repeated in (("call-1", False), ("call-2", True)):
            with run.step("act"):
                run.decision("refunds", version="14", subject=call_id, arguments=REFUND).allow(
                    rule="under_50_usd"
                )
                with run.tool(
                    "create_refund",
                    call_id=call_id,
                    arguments=REFUND,
                    effect="pay",
                    target="payments",
                    reversible=False,
                    read_only=False,
                    destructive=True,
                    idempotent=True,
                    open_world=True,
                ) as call:
                    call.idempotency(key_present=True, ref=KEY_REF, deduplicated=repeated)
                    call.effect(ref="re-0001")
                    call.result({"refund": "re-0001"})
