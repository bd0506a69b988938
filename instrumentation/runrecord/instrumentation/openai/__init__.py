# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""Recording agents on OpenAI's Responses and Chat Completions: tool runners, hosted tools, approvals, provider policies.

Nothing changes in the program. Either run it under ``opentelemetry-instrument``, or switch the recording on in code::

    from openai import OpenAI
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
    from runrecord.instrumentation.openai import OpenAIInstrumentor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + "\n")))
    trace.set_tracer_provider(provider)
    OpenAIInstrumentor().instrument()

    client = OpenAI()
    payments = {"type": "mcp", "server_label": "payments", "server_url": "https://...", "require_approval": "always"}
    first = client.responses.create(model="gpt-5", input="Please refund my last order.", tools=[payments])
    asked = next(item for item in first.output if item.type == "mcp_approval_request")

    # days pass, and another process goes on
    answer = {"type": "mcp_approval_response", "approval_request_id": asked.id, "approve": True}
    client.responses.create(model="gpt-5", input=[answer], previous_response_id=first.id, tools=[payments])

``examples/openai_responses`` is a program that runs without a key and without a network.

=======================================================  =====================================================
in the program                                           span
=======================================================  =====================================================
``ResponsesToolRunner``, ``DecisionsToolRunner`` and     ``invoke_agent {agent}``; with a ledger, a restored
``ComputerToolset.run``, sync and async                  runner is the next segment of the same run
a call with a hosted MCP server or a computer,           ``invoke_agent {agent}``; one that a person or the
outside of any run                                       application must answer ends as suspended
call of the model within a run                           ``agent_step act`` (in a run that another integration
                                                         or the program itself made, its own step)
function, browser or computer call of a runner;          ``execute_tool {tool}``, with the hints that the MCP
``mcp_call`` of a hosted MCP server                      server declares
``mcp_approval_request``, ``pending_safety_checks``      ``policy_decision``, ``request_approval {tool}``
``mcp_approval_response``, ``approve_mcp``,              ``approval_decision {tool}``
``acknowledged_safety_checks``,
``approve_safety_checks``
``before_action``; ``confirm`` and ``url_policy`` of a   ``policy_decision {policy}``; ``policy_decision confirm``
browser
moderation, content filter, refusal                      ``policy_decision {policy}``
=======================================================  =====================================================

**What is a run.** A plain call of the model is none: it leaves nothing, unless a policy of the provider objects or moderation
was asked for, which makes a run of that call alone. Within a run (of a tool runner, of another integration, or made with the
recorder) every fact belongs to that run. Outside of one, a call with a hosted MCP server is a run, because model and tools alternate
in it on the server, and a call with a computer is, because the application acts between it and the next. Such a run goes on with
the call that brings what it waits for: the answer to an approval request, the output of a call, or a response that was made
in the background and is fetched. The key is the id of that request, call or response: it is the server's and unique there, and
it is what a later process certainly has, whether it continues with ``previous_response_id``, with a conversation, or sends the
whole history. A new message of the user is a new run.

**Ids.** ``approval_key(request_id)`` is where the context of a run waits: ``recorder.resume(approval_key("mcpr_..."))`` continues a run
that was made with the recorder. The tool call that follows has the request's id as its call id, and a commitment to its
arguments that is that of the request as long as they are the same. An answer that another run brings is recorded in the run that asked.

**What the SDK has no field for** is read from where a program can put it:

- ``metadata`` of a request: ``gen_ai.agent.name``, ``runrecord.approval.actor.ref`` (who answered; an opaque id),
  ``runrecord.run.autonomy``, ``runrecord.principal.ref``, ``runrecord.principal.type`` and ``runrecord.version.*``. OpenAI stores it too.
- an attribute ``metadata`` of a function that a runner executes: a mapping with ``readOnlyHint``, ``destructiveHint``,
  ``idempotentHint``, ``openWorldHint``, ``runrecord.side_effect.type``, ``.target`` and ``.reversible``.
- attributes ``policy_id``, ``policy_version`` and ``policy_rule`` of a ``before_action`` function.

**Beside other instrumentations.** Spans of calls of the model are never ours: with ``opentelemetry-instrumentation-genai-openai``, its
spans get the run id and the step index, in whatever order the two are switched on; its span of a call that is a run of its own is
the parent of that run. In a run of the OpenAI Agents SDK, approvals of hosted MCP servers are recorded by that integration.

**What is not recorded.** Content, unless ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` asks for it. Functions that the
application calls itself between two requests, and outputs that it supplies to a runner; tools that OpenAI hosts other than MCP
servers. Responses over a WebSocket, realtime sessions, batches, and ``with_streaming_response``, whose body is the
application's to read. The time that a hosted tool took: the server tells of the call when it is over. Who answered a callback: it is code
of the application, so that the actor is a policy; an ``mcp_approval_response`` is a person's.
"""

from collections.abc import Callable, Collection
from types import ModuleType
from typing import TYPE_CHECKING, Any

from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.openai.approvals import approval_key
from runrecord.instrumentation.openai.package import CAPABILITIES, INSTRUMENTS
from runrecord.instrumentation.recorder import Recorder

if TYPE_CHECKING:
    from runrecord.instrumentation.openai.patch import Patch

__all__ = ["CAPABILITIES", "OpenAIInstrumentor", "approval_key"]


class OpenAIInstrumentor(Instrumentor):
    """Records what agents do with the OpenAI client."""

    scope = "runrecord.instrumentation.openai"

    _applied: "Patch | None" = None
    _imports: OnImport | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the supported releases of the SDK."""
        return INSTRUMENTS

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        del kwargs
        from runrecord.instrumentation.openai.patch import Patch  # noqa: PLC0415  # it is not needed to list what there is

        applied = self._applied = Patch(recorder)
        self._imports = imports = OnImport()

        def when(module: str, hook: Callable[[], None]) -> None:
            def imported(module: ModuleType) -> None:
                del module
                hook()

            imports.when(module, imported)

        when("openai", applied.client)
        # The runners are modules of their own, which the package does not import, and old releases do not have.
        when("openai.lib.responses_tool_runner", applied.responses_runner)
        when("openai.lib.decisions_tool_runner", applied.decisions_runner)
        when("openai.lib.computer", applied.computer)
        when("openai.lib.browser", applied.browser)

    def _unpatch(self, **kwargs: Any) -> None:
        del kwargs
        if self._imports is not None:
            self._imports.disarm()
        if self._applied is not None:
            self._applied.remove()
            self._applied = None
