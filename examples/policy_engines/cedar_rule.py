# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The rule in Cedar."""

from cedarpy import is_authorized

POLICIES = """
@id("refunds")
permit (principal == Agent::"refund-agent", action == Action::"refund", resource);

@id("over_50_usd")
forbid (principal, action == Action::"refund", resource) when { context.cents > 5000 };
"""


def may_refund(agent: str, invoice_id: str, amount: float) -> bool:
    """Ask Cedar."""
    request = {
        "principal": f'Agent::"{agent}"',
        "action": 'Action::"refund"',
        "resource": f'Invoice::"{invoice_id}"',
        "context": {"cents": round(amount * 100)},
    }
    return is_authorized(request, POLICIES, []).allowed
