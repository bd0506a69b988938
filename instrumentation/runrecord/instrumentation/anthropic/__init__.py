# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""Recording agents on Anthropic's APIs: tool runners, Managed Agents with their confirmations, hosted tools, refusals.

Nothing changes in the program. Either run it under ``opentelemetry-instrument``, or switch the recording on in code::

    from anthropic import Anthropic
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
    from runrecord.instrumentation.anthropic import AnthropicInstrumentor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + "\n")))
    trace.set_tracer_provider(provider)
    AnthropicInstrumentor().instrument()

    client = Anthropic()
    events = client.beta.sessions.events
    session = client.beta.sessions.create(agent="agent_refunds", environment_id="env_1")
    hello = {"type": "user.message", "content": [{"type": "text", "text": "Please refund my last order."}]}
    with events.stream(session.id) as stream:
        events.send(session.id, events=[hello])
        for event in stream:
            if event.type == "agent.tool_use" and event.evaluated_permission == "ask":
                asked = event
            if event.type == "session.status_idle":
                break

    # days pass, and another process answers
    answer = {"type": "user.tool_confirmation", "tool_use_id": asked.id, "result": "allow"}
    events.send(session.id, events=[answer], extra_headers={"runrecord.approval.actor.ref": "u-17"})

``examples/anthropic`` is a program that runs without a key and without a network.

=======================================================  =====================================================
in the program                                           span
=======================================================  =====================================================
``client.beta.messages.tool_runner``, sync, async and    ``anthropic.messages.tool_runner`` of the SDK, where it
streaming                                                makes that span, else ``invoke_agent {agent}``
a turn of a session whose events are read                ``invoke_agent {agent}``; one that waits for a person
                                                         or the application ends as suspended
a call with MCP servers, outside of any run              ``invoke_agent``
call of the model within a run                           ``agent_step act`` (in a run that another integration
                                                         or the program itself made, its own step)
tool of a runner                                         ``anthropic.custom_tool_use {tool}`` and its like of the
                                                         SDK, where it makes them, else ``execute_tool {tool}``
tool of a session, of an MCP server, or hosted           ``execute_tool {tool}``
``evaluated_permission`` allow, deny or ask              ``policy_decision permission_policy``
``ask``                                                  ``request_approval {tool}``
``user.tool_confirmation``                               ``approval_decision {tool}``; an interrupt or the end of
                                                         the session withdraws what still waits
``refusal``, an output that a content filter blocked     ``policy_decision refusal``, ``policy_decision content_filter``
the evaluation of an outcome                             ``verify outcome``
=======================================================  =====================================================

**What is a run.** A plain call of the model is none: it leaves nothing, unless the provider refuses it or a tool of the
provider ran in it, which makes a run of that call alone. A tool runner is a run. So is a call with MCP servers, because model and
tools alternate in it on the server; after ``pause_turn`` or with the result of a tool it goes on as the next segment. Of a
session, a turn is a run, from its start until the session is idle again. Where it then requires an action, the run waits: its next
segment begins with what is seen of the turn afterwards, in this process or another. A run that nobody reads any more is suspended
with the reason ``unobserved``.

**Ids.** ``approval_key(session_id, tool_use_id)`` is where the context of a run waits for a confirmation, and the id of the ``agent.tool_use``
event is the id of the call: it is the server's, and every process that lists the events finds it. The process that sends
the confirmation need not have seen the request; one that lists the events records a request that nobody has recorded.

**What the SDK has no field for** is read from where a program can put it:

- the ``metadata`` of a session, or an attribute ``metadata`` of a tool runner: ``gen_ai.agent.name`` (of a session by default its
  agent's name), ``runrecord.run.autonomy``, ``runrecord.principal.ref``, ``runrecord.principal.type`` and ``runrecord.version.*``.
  Anthropic stores that of a session too. ``metadata.user_id`` of a request is the principal of a run of the Messages API.
- an attribute ``metadata`` of a tool, or of the function that it is made of: a mapping with ``readOnlyHint``, ``destructiveHint``,
  ``idempotentHint``, ``openWorldHint``, ``runrecord.side_effect.type``, ``.target`` and ``.reversible``.
- the header ``runrecord.approval.actor.ref`` of the request that sends a confirmation: who answered, as an opaque id.

**Beside other instrumentations.** Spans of calls of the model are never ours. The SDK makes them itself since 1.17; those of its own,
of ``opentelemetry-instrumentation-genai-anthropic`` or of others get the run id and the step index, of several the innermost. The two
know nothing of each other: with such a package, set ``ANTHROPIC_OPEN_TELEMETRY=false``, or every call is there twice. A run of a tool
runner and its tool calls are recorded on the SDK's own spans, so that none is there twice.

**What is not recorded.** Content, unless ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` asks for it. Tools that the application calls
itself between two calls of the model; a custom tool of a session that no runner executes is recorded when its result is sent.
``defer_tool_call`` of a runner holds a call, which is no request for approval. Messages over batches, ``with_streaming_response``, whose
body is the application's to read, and streams of a session's threads, whose requests are on the session's own stream too.
The time that a hosted tool took: the message tells of the call when it is over.
"""

from collections.abc import Callable, Collection
from types import ModuleType
from typing import TYPE_CHECKING, Any

from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation.anthropic.extract import approval_key
from runrecord.instrumentation.anthropic.package import CAPABILITIES, INSTRUMENTS
from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.recorder import Recorder

if TYPE_CHECKING:
    from runrecord.instrumentation.anthropic.patch import Patch

__all__ = ["CAPABILITIES", "AnthropicInstrumentor", "approval_key"]


class AnthropicInstrumentor(Instrumentor):
    """Records what agents do with the Anthropic client."""

    scope = "runrecord.instrumentation.anthropic"

    _applied: "Patch | None" = None
    _imports: OnImport | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the supported releases of the SDK."""
        return INSTRUMENTS

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        del kwargs
        from runrecord.instrumentation.anthropic.patch import Patch  # noqa: PLC0415  # it is not needed to list what there is

        applied = self._applied = Patch(recorder)
        self._imports = imports = OnImport()

        def when(module: str, hook: Callable[[], None]) -> None:
            def imported(module: ModuleType) -> None:
                del module
                hook()

            imports.when(module, imported)

        when("anthropic._base_client", applied.client)
        when("anthropic.lib.tools._beta_runner", applied.runner)
        when("anthropic.lib.tools._beta_session_runner", applied.session_runner)

    def _unpatch(self, **kwargs: Any) -> None:
        del kwargs
        if self._imports is not None:
            self._imports.disarm()
        if self._applied is not None:
            self._applied.remove()
            self._applied = None
