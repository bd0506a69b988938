# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""Recording agents of the Claude Agent SDK: runs, steps, tool calls, permissions, approvals, across processes.

Nothing changes in the program. Either run it under ``opentelemetry-instrument``, or switch the recording on in code::

    import asyncio
    from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, PermissionResultAllow, create_sdk_mcp_server, tool
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
    from runrecord.instrumentation.claude_agent import ClaudeAgentInstrumentor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + "\n")))
    trace.set_tracer_provider(provider)
    ClaudeAgentInstrumentor().instrument()

    @tool("create_refund", "Pay money back.", {"amount": float})
    async def create_refund(arguments):
        return {"content": [{"type": "text", "text": "paid"}]}

    async def ask_a_person(tool_name, arguments, context):
        return PermissionResultAllow(updated_input={**arguments, "amount": 50.0})

    options = ClaudeAgentOptions(
        mcp_servers={"shop": create_sdk_mcp_server("shop", tools=[create_refund])}, can_use_tool=ask_a_person
    )

    async def main() -> None:
        async with ClaudeSDKClient(options) as client:
            await client.query("Please refund my last order.")
            async for message in client.receive_response():
                pass

    asyncio.run(main())

=======================================================  =====================================================
in the program                                           span
=======================================================  =====================================================
``query``, ``client.query``                              ``invoke_agent {agent}``, from the prompt to its
                                                         ``ResultMessage``; several prompts are several runs
answer of the model, also of a sub-agent                 ``agent_step act``, with what follows from it
tool of the CLI, of an MCP server, of the program        ``execute_tool {tool}``; the tool of a sub-agent has a
                                                         plain ``invoke_agent {type}`` below it
``PreToolUse``, ``PostToolUse``, ``UserPromptSubmit``,   ``policy_decision {policy}``, if it allows, denies, asks,
``Stop`` hook                                            defers, blocks or changes arguments
allow and deny rules, permission modes                   ``policy_decision claude_code.permissions``; the rule of a
                                                         mode is its name
``can_use_tool``, ``PermissionRequest`` hook             ``policy_decision`` with require_approval,
                                                         ``request_approval {tool}``, ``approval_decision {tool}``:
                                                         approved, denied, modified (``updated_input``), for the
                                                         session or always (``updated_permissions``); cancelled if
                                                         the run ends before there is an answer
hook that answers ``defer``                              ``request_approval {tool}``; the run is suspended, and the
                                                         process that resumes the session goes on with it: what the
                                                         hook then answers is the ``approval_decision``
``max_turns``, ``max_budget_usd``                        budgets of the run; one that stops it has the outcome
                                                         budget_exceeded
=======================================================  =====================================================

**Ids.** An approval's key is the session id and the id of the tool call, which the CLI keeps when it resumes a session. The run
that a deferred call left waiting is found by the session id in ``ClaudeAgentOptions.resume``.

**What the SDK has no field for** is read from where a program can put it:

- an attribute ``metadata`` of the ``ClaudeAgentOptions``: a mapping with ``gen_ai.agent.name`` (``claude-agent`` without it),
  ``runrecord.run.autonomy``, ``runrecord.principal.ref``, ``runrecord.principal.type``, ``runrecord.approval.actor.ref`` and ``runrecord.version.*``.
- an attribute ``metadata`` of the ``can_use_tool`` function, of the hook or of the ``PermissionResult``: ``runrecord.approval.actor.ref``
  (an opaque id), ``.actor.type``, ``.channel``, ``.scope`` and ``.reason_code``. Without it an answer is the program's own, of the actor
  type policy; to a deferred call it is a human's.
- attributes ``policy_id``, ``policy_version`` and ``policy_rule`` of a hook. Without them the policy is called as the hook's function is.
- the annotations of a tool of the program. What the CLI's own tools change is known.

**The CLI's own telemetry** (``CLAUDE_CODE_ENABLE_TELEMETRY``) may be on or off. It is another process, which exports its spans
itself: those of a ``query`` are below the span of the run, those of a ``ClaudeSDKClient`` where the program was when it connected. They can't
be given our attributes, so ``claude_code.tool`` stands beside ``execute_tool``, with the same ``gen_ai.tool.call.id``. Tokens and
model calls are its to count.

**What is not recorded.** Content, unless ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` asks for it: prompts, arguments,
results and reasons appear as keyed commitments. Model calls. What a sub-agent inside of a sub-agent calls, unless the program is asked about it. Why
a hook of a settings file decided as it did. Elicitations of MCP servers. When a tool of the CLI began: the span
starts when nothing held the call back any more. The CLI's requests have no deadline, so no answer is expired. Hooks and callbacks that the
program does not have are never added, since they change what the CLI does.

**Beside OpenInference.** The span of its agent is enriched and keeps its name. Its spans of tools stand beside ours.
"""

from collections.abc import Collection
from types import ModuleType
from typing import TYPE_CHECKING, Any

from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.claude_agent.package import CAPABILITIES, INSTRUMENTS
from runrecord.instrumentation.recorder import Recorder

if TYPE_CHECKING:
    from runrecord.instrumentation.claude_agent.patch import Patch

__all__ = ["CAPABILITIES", "ClaudeAgentInstrumentor"]


class ClaudeAgentInstrumentor(Instrumentor):
    """Records what agents of the Claude Agent SDK do."""

    scope = "runrecord.instrumentation.claude_agent"

    _applied: "Patch | None" = None
    _imports: OnImport | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the supported releases of the SDK."""
        return INSTRUMENTS

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        del kwargs

        def apply(module: ModuleType) -> None:
            del module
            from runrecord.instrumentation.claude_agent.patch import Patch  # noqa: PLC0415  # only if the SDK is used

            self._applied = Patch(recorder)
            self._applied.apply()

        self._imports = OnImport()
        self._imports.when("claude_agent_sdk", apply)

    def _unpatch(self, **kwargs: Any) -> None:
        del kwargs
        if self._imports is not None:
            self._imports.disarm()
        if self._applied is not None:
            self._applied.remove()
            self._applied = None
