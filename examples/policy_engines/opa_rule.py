# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The rule in Rego, at the OPA server that ``OPA_URL`` names; to record its decisions, ``RUNRECORD_OPA_URLS`` names it, too."""

import os

import httpx

POLICY = """
package refunds

default allow := false

allow if {
    input.agent == "refund-agent"
    input.amount <= 50
}
"""


def may_refund(agent: str, invoice_id: str, amount: float) -> bool:
    """Ask OPA, which is given the policy first."""
    asked = {"agent": agent, "invoice": invoice_id, "amount": amount}
    with httpx.Client(base_url=os.environ.get("OPA_URL", "http://localhost:8181")) as opa:
        opa.put("/v1/policies/refunds", content=POLICY).raise_for_status()
        answer = opa.post("/v1/data/refunds/allow", json={"input": asked})
        allowed: bool = answer.raise_for_status().json()["result"]
        return allowed
