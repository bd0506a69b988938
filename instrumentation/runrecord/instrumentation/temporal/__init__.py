# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""Recording Temporal: workflows as runs, activities as steps and tool calls, update validators as policies, and approvals.

Workers and clients need no change, no interceptor and no pass-through module. Run them under ``opentelemetry-instrument``, or switch the
recording on in code, before the client is made. Only an approval has to be said, in one line, since Temporal has no notion of one::

    import asyncio
    from datetime import timedelta

    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
    from runrecord.instrumentation.temporal import TemporalInstrumentor, answering, approval, tool
    from temporalio import activity, workflow
    from temporalio.testing import WorkflowEnvironment
    from temporalio.worker import Worker

    @activity.defn
    @tool(effect="pay", target="payments", reversible=False)
    async def create_refund(amount: float) -> str:
        return "paid"

    @workflow.defn
    class RefundWorkflow:
        def __init__(self) -> None:
            self.answer: bool | None = None

        @workflow.run
        async def run(self, amount: float) -> str:
            with approval("create_refund", arguments={"amount": amount}, timeout=timedelta(days=3)):
                await workflow.wait_condition(lambda: self.answer is not None, timeout=timedelta(days=3))
            if not self.answer:
                return "refused"
            soon = timedelta(seconds=10)
            return await workflow.execute_activity(create_refund, amount, start_to_close_timeout=soon)

        @workflow.update
        def decide(self, approved: bool) -> None:
            self.answer = approved

    async def main() -> None:
        exporter = ConsoleSpanExporter(formatter=lambda span: span.name + "\n")
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        TemporalInstrumentor().instrument()
        async with await WorkflowEnvironment.start_time_skipping() as server:
            refunds = {"task_queue": "refunds", "workflows": [RefundWorkflow], "activities": [create_refund]}
            async with Worker(server.client, **refunds):
                handle = await server.client.start_workflow(
                    RefundWorkflow.run, 80.0, id="refund-7", task_queue="refunds"
                )
                with answering("u-17"):  # who answers: an opaque reference
                    await handle.execute_update(RefundWorkflow.decide, True)
                print(await handle.result())

    if __name__ == "__main__":
        asyncio.run(main())

=======================================================  =====================================================
in the program                                           span
=======================================================  =====================================================
workflow                                                 ``invoke_workflow {workflow}``
child workflow                                           the same, a run of its own below its parent's span
``wait_condition`` with an approval pending, continue    the segment ends as suspended; what is recorded next
as new, a failure that is retried                        is in the next segment of the same run
activity, local activity                                 ``agent_step act``, one per attempt; ``plan`` for the
                                                         model calls of agent plug-ins
activity that is a tool                                  the same, with ``execute_tool {activity}`` inside
validator of an update                                   ``policy_decision {update}``: accepted is allow,
                                                         rejected is deny
``approval(...)``                                        ``request_approval {tool}``, ``approval_decision {tool}``
``current().decision(...)``, ``.step(...)`` and so on    what they say; a replay records nothing again
query                                                    nothing
=======================================================  =====================================================

**Which activities are tools.** Those marked with ``tool(...)``, which sets a plain attribute ``metadata`` (MCP's hints and
``runrecord.side_effect.*``); those that an approval was asked for by name; and those that an agent's tool call starts. Without any
of that an activity is a step.

**The answer.** When the ``with`` block ends, the answer is read from what was said since the request: the last update or signal that is a
clear yes or no. That is a boolean or one of the usual words as an argument, a field ``approved``, ``decision``, ``action`` or the like of
an argument, or a name such as ``approve`` or ``reject_refund``. Anything else ends the request as answered. A
timeout that leaves the block is expired, a cancellation cancelled. The methods ``approved``, ``denied``, ``modified``, ``answered``,
``expired`` and ``cancelled`` say it explicitly, with or without a block. Who answers is a ``service``, unless the client says ``with answering("u-17")``
or the method gets an ``actor_ref``. A workflow never reads anything back: what it does can't depend on what is recorded.

**What the SDK has no field for** is read from where a program can put it: ``memo`` of the workflow has ``runrecord.run.autonomy``,
``runrecord.principal.ref``, ``runrecord.principal.type``, ``runrecord.tenant.id`` and ``runrecord.version.*``; attributes ``policy_id``, ``policy_version``
and ``policy_rule`` of a validator or its update name the policy (``policy_id = None`` says that it is none).

**Ids and processes.** The run id is Temporal's id of the first execution in the chain, the conversation is the workflow id. Segments are
counted from the history, so that every worker comes to the same number. A worker that loses a workflow in the middle of a segment
(``handed_over``) says how many records it made; the next goes on with that segment under its own source. One that is killed leaves its
source unclosed, which a ledger names. Every attempt at an activity is a source of its own. One header, ``runrecord``, carries the trace
context, the run, the step and the call to activities, child workflows and the next execution; Temporal keeps it in the history. The
link from an answer to its request needs a context store that the workers share; ids and digests agree without one.

**Replays.** What is recorded never makes a command, a timer or a random number: histories replay with this and without. A ``Replayer``
records nothing. Where the instrumentation is off, ``approval`` and ``current`` do nothing; custom ``SandboxRestrictions`` that were made
before this package was imported need ``with_passthrough_modules("runrecord")``.

**Beside others.** Temporal's ``TracingInterceptor`` and ``OpenTelemetryPlugin`` keep their spans and ids; their ``RunActivity`` span is the
step, instead of one of ours. An agent of the OpenAI Agents SDK or of Pydantic AI and a graph of LangGraph that run in a workflow by
their plug-ins are part of the workflow's run, whose code runs again on every replay: their own integrations record nothing there. What
they ask (interruptions, deferred calls, interrupts) and what the workflow answers (``RunState.approve``, ``DeferredToolResults``,
``Command(resume=...)``) are the approvals, and their activities the steps and tool calls.

**Limits.** An activity of a process pool has no current span in its process. An attempt whose worker dies leaves no span. An activity that is
completed by somebody else (``raise_complete_async``) ends without a claim of success. Nexus operations and standalone activities are not
recorded. A tool or node of an agent that is no activity, but runs in the workflow's code, is not seen, nor is an interrupt in a stream
whose modes have neither updates nor values. Tools that a node of LangGraph calls in its activity are seen by LangGraph's integration.
"""

import sys
from collections.abc import Collection
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.recorder import Recorder
from runrecord.instrumentation.temporal.package import CAPABILITIES, INSTRUMENTS
from runrecord.instrumentation.temporal.tools import tool

if TYPE_CHECKING:
    from runrecord.instrumentation.temporal._langgraph import AgentsPatch as LangGraphPatch
    from runrecord.instrumentation.temporal._openai_agents import AgentsPatch
    from runrecord.instrumentation.temporal._pydantic_ai import AgentsPatch as PydanticAIPatch
    from runrecord.instrumentation.temporal.approvals import answering, approval, current
    from runrecord.instrumentation.temporal.patch import Patch

__all__ = ["CAPABILITIES", "TemporalInstrumentor", "answering", "approval", "current", "tool"]


_CLIENT: Final = "temporalio.client"
_WORKER: Final = "temporalio.worker"
# What hooks into an agent SDK, by the modules that bring it into workflows: a plug-in may have either home.
_PLUGINS: Final = {
    "_openai_agents": ("temporalio.openai_agents", "temporalio.contrib.openai_agents"),
    "_langgraph": ("temporalio.langgraph", "temporalio.contrib.langgraph"),
    "_pydantic_ai": ("pydantic_ai.durable_exec.temporal",),
}


class TemporalInstrumentor(Instrumentor):
    """Records what workflows and activities of Temporal do."""

    scope = "runrecord.instrumentation.temporal"

    _applied: "Patch | None" = None
    _agents: "dict[str, AgentsPatch | LangGraphPatch | PydanticAIPatch]"
    _imports: OnImport | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the supported releases of the SDK."""
        return INSTRUMENTS

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        del kwargs

        ready: set[str] = set()
        applying = False

        def apply(module: ModuleType) -> None:
            nonlocal applying
            ready.add(module.__name__)
            # Each imports parts of the other, in whichever order; what is half imported can't be hooked into.
            if (
                _CLIENT not in ready
                or (_WORKER in sys.modules and _WORKER not in ready)
                or self._applied is not None
                or applying
            ):
                return
            applying = True  # the next line imports the worker, which comes here again
            from runrecord.instrumentation.temporal.patch import Patch  # noqa: PLC0415  # it imports the SDK

            self._applied = Patch(recorder)
            self._applied.apply()

        agents = self._agents = {}

        def with_agents(name: str, module: ModuleType) -> None:
            del module
            if name not in agents:
                agents[name] = import_module(f"{__name__}.{name}").AgentsPatch()
                agents[name].apply()

        self._imports = OnImport()
        self._imports.when(_CLIENT, apply)
        self._imports.when(_WORKER, apply)
        for name, homes in _PLUGINS.items():
            for home in homes:
                self._imports.when(home, partial(with_agents, name))

    def _unpatch(self, **kwargs: Any) -> None:
        del kwargs
        if self._imports is not None:
            self._imports.disarm()
        for patch in self._agents.values():
            patch.remove()
        self._agents.clear()
        if self._applied is not None:
            self._applied.remove()
            self._applied = None


def __getattr__(name: str) -> Any:
    """Import what workflows use, and with it the SDK, when it is asked for."""
    if name in {"answering", "approval", "current"}:
        return getattr(import_module("runrecord.instrumentation.temporal.approvals"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
