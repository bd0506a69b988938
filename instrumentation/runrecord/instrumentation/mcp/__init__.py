# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""Recording tool calls over the Model Context Protocol, by client and server: calls, refusals, and what people were asked.

Nothing changes in the program. Either run it under ``opentelemetry-instrument``, or switch the recording on in code::

    import asyncio
    from typing import Annotated

    from mcp import Client
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.resolve import Elicit, Resolve
    from mcp_types import ElicitResult, ToolAnnotations
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
    from pydantic import BaseModel
    from runrecord.instrumentation import recorder
    from runrecord.instrumentation.mcp import MCPInstrumentor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + "\n")))
    trace.set_tracer_provider(provider)
    MCPInstrumentor().instrument()

    class Agreement(BaseModel):
        agree: bool

    server = MCPServer("refunds")

    async def ask(amount: float) -> Elicit[Agreement]:
        return Elicit(f"Refund {amount}?", Agreement)

    @server.tool(annotations=ToolAnnotations(destructive_hint=True))
    def create_refund(amount: float, agreement: Annotated[Agreement, Resolve(ask)]) -> str:
        return "paid" if agreement.agree else "kept"

    async def person(context, params) -> ElicitResult:
        return ElicitResult(action="accept", content={"agree": True})

    async def main() -> None:
        async with Client(server, elicitation_callback=person) as client:
            with recorder.run(agent="refund-agent"):  # or an agent SDK, which Runrecord records
                await client.call_tool("create_refund", {"amount": 80.0})

    asyncio.run(main())

=======================================================  =====================================================
in the program                                           span
=======================================================  =====================================================
client: ``call_tool`` in a run, over all of its rounds   ``execute_tool {tool}``; inside of an agent SDK's own
                                                         span of that tool, that one gets our attributes
server: ``tools/call``                                   the SDK's ``tools/call {tool}`` gets our attributes
elicitation, in a call or as an input-required round     ``request_approval {tool}``, ``approval_decision {tool}``
middleware that refuses, or names its policy             ``policy_decision {policy}``
a call to a server that no run came with                 ``invoke_workflow {server}``
=======================================================  =====================================================

**Whose run.** A call belongs to the agent's run. In one process it simply does. A server in another one takes part in the run, with an
``agent_step act`` and a source of its own, if the run came along: over stdio always, over HTTP to hosts that ``RUNRECORD_PROPAGATION_HOSTS`` allows,
and if the server believes it (``RUNRECORD_PROPAGATION_ACCEPT``). It travels in the member ``runrecord/context`` of ``params._meta``. Any other call
is **a run of its own** on the server, called ``invoke_workflow`` and the server's name: a team that runs a server for other people's
agents has no other place for who was refused, who agreed and what was paid. Its rounds are the segments of one run. A client that calls
a tool outside of any run is no agent, and nothing is recorded of it.

**Questions.** The client records what people are asked, in the run; a server does for runs of its own. ``accept`` is an approval,
``decline`` a denial, ``cancel`` a cancellation, and a request that timed out has expired. A form with one field that is submitted with
``false`` in it is a denial. The digest is that of the call's arguments, in the request, the decision and the call; a retry with
other arguments is ``modified``. The actor is ``human``, since the protocol asks the user. Where several calls
of one stdio session are under way and the server does not say which one asks (ours does), the question is recorded as the run's.

**Rounds.** A request is found again by the SHA-256 of its ``request_state`` and the input key, in any process that shares the context store (by default the
state directory). A client that retries while no run is open resumes the run that waits; call ``run.suspend()`` where yours ends to wait. An
answer counts once the server has taken the request state for its own; a forged or expired one is a denial.

**What the protocol has no field for** is read from where a program can put it:

- ``_meta`` of an ``ElicitResult``: ``runrecord.approval.actor.ref`` (who answered; an opaque id) and ``.type``; of an elicitation:
  ``runrecord.approval.deadline``.
- ``_meta`` of a tool: ``runrecord.side_effect.type``, ``.target`` and ``.reversible``, beside the four hints of its annotations. The client knows them
  of the tools that it has listed.
- attributes ``policy_id``, ``policy_version`` and ``policy_rule`` of a middleware, which make it a policy that allows, too. One that refuses without them
  is called as its function or class is.

**What is not recorded.** Content, unless ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` asks for it; the SDK's own spans hold texts of
exceptions, which the exporters redact. Prompts, resources, sampling and roots. Requests that HTTP authentication turns away (401, 403): nobody is
known then, and anybody could fill a ledger with them. What came of a page that a URL elicitation opened.
"""

from collections.abc import Collection
from typing import Any

from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.mcp.package import CAPABILITIES, INSTRUMENTS
from runrecord.instrumentation.mcp.patch import shared
from runrecord.instrumentation.recorder import Recorder

__all__ = ["CAPABILITIES", "MCPInstrumentor"]


class MCPInstrumentor(Instrumentor):
    """Records what clients and servers of the MCP SDK do."""

    scope = "runrecord.instrumentation.mcp"

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the supported releases of the SDK."""
        return INSTRUMENTS

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        del kwargs
        shared.acquire(self, recorder)

    def _unpatch(self, **kwargs: Any) -> None:
        del kwargs
        shared.release(self)
