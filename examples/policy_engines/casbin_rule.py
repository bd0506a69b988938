# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The rule in casbin."""

import casbin

MODEL = """
[request_definition]
r = sub, act, invoice, amount

[policy_definition]
p = sub, act

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = r.sub == p.sub && r.act == p.act && r.amount <= 50
"""

model = casbin.Model()
model.load_model_from_text(MODEL)
enforcer = casbin.Enforcer(model)
enforcer.add_policy("refund-agent", "refund")
enforcer.policy_id = "refunds"  # a plain attribute; without it the policy is called casbin


def may_refund(agent: str, invoice_id: str, amount: float) -> bool:
    """Ask casbin."""
    allowed: bool = enforcer.enforce(agent, "refund", invoice_id, amount)
    return allowed
