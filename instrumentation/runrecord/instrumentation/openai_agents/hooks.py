# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Our ``RunHooks`` in front of the user's: what the SDK tells us even where its tracing is off."""

from typing import Any, Final

from agents import FunctionTool
from agents.lifecycle import RunHooksBase

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation.openai_agents import approvals, extract
from runrecord.instrumentation.openai_agents.active import ActiveRun, raw_call

_OURS: Final = frozenset({"on_llm_start", "on_handoff", "on_tool_start", "on_tool_end"})


class RecordingHooks(RunHooksBase[Any, Any]):
    """Notes four events and passes every event on, unchanged; the user's exceptions are the user's.

    Args:
        active: The call of the runner.
        inner: The user's hooks.
        functions: Whether calls of function tools are told here too, because the better place for them is gone.
    """

    def __init__(self, active: ActiveRun, inner: RunHooksBase[Any, Any] | None, *, functions: bool) -> None:
        self._active = active
        self._inner: RunHooksBase[Any, Any] = inner if inner is not None else RunHooksBase()
        self._functions = functions
        for name in dir(type(self._inner)):
            # Events that a newer SDK added go straight to the user's hooks.
            if name.startswith("on_") and name not in _OURS:
                setattr(self, name, getattr(self._inner, name))

    async def on_llm_start(self, context: Any, agent: Any, *args: Any, **kwargs: Any) -> None:
        """A turn begins."""
        self._active.model_called(extract.agent_name(agent))
        await self._inner.on_llm_start(context, agent, *args, **kwargs)

    async def on_handoff(self, context: Any, from_agent: Any, to_agent: Any) -> None:
        """Another agent takes over."""
        self._active.handed_off(extract.agent_name(to_agent))
        await self._inner.on_handoff(context, from_agent, to_agent)

    async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
        """A local tool is about to run."""
        if self._functions or not isinstance(tool, FunctionTool):
            call_id = declared.text(declared.get(context, "tool_call_id"))
            arguments = declared.get(context, "tool_arguments")
            if call_id is None and (raw := raw_call.get()) is not None:
                call = extract.pending_call({"raw_item": raw})
                call_id, arguments = declared.text(call.call_id), call.arguments
            approvals.waived(self._active, tool, call_id, arguments)
            self._active.tool_started(tool, call_id, arguments)
        await self._inner.on_tool_start(context, agent, tool)

    async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: Any) -> None:
        """A local tool has run."""
        if self._functions or not isinstance(tool, FunctionTool):
            self._active.tool_ended(tool, result)
        await self._inner.on_tool_end(context, agent, tool, result)
