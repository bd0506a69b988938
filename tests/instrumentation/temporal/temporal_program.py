# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Workflows and activities as applications write them; a module of its own, since the sandbox imports it again for every run."""

import asyncio
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from opentelemetry import trace
from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from runrecord.instrumentation import recorder
from runrecord.instrumentation.temporal import approval, current, tool

SOON = {"start_to_close_timeout": timedelta(seconds=20)}
ONCE = RetryPolicy(maximum_attempts=1)
PLANTED = "planted-4111-secret"

paid: list[Any] = []
seen: list[Any] = []
gate = threading.Event()


@dataclass
class Refund:
    invoice: str
    amount: float


@dataclass
class Answer:
    decision: str
    amount: float | None = None


@activity.defn
def lookup(customer: str) -> str:
    """A plain activity, in a thread."""
    seen.append((trace.get_current_span().get_span_context().span_id, threading.current_thread().name))
    return f"invoice of {customer}"


@activity.defn
async def notify(customer: str) -> None:
    """A plain activity, async."""


@activity.defn
@tool(effect="pay", target="payments", reversible=False, destructive=True)
async def create_refund(refund: Refund) -> str:
    """A tool."""
    paid.append(refund)
    return f"paid {refund.amount}"


@activity.defn
def send_mail(to: str, text: str) -> str:
    """Not marked as a tool."""
    return f"sent {text}"


@activity.defn
@tool(read_only=True)
async def flaky(times: int) -> str:
    """Fails some times."""
    if activity.info().attempt <= times:
        raise ApplicationError(PLANTED, type="Busy")
    return PLANTED


@activity.defn
async def expected() -> None:
    raise RuntimeError(PLANTED)


@activity.defn
async def endless() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.05)


tokens: list[bytes] = []


@activity.defn
async def later() -> str:
    """Completed by somebody else."""
    tokens.append(activity.info().task_token)
    activity.raise_complete_async()


@workflow.defn
class RefundWorkflow:
    """Asks by an update with a validator, or by signals."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.asked = False

    @workflow.run
    async def run(self, customer: str, amount: float = 80.0) -> str:
        invoice = await workflow.execute_activity(lookup, customer, **SOON)
        refund = Refund(invoice, amount)
        decision = current().decision(
            "refunds", version="14", subject="call", subject_name="create_refund", arguments=refund
        )
        if amount <= 50:
            decision.allow(rule="limit")
            return await workflow.execute_activity(create_refund, refund, **SOON)
        decision.require_approval(rule="limit")
        try:
            with approval(
                "create_refund", arguments=refund, timeout=timedelta(days=3), channel="web"
            ) as asked:
                self.asked = True
                await workflow.wait_condition(lambda: self.answer is not None, timeout=timedelta(days=3))
                if isinstance(self.answer, Answer) and self.answer.amount is not None:
                    refund = Refund(invoice, self.answer.amount)
                    asked.modified(arguments=refund, actor_ref="u-17")
        except asyncio.TimeoutError:
            return "expired"
        if not (
            self.answer is True or (isinstance(self.answer, Answer) and self.answer.decision == "approve")
        ):
            return "refused"
        return await workflow.execute_activity(create_refund, refund, **SOON)

    @workflow.update
    async def decide(self, answer: Answer) -> str:
        self.answer = answer
        return "noted"

    @decide.validator
    def check(self, answer: Answer) -> None:
        if not self.asked:
            raise ValueError(f"nothing to decide {PLANTED}")
        if answer.decision == "":
            raise ApplicationError(PLANTED)

    @workflow.signal
    def approve(self) -> None:
        self.answer = True

    @workflow.signal
    def reject(self, why: str) -> None:
        self.answer = False

    @workflow.signal
    def say(self, text: str) -> None:
        self.answer = text

    @workflow.query
    def is_asked(self) -> bool:
        return self.asked


@workflow.defn
class PlainWorkflow:
    """Nothing of ours."""

    def __init__(self) -> None:
        self.go = False

    @workflow.run
    async def run(self, what: str) -> str:
        if what == "steps":
            await workflow.execute_activity(lookup, PLANTED, **SOON)
            await workflow.execute_local_activity(notify, PLANTED, **SOON)
            await asyncio.gather(
                workflow.execute_activity(notify, "a", **SOON), workflow.execute_activity(lookup, "b", **SOON)
            )
            return str(await workflow.execute_activity(send_mail, args=["bob", PLANTED], **SOON))
        if what == "flaky":
            policy = RetryPolicy(initial_interval=timedelta(milliseconds=10))
            return await workflow.execute_activity(flaky, 2, retry_policy=policy, **SOON)
        if what == "error":
            await workflow.execute_activity(expected, retry_policy=ONCE, **SOON)
        if what == "cancel":
            await workflow.execute_activity(
                endless, heartbeat_timeout=timedelta(seconds=5), start_to_close_timeout=timedelta(seconds=60)
            )
        if what == "later":
            return await workflow.execute_activity(later, **SOON)
        if what == "random":
            first = workflow.uuid4()
            await workflow.execute_activity(notify, "a", **SOON)
            await workflow.wait_condition(lambda: self.go)
            return f"{first} {workflow.uuid4()} {workflow.random().random()}"
        return what

    @workflow.update
    def set_go(self, value: bool) -> bool:
        self.go = value
        return value

    @set_go.validator
    def no_other(self, value: bool) -> None:
        if not value:
            raise ValueError("no")

    no_other.policy_id = "going"  # type: ignore[attr-defined]
    no_other.policy_version = "2"  # type: ignore[attr-defined]


@workflow.defn
class ParentWorkflow:
    @workflow.run
    async def run(self, customer: str) -> str:
        await workflow.execute_activity(notify, customer, **SOON)
        return await workflow.execute_child_workflow(
            PlainWorkflow.run, "child", id=f"{workflow.info().workflow_id}-child"
        )


@workflow.defn
class ChainWorkflow:
    @workflow.run
    async def run(self, left: int) -> str:
        await workflow.execute_activity(notify, "x", **SOON)
        if left:
            workflow.continue_as_new(left - 1)
        return "done"


@workflow.defn
class RetriedWorkflow:
    @workflow.run
    async def run(self) -> str:
        await workflow.execute_activity(notify, "x", **SOON)
        if workflow.info().attempt < 3:
            raise ApplicationError(PLANTED)
        return "third"


@workflow.defn
class ByHandWorkflow:
    """Records with the recorder, as code does that knows nothing of Temporal."""

    def __init__(self) -> None:
        self.go = False

    @workflow.run
    async def run(self) -> str:
        scope = recorder.current()
        with current().step("plan", name="think"):
            current().decision("budget", subject_type="run").allow()
        await workflow.wait_condition(lambda: self.go)
        current().decision("budget", subject_type="run").deny(action="warn")
        return "with a scope" if scope is not None else "without"

    @workflow.signal
    def proceed(self) -> None:
        self.go = True


WORKFLOWS = [RefundWorkflow, PlainWorkflow, ParentWorkflow, ChainWorkflow, RetriedWorkflow, ByHandWorkflow]
ACTIVITIES = [lookup, notify, create_refund, send_mail, flaky, expected, endless, later]
