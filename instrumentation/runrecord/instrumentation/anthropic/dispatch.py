# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The tool runner of a session: tools that are executed here, called by an agent that runs at Anthropic."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.anthropic import runner
from runrecord.instrumentation.anthropic.readers import Sessions
from runrecord.instrumentation.anthropic.sessions import Session
from runrecord.instrumentation.recorder import Scope, Tool

_Callable = Callable[..., Any]

_called: ContextVar[Tool | None] = ContextVar("runrecord-anthropic-dispatched", default=None)


class Dispatch:
    """What wraps a session's tool runner."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def running(self, wrapped: _Callable, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap ``_run``: while it lasts, the runner executes the tools that it has."""

        @asynccontextmanager
        async def within() -> AsyncGenerator[Any, None]:
            session = self._session(instance)
            async with wrapped(*args, **kwargs) as calls:
                if session is not None:
                    session.executes(instance)
                try:
                    yield calls
                finally:
                    if session is not None:
                        session.executes(None)

        return within()

    @guarded
    def _session(self, instance: Any) -> Session | None:
        return self._sessions[str(instance.session_id)]

    @guarded
    def _owner(self, instance: Any, event: Any) -> Scope | None:
        session = self._sessions[str(instance.session_id)]
        return session.owner() if session.is_local(event.name) else None

    @guarded
    def _start(self, owner: Scope, instance: Any, event: Any) -> Tool | None:
        tools = declared.get(instance, "tools") or ()
        tool = next((tool for tool in tools if declared.get(tool, "name") == event.name), None)
        permission = declared.text(declared.get(event, "evaluated_permission"))
        known = self._sessions[str(instance.session_id)].approval_of(event.id, permission)
        return runner.start(owner, tool, event.name, event.id, event.input, approval_id=known)

    async def execute(self, wrapped: _Callable, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap ``_execute``: what it does belongs to the session's run; older releases call the tool in it."""
        event = args[0] if args else kwargs.get("ev")
        owner = self._owner(instance, event)
        if owner is None:
            return await wrapped(*args, **kwargs)
        with runner.within(owner):
            record = None if hasattr(instance, "_call_tool") else self._start(owner, instance, event)
            if record is None:
                return await wrapped(*args, **kwargs)
            token = _called.set(record)
            try:
                with record:
                    return await wrapped(*args, **kwargs)
            finally:
                _called.reset(token)

    async def send_result(self, wrapped: _Callable, _instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap ``_send_result``: in older releases this is where the result is known."""
        record = _called.get()
        if record is not None:
            runner.end(record, args[0] if args else kwargs.get("tool_result"))
            if not record.ended:
                record.stop()
        return await wrapped(*args, **kwargs)

    async def call_tool(self, wrapped: _Callable, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap ``_call_tool``, within the native span of the call."""
        event = args[1] if len(args) > 1 else kwargs.get("ev")
        owner = self._owner(instance, event)
        record = self._start(owner, instance, event) if owner is not None else None
        if record is None:
            return await wrapped(*args, **kwargs)
        with record:
            outcome = await wrapped(*args, **kwargs)
            runner.end(record, outcome[0])
            return outcome
