# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into realtime sessions, which are imported apart from the rest of the SDK; nothing else."""

import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Final

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._hooks import Hooks
from runrecord.instrumentation._safety import guarded, note_once
from runrecord.instrumentation.openai_agents import approvals, extract
from runrecord.instrumentation.openai_agents.active import ActiveRun, current, entered
from runrecord.instrumentation.openai_agents.begin import begin_session
from runrecord.instrumentation.openai_agents.extract import Ending
from runrecord.instrumentation.openai_agents.patch import invoke_tool
from runrecord.instrumentation.recorder import Recorder

_Wrapped = Callable[..., Any]
_Args = tuple[Any, ...]
_Kwargs = dict[str, Any]

MODULE: Final = "agents.realtime.session"


class RealtimePatch:
    """The hooks of one module, and the recorder they feed.

    A session is a run from its first connection to its close. The model's events arrive in tasks of the model's, so each
    is handled inside of the session's run, and what it starts inherits that.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._hooks = Hooks("openai-agents")
        self._sessions: weakref.WeakKeyDictionary[Any, ActiveRun] = weakref.WeakKeyDictionary()

    def apply(self, module: Any) -> None:
        """Hook in. A place that this release of the SDK does not have costs some records and is logged once."""
        wrap = self._hooks.wrap
        wrap(module, "RealtimeSession.__aenter__", self._enter)
        wrap(module, "RealtimeSession.close", self._close)
        wrap(module, "RealtimeSession.on_event", self._inside)
        wrap(module, "RealtimeSession.approve_tool_call", self._inside)
        wrap(module, "RealtimeSession.reject_tool_call", self._inside)
        wrap(module, "RealtimeSession._put_event", self._event)
        wrap(module, "invoke_function_tool", invoke_tool)

    def remove(self) -> None:
        """Undo :meth:`apply`."""
        self._hooks.remove()

    async def _enter(self, wrapped: _Wrapped, session: Any, args: _Args, kwargs: _Kwargs) -> Any:
        active = self._begin(session)
        if active is None:
            return await wrapped(*args, **kwargs)
        with entered(active):
            try:
                return await wrapped(*args, **kwargs)
            except BaseException as error:
                active.fail(error)
                raise

    @guarded
    def _begin(self, session: Any) -> ActiveRun | None:
        if session in self._sessions:
            return None
        if current() is not None:
            note_once(
                "openai_agents nested session",
                "runrecord: a realtime session that a run opens is not recorded; open it outside of Runner.run",
            )
            return None
        agent = declared.get(session, "_current_agent")
        active = begin_session(self._recorder, agent, extract.realtime_tracing(session))
        self._sessions[session] = active
        weakref.finalize(session, active.finish, Ending("abandoned"))
        return active

    async def _inside(self, wrapped: _Wrapped, session: Any, args: _Args, kwargs: _Kwargs) -> Any:
        active = self._sessions.get(session)
        with entered(active) if active is not None and not active.ended else nullcontext():
            return await wrapped(*args, **kwargs)

    async def _event(self, wrapped: _Wrapped, session: Any, args: _Args, kwargs: _Kwargs) -> Any:
        active = self._sessions.get(session)
        if active is not None:
            _note(active, args[0] if args else kwargs.get("event"))
        return await wrapped(*args, **kwargs)

    async def _close(self, wrapped: _Wrapped, session: Any, args: _Args, kwargs: _Kwargs) -> Any:
        active = self._sessions.get(session)
        waiting = [str(call_id) for call_id in declared.get(session, "_pending_tool_calls") or ()]
        result = await wrapped(*args, **kwargs)  # a close that fails may be tried again
        if active is not None and not active.ended:
            _closed(active, session, waiting)
        return result


@guarded
def _note(active: ActiveRun, event: object) -> None:
    kind, agent = declared.get(event, "type"), declared.get(event, "agent")
    if kind == "agent_start":
        active.start_step("act", extract.agent_name(agent))
    elif kind == "agent_end":
        active.end_step()
    elif kind == "handoff":
        active.handed_off(extract.agent_name(declared.get(event, "to_agent")))
    elif kind == "tool_approval_required":
        approvals.ask(active, extract.realtime_request(event))


@guarded
def _closed(active: ActiveRun, session: object, waiting: list[str]) -> None:
    approvals.withdrawn(active, waiting, "session_closed")
    error = declared.get(session, "_stored_exception")
    if isinstance(error, BaseException):
        active.fail(error)
    else:
        active.finish()
