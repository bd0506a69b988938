# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""Recording agents of Pydantic AI: runs, steps, tool calls, policy decisions, approvals, across processes.

Nothing changes in the program. Either run it under ``opentelemetry-instrument``, or switch the recording on in code::

    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
    from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, ModelMessagesTypeAdapter
    from pydantic_ai.models.test import TestModel
    from runrecord.instrumentation.pydantic_ai import PydanticAIInstrumentor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + "\n")))
    trace.set_tracer_provider(provider)
    PydanticAIInstrumentor().instrument()

    agent = Agent(TestModel(), name="refund-agent", output_type=[str, DeferredToolRequests])

    @agent.tool_plain(requires_approval=True)
    def create_refund(amount: float) -> str:
        return "paid"

    first = agent.run_sync("Please refund my last order.")
    (waiting,) = first.output.approvals
    saved = first.all_messages_json()  # days pass, and another process goes on
    agent.run_sync(
        message_history=ModelMessagesTypeAdapter.validate_json(saved),
        deferred_tool_results=DeferredToolResults(approvals={waiting.tool_call_id: True}),
    )

=======================================================  =====================================================
in the program                                           span
=======================================================  =====================================================
``run``, ``run_sync``, ``run_stream``, ``iter``          ``invoke_agent {agent}``, or the SDK's own span with our
                                                         attributes; a run that waits ends as suspended, its
                                                         continuation is the next segment of the same run in the
                                                         same trace
model request                                            ``agent_step act``; what follows from it belongs to it
tool of a function, of an MCP server, output function    ``execute_tool {tool}``, or the SDK's own span with our
                                                         attributes
``requires_approval``, ``ApprovalRequired``,             ``policy_decision {policy}``, with allow or
``ApprovalRequiredToolset``                              require_approval; below ``execute_tool`` where the SDK asks
                                                         only when the tool is called, with
                                                         ``runrecord.side_effect.committed`` false
hook that raises ``SkipToolExecution``, ``ModelRetry``   ``policy_decision {policy}``, with deny
or ``ToolFailed``, or answers in the tool's place;
argument and output validator; content filter of the
provider; ``UsageLimits``, ``timeout``
``DeferredToolRequests``                                 ``request_approval {tool}``
``DeferredToolResults``, of the next run or of a         ``approval_decision {tool}``: approved, denied, modified
``HandleDeferredToolCalls`` handler                      (``override_args``); expired or cancelled if the handler
                                                         gave up or was stopped
=======================================================  =====================================================

**Ids.** The run id follows from the SDK's run id of the first segment, which the message history carries to other
processes. An approval's key is the conversation id, which the history carries too, and the tool call id.

**The SDK's own instrumentation** (``Agent.instrument_all()``, the ``Instrumentation`` capability, Logfire) may be on or off. Its
spans are enriched, never doubled; token counts are its own. It puts prompts, arguments and results on its spans unless you
give it ``InstrumentationSettings(include_content=False)``.

**What the SDK has no field for** is read from where a program can put it:

- ``metadata`` of the agent or the run: ``runrecord.run.autonomy``, ``runrecord.principal.ref``, ``runrecord.principal.type`` and
  ``runrecord.version.*``.
- ``metadata`` of a tool: ``readOnlyHint``, ``destructiveHint``, ``idempotentHint``, ``openWorldHint``, ``runrecord.side_effect.type``,
  ``.target``, ``.reversible``, and for ``requires_approval`` ``runrecord.policy.id``, ``.version`` and ``runrecord.policy.rule.id``. An
  MCP server's annotations are read as they are.
- ``metadata`` of ``ApprovalRequired``: the policy, ``runrecord.approval.deadline`` (RFC 3339) and ``runrecord.approval.channel``.
- ``DeferredToolResults.answered_by``, or in its ``metadata`` of the call ``runrecord.approval.actor.ref`` (an opaque id), ``.actor.type``,
  ``.scope``, ``.channel`` and ``.reason_code``. Results given to a run are a human's answer unless they say otherwise, those of a
  handler inside of the run a policy's.
- attributes ``policy_id``, ``policy_version`` and ``policy_rule`` of a capability, or of a function that is a hook, a validator or the
  rule of an ``ApprovalRequiredToolset``. Without them the policy is called as the capability or the function is. A hook that
  answers calls and is no policy, such as a cache, says so with ``policy_id = None``.

**What is not recorded.** Content, unless ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` asks for it: prompts, arguments,
results, exception texts and what policies looked at appear as keyed commitments. Model calls: the SDK's own instrumentation
makes those spans. Tools that the provider or another system runs (``CallDeferred`` suspends the run, its answer continues it).
Realtime sessions. Runs inside of a durable workflow, which its engine executes again and again: those of DBOS and Prefect are not
recorded, and in Temporal's they are recorded by Temporal's integration. The time of an answer that was given in one process and run in another: the decision is recorded when the run goes on.

**Nested runs.** An agent that a tool calls belongs to the run around it: its steps and tool calls are that run's, and its
own ``invoke_agent`` span is a plain one.
"""

from collections.abc import Collection
from types import ModuleType
from typing import TYPE_CHECKING, Any

from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.pydantic_ai.package import CAPABILITIES, INSTRUMENTS
from runrecord.instrumentation.recorder import Recorder

if TYPE_CHECKING:
    from runrecord.instrumentation.pydantic_ai.patch import Patch

__all__ = ["CAPABILITIES", "PydanticAIInstrumentor"]


class PydanticAIInstrumentor(Instrumentor):
    """Records what agents of Pydantic AI do."""

    scope = "runrecord.instrumentation.pydantic_ai"

    _applied: "Patch | None" = None
    _imports: OnImport | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the supported releases of the SDK."""
        return INSTRUMENTS

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        del kwargs

        def apply(module: ModuleType) -> None:
            del module
            from runrecord.instrumentation.pydantic_ai.patch import Patch  # noqa: PLC0415  # it imports the SDK

            self._applied = Patch(recorder)
            self._applied.apply()

        self._imports = OnImport()
        self._imports.when("pydantic_ai", apply)

    def _unpatch(self, **kwargs: Any) -> None:
        del kwargs
        if self._imports is not None:
            self._imports.disarm()
        if self._applied is not None:
            self._applied.remove()
            self._applied = None
