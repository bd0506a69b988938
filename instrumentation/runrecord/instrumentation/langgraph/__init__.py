# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""LangGraph and LangChain agents (also deepagents, whose agents are such graphs).

Without a change in the agent's code::

    pip install "runrecord[langgraph,otlp]"
    opentelemetry-instrument python agent.py

or with one call, before the agents are made; this runs as it stands::

    from langchain.agents import create_agent
    from langchain_core.language_models.fake_chat_models import FakeListChatModel
    from runrecord.instrumentation.langgraph import LangGraphInstrumentor

    LangGraphInstrumentor().instrument()
    agent = create_agent(FakeListChatModel(responses=["Done."]), tools=[], name="helper")
    print(agent.invoke({"messages": [("user", "Hello")]})["messages"][-1].content)

What is recorded
    *Run*: the outermost graph, ``invoke_agent {name}`` for ``create_agent`` and ``invoke_workflow {name}`` otherwise. A
    graph in a graph, or in a run made with the recorder, is part of that run. The conversation is the ``thread_id``. A
    pause ends the segment (``suspended``); what resumes the thread is the next segment of the same run, in the same trace.

    *Step*: each node that runs, numbered in the order in which they start. The kind is read from the node's name:
    ``model`` plans, ``tools`` acts, middleware routes, and waits when it asks a person.

    *Tool call*: arguments and result as keyed commitments; the text only where content capture is on. It names the agent that
    makes it, which may be a sub-agent. A call that pauses is started again by the SDK, such as deepagents' ``task``: it has two
    spans of one call id, of which the first has no result and is not measured. ``tool.metadata``
    may hold MCP's hints (``readOnlyHint``, ``destructiveHint``, ``idempotentHint``, ``openWorldHint``) and the plain keys
    ``runrecord.side_effect.type``, ``.target`` and ``.reversible``.

    *Policy decision*: middleware that answers a tool call without calling the handler has denied it. A middleware class
    that declares itself a policy has its allows recorded, too, with plain attributes that need no import::

        class RefundPolicy(AgentMiddleware):
            policy_id = "refunds"
            policy_version = "14"  # optional, and so are the next two
            policy_rule = "recent_chargeback"
            policy_tools = ("create_refund",)

    With ``policy_id = None`` a middleware says that it is none, such as a cache. Of the SDKs' own:

    ======================================================  ========================================================
    ``HumanInTheLoopMiddleware``                            asks (``require_approval``), or lets through (``when``)
    ``AutoModeMiddleware``                                  allow and deny of the tools that it judges
    ``PIIMiddleware``                                       when it changed something, or stopped the run
    ``ModelRefusalMiddleware``                              deny; the run is denied unless another model answers
    ``ToolCallLimitMiddleware, ModelCallLimitMiddleware``   deny, with the budget; the run has the budget all along
    deepagents' file permissions                            allow and deny of each call of a file tool
    ======================================================  ========================================================

    *Verification*: what the grader of deepagents' ``RubricMiddleware`` found; the score is the part of the criteria that passed.

    *Approval*: every interrupt is a request, one per tool call of a batch. The answer is read from
    ``Command(resume=...)``: approve is approved, edit is modified, reject is denied; respond (an answer in place of the
    tool) is denied, since the call does not run. To a bare ``interrupt()`` True is approved and False is denied; any other
    answer is neither, so the request ends as answered. Who answered is a ``service``,
    unless ``configurable`` or ``metadata`` of the resuming config has ``langgraph_auth_user_id`` or
    ``runrecord.approval.actor.ref`` (opaque, passed through as it is; then a ``human``) or ``runrecord.approval.actor.type``.

Processes
    The process that resumes finds the run in the context store, by (langgraph, thread id): files under
    ``RUNRECORD_STATE_DIR`` by default, or ``instrument(context_store=...)``. If it finds nothing, the pending interrupts are
    read from the checkpoint: the approval ids are then the same, since they derive from (langgraph, thread, interrupt id,
    position), but the run gets an id derived from the first of them and can't link to its request.

Beside other instrumentations
    ``opentelemetry-instrumentation-genai-langchain`` may be active, in either order: its ``invoke_agent``, ``invoke_workflow``
    and ``execute_tool`` spans are enriched instead of doubled. Its tool spans are children of its agent span, not of our step.
    So may ``openinference-instrumentation-langchain``: its span of the graph and its ``TOOL`` spans keep their names and are
    enriched; its ``CHAIN`` spans of nodes stay beside our steps. Each may be switched off before or after ours.

Limits
    Agents must be made after ``instrument()``, for their middleware to be seen. An answer that LangGraph rejects as invalid
    is recorded as it was given. A breakpoint (``interrupt_before``) suspends the run without a request. A new input in a
    thread that waits starts a new run; the old request stays open. LangGraph knows no deadline, so no request expires; an answer
    about a tool call that can't be read is cancelled. What remote (async) sub-agents ask stays in their own threads.
    deepagents looks at its permissions in private functions: where a version has none of them, a denial is a failed call.
    Inference spans are not made here. A graph that runs inside of a Temporal workflow is recorded by the integration of Temporal.
"""

from collections.abc import Collection
from typing import Any

from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.langgraph import patch
from runrecord.instrumentation.langgraph._tracker import Tracker
from runrecord.instrumentation.langgraph.package import CAPABILITIES, INSTRUMENTS
from runrecord.instrumentation.recorder import Recorder

__all__ = ["CAPABILITIES", "INSTRUMENTS", "LangGraphInstrumentor"]


class LangGraphInstrumentor(Instrumentor):
    """Switches the integration on and off; see this package's documentation."""

    scope = "runrecord.instrumentation.langgraph"

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return what must be installed."""
        return INSTRUMENTS

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        del kwargs
        self._imports = OnImport()
        self._patches = patch.apply(self._imports, Tracker(recorder))

    def _unpatch(self, **kwargs: Any) -> None:
        del kwargs
        self._imports.disarm()
        self._patches.undo()
