# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The refund agent as a Temporal workflow: the loop is workflow code, the model and the tools are activities.

Temporal has no notion of a policy or an approval, so the workflow says those two things, and nothing else, in Runrecord's words.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    import json

    from runrecord.demo import shop
    from runrecord.instrumentation.temporal import approval, current, tool

QUEUE = "refunds"
SOON = timedelta(seconds=30)


@dataclass
class Refund:
    """What the tool gets, and the person is shown."""

    invoice_id: str
    amount: float


@activity.defn
@tool(read_only=True)
def lookup_customer(customer_id: str) -> str:
    """A tool of the agent."""
    return shop.lookup_customer(customer_id)


@activity.defn
@tool(read_only=True)
def list_invoices(customer_id: str) -> str:
    """A tool of the agent."""
    return shop.list_invoices(customer_id)


@activity.defn
@tool(effect="pay", target="payments", reversible=False, destructive=True, idempotent=False)
def create_refund(refund: Refund) -> str:
    """A tool of the agent, which pays."""
    return shop.create_refund(refund.invoice_id, refund.amount)


@activity.defn
def call_model(customer_id: str, turn: int) -> dict[str, Any] | None:
    """The model, which follows a script: the next tool call, or None when it is done."""
    (invoice,) = json.loads(shop.list_invoices(customer_id))
    refund = {"invoice_id": invoice["id"], "amount": invoice["amount"]}
    script = [("lookup_customer", customer_id), ("list_invoices", customer_id), ("create_refund", refund)]
    if turn >= len(script):
        return None
    name, argument = script[turn]
    return {"id": f"call-{customer_id}-{turn + 1}", "name": name, "argument": argument}


ACTIVITIES = [lookup_customer, list_invoices, create_refund, call_model]


@workflow.defn
class RefundAgent:
    """One request of one customer."""

    def __init__(self) -> None:
        self._waiting = False
        self._answer: bool | None = None

    @workflow.run
    async def run(self, customer_id: str) -> str:
        """The loop: ask the model, do what it says where that is allowed."""
        for turn in range(10):
            call = await workflow.execute_activity(
                call_model, args=[customer_id, turn], start_to_close_timeout=SOON
            )
            if call is None:
                break
            if call["name"] != "create_refund":
                await workflow.execute_activity(call["name"], call["argument"], start_to_close_timeout=SOON)
                continue
            refund = Refund(**call["argument"])
            if await self._may_be_paid(call["id"], refund):
                await workflow.execute_activity(create_refund, refund, start_to_close_timeout=SOON)
        return "Your request has been dealt with."

    async def _may_be_paid(self, call_id: str, refund: Refund) -> bool:
        decision = current().decision(
            shop.POLICY_ID,
            version=shop.POLICY_VERSION,
            subject=call_id,
            subject_name="create_refund",
            arguments=refund,
        )
        if shop.has_recent_chargeback(refund.invoice_id):
            decision.deny(rule="recent_chargeback", action="block")
            return False
        if not shop.needs_a_person(refund.invoice_id, refund.amount):
            decision.allow()
            return True
        decision.require_approval(rule="above_the_limit")
        self._waiting = True
        try:
            with approval("create_refund", arguments=refund, timeout=timedelta(days=3), call_id=call_id):
                await workflow.wait_condition(lambda: self._answer is not None, timeout=timedelta(days=3))
        except asyncio.TimeoutError:
            return False
        finally:
            self._waiting = False
        return self._answer is True

    @workflow.update
    def decide(self, approve: bool) -> str:
        """A person's answer."""
        self._answer = approve
        return "noted"

    @decide.validator
    def _only_while_it_waits(self, approve: bool) -> None:
        del approve
        if not self._waiting:
            raise ApplicationError("nothing waits for an answer")

    @workflow.query
    def waiting(self) -> bool:
        """Whether a person must answer."""
        return self._waiting
