# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""Recording agents of the OpenAI Agents SDK: runs, turns, tool calls, guardrails, approvals, across processes.

Nothing changes in the program. Either run it under ``opentelemetry-instrument``, or switch the recording on in code::

    import asyncio
    from agents import Agent, Runner, RunState, function_tool
    from agents.testing import ScriptedModel, assistant_message, function_call
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
    from runrecord.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + "\n")))
    trace.set_tracer_provider(provider)
    OpenAIAgentsInstrumentor().instrument()

    @function_tool(needs_approval=True)
    def create_refund(amount: float) -> str:
        return "paid"

    call = function_call("create_refund", '{"amount": 80.0}', call_id="call_1")
    model = ScriptedModel([[call], [assistant_message("Done.")]])
    agent = Agent(name="refund-agent", model=model, tools=[create_refund])

    async def main() -> None:
        result = await Runner.run(agent, "Please refund my last order.")
        saved = result.to_state().to_json()  # days pass, and another process goes on
        state = await RunState.from_json(agent, saved)
        state.approve(state.get_interruptions()[0])
        await Runner.run(agent, state)

    asyncio.run(main())

=======================================================  =====================================================
in the program                                           span
=======================================================  =====================================================
``Runner.run``, ``run_sync``, ``run_streamed``           ``invoke_agent {agent}``; a run that waits ends as
                                                         suspended, its continuation is the next segment of
                                                         the same run in the same trace
turn, handoff                                            ``agent_step act``, ``agent_step handoff``
local tool                                               ``execute_tool {tool}``, or the span of
                                                         opentelemetry-instrumentation-genai-openai-agents or of
                                                         openinference-instrumentation-openai-agents, which keeps
                                                         its name, with our attributes
guardrail of any kind, ``needs_approval``                ``policy_decision {policy}``
``result.interruptions``                                 ``request_approval {tool}``
``state.approve``, ``state.reject``                      ``approval_decision {tool}``, when the state is run
``on_approval``, ``on_approval_request``                 ``request_approval``, and ``approval_decision`` of the actor
                                                         type policy
later calls of what was answered for always              ``policy_decision {policy}``, allow or deny, with the reason
                                                         always_approved or always_rejected; no new request
``max_turns`` reached                                    the outcome budget_exceeded, and the budget max_turns
``RealtimeRunner.run``                                   ``invoke_agent {agent}`` from its connection to its close
``session.approve_tool_call``, ``reject_tool_call``      ``approval_decision {tool}``; what nobody answered is
                                                         cancelled when the session closes
=======================================================  =====================================================

**Ids.** The run id follows from the SDK's trace id, which a ``RunState`` carries to other processes. Where a run starts an
OpenTelemetry trace, the SDK gets the same trace id. An approval's key is the trace id and the call id; with the SDK's
tracing switched off, the group, conversation or session id stands in for the trace id.

**What the SDK has no field for** is read from where a program can put it:

- ``RunConfig.trace_metadata``, of a realtime session the ``metadata`` of its tracing settings: ``runrecord.approval.actor.ref``
  (who answered; an opaque id), ``runrecord.run.autonomy``, ``runrecord.principal.ref``, ``runrecord.principal.type`` and
  ``runrecord.version.*``. The SDK's own exporter sends it too.
- an attribute ``metadata`` of a tool, or of its function: a mapping with ``readOnlyHint``, ``destructiveHint``,
  ``idempotentHint``, ``openWorldHint``, ``runrecord.side_effect.type``, ``.target`` and ``.reversible``.
- attributes ``policy_id``, ``policy_version`` and ``policy_rule`` of a guardrail's or ``needs_approval`` function. Without
  them the policy is called as the guardrail is.

**What is not recorded.** Content, unless ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` asks for it: messages, arguments,
results and what guardrails looked at appear as keyed commitments. Model calls: the official OpenAI instrumentation makes
those spans. What tools do that OpenAI hosts: of a hosted MCP server the approvals are recorded, not the call. Voice
pipelines. Runs inside of a Temporal workflow, which the integration of Temporal records. The time of an answer that was given in
one process and run in another: the decision is recorded when the state is run. The SDK lets nobody approve other arguments than those that were shown, and its requests have no deadline, so no
answer is modified or expired. A guardrail that runs before and after a person is asked is two decisions. The SDK's trace processors and exporters
stay as they are; one processor of ours is added.

**Beside other instrumentations.** Those spans of tools are enriched, in whichever order the packages are switched on. Their
spans of the SDK's trace and of each agent in it start below the run's span and stay as they are: the run, which starts
before the SDK's trace and lasts over its segments, is ours alone. Tokens are theirs to count.

**Nested runs.** An agent that runs as a tool, or inside of a guardrail, belongs to the run around it: its steps and tool
calls are that run's, and its own ``invoke_agent`` span is a plain one. A realtime session that a run opens is not recorded.
"""

from collections.abc import Collection
from types import ModuleType
from typing import TYPE_CHECKING, Any

from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.openai_agents.package import CAPABILITIES, INSTRUMENTS
from runrecord.instrumentation.recorder import Recorder

if TYPE_CHECKING:
    from runrecord.instrumentation.openai_agents.patch import Patch
    from runrecord.instrumentation.openai_agents.patch_realtime import RealtimePatch

__all__ = ["CAPABILITIES", "OpenAIAgentsInstrumentor"]


class OpenAIAgentsInstrumentor(Instrumentor):
    """Records what agents of the OpenAI Agents SDK do."""

    scope = "runrecord.instrumentation.openai_agents"

    _applied: "Patch | None" = None
    _realtime: "RealtimePatch | None" = None
    _imports: OnImport | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the supported releases of the SDK."""
        return INSTRUMENTS

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        del kwargs

        def apply(module: ModuleType) -> None:
            if not hasattr(module, "RunState"):
                return  # the application has a package of that name, too
            from runrecord.instrumentation.openai_agents.patch import Patch  # noqa: PLC0415  # it imports the SDK

            self._applied = Patch(recorder)
            self._applied.apply()

        def apply_to_sessions(module: ModuleType) -> None:
            if self._applied is None:
                return
            from runrecord.instrumentation.openai_agents.patch_realtime import RealtimePatch  # noqa: PLC0415

            self._realtime = RealtimePatch(recorder)
            self._realtime.apply(module)

        self._imports = OnImport()
        # The package imports all of its modules before it is done, so this one hook is in time for all of them.
        self._imports.when("agents", apply)
        self._imports.when("agents.realtime.session", apply_to_sessions)

    def _unpatch(self, **kwargs: Any) -> None:
        del kwargs
        if self._imports is not None:
            self._imports.disarm()
        if self._applied is not None:
            self._applied.remove()
            self._applied = None
        if self._realtime is not None:
            self._realtime.remove()
            self._realtime = None
