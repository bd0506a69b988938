# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into the SDK; nothing else."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, cast
from weakref import WeakKeyDictionary

import wrapt

from runrecord.instrumentation._declared import get
from runrecord.instrumentation._hooks import Hooks
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.claude_agent import policies
from runrecord.instrumentation.claude_agent.session import Session, attached, starting
from runrecord.instrumentation.recorder import Recorder

_Wrapped = Callable[..., Any]
_Args = tuple[Any, ...]
_Kwargs = dict[str, Any]
_Callback = Callable[..., Awaitable[Any]]
_Proxy: type[Any] = wrapt.ObjectProxy  # pyright: ignore[reportUnknownMemberType]


class Patch:
    """The hooks, and the recorder they feed."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._hooks = Hooks("claude-agent-sdk")
        self._sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()

    def apply(self) -> None:
        """Hook in. A place that this release of the SDK does not have costs some records and is logged once."""
        wrap = self._hooks.wrap
        query = "claude_agent_sdk._internal.query"
        client = "claude_agent_sdk.client"
        wrap("claude_agent_sdk._internal.client", "InternalClient.process_query", self._process_query)
        wrap(client, "ClaudeSDKClient.connect", self._connect)
        wrap(client, "ClaudeSDKClient.query", self._client_query)
        wrap(client, "ClaudeSDKClient.__aexit__", self._leave)
        wrap(query, "Query.__init__", self._query_made)
        wrap(query, "Query._handle_control_request", self._control_request)
        wrap(query, "Query._handle_sdk_mcp_request", self._mcp_request)
        wrap(query, "Query.interrupt", self._interrupt)
        wrap(query, "Query.set_permission_mode", self._set_permission_mode)
        wrap(query, "Query.close", self._close)

    def remove(self) -> None:
        """Undo :meth:`apply`; connections that are open are recorded to their end."""
        self._hooks.remove()

    # runs

    @guarded
    def _session(self, options: object, *, streams: bool) -> Session:
        return Session(self._recorder, options, streams=streams)

    def _process_query(self, wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        options = args[1] if len(args) > 1 else kwargs.get("options")
        prompt = args[0] if args else kwargs.get("prompt")
        return self._stream(wrapped(*args, **kwargs), prompt, options)

    async def _stream(
        self, inner: AsyncGenerator[Any, None], prompt: object, options: object
    ) -> AsyncGenerator[Any, None]:
        session = self._session(options, streams=True)
        session.begin(prompt)
        try:
            while True:
                # Not over the `yield`, where code of the program runs.
                with session.entered():
                    try:
                        message = await inner.__anext__()
                    except StopAsyncIteration:
                        break
                yield message
        except GeneratorExit:
            await inner.aclose()
            session.end(outcome="abandoned")
            raise
        except BaseException as error:
            session.end(error)
            raise
        session.end("no_result")

    async def _connect(self, wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        session = self._session(get(instance, "options"), streams=False)
        prompt = args[0] if args else kwargs.get("prompt")
        if prompt is not None:
            session.begin(prompt)
        with session.entered():
            try:
                return await wrapped(*args, **kwargs)
            except BaseException as error:
                session.end(error)
                raise

    async def _client_query(self, wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        session = self._of(get(instance, "_query"))
        if session is None:
            return await wrapped(*args, **kwargs)
        started = session.begin(args[0] if args else kwargs.get("prompt"))
        try:
            return await wrapped(*args, **kwargs)
        except BaseException as error:
            if started:
                session.end(error)
            raise

    async def _leave(self, wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        session = self._of(get(instance, "_query"))
        if session is not None:
            session.raised = args[1] if len(args) > 1 else None
        return await wrapped(*args, **kwargs)

    # a connection

    @guarded
    def _of(self, query: object) -> Session | None:
        return self._sessions.get(query) if query is not None else None

    def _query_made(self, wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> None:
        wrapped(*args, **kwargs)
        self._observe(instance)

    @guarded
    def _observe(self, query: Any) -> None:
        session = starting.get() or self._session(None, streams=False)
        self._sessions[query] = session
        query.transport = _ObservedTransport(query.transport, session)
        if query.can_use_tool is not None:
            query.can_use_tool = _permission_callback(query.can_use_tool, session)
        matchers = cast("Mapping[str, list[Mapping[str, Any]] | None]", query.hooks)
        query.hooks = {
            event: [_observed_matcher(matcher, session) for matcher in known or []]
            for event, known in matchers.items()
        }

    async def _control_request(self, wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        session = self._of(instance)
        if session is None:
            return await wrapped(*args, **kwargs)
        with session.serving(args[0] if args else kwargs.get("request")):
            return await wrapped(*args, **kwargs)

    async def _mcp_request(self, wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        session = self._of(instance)
        if session is None:
            return await wrapped(*args, **kwargs)
        server = args[0] if args else kwargs.get("server_name")
        message = args[1] if len(args) > 1 else kwargs.get("message")
        call = session.serve(server, message)
        tool = call.tool if call is not None else None
        with attached(tool.context if tool is not None else None):
            try:
                response = await wrapped(*args, **kwargs)
            except BaseException:
                if tool is not None:
                    tool.cut_short("cancelled")
                raise
        session.served(call, server, message, response)
        return response

    async def _interrupt(self, wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        session = self._of(instance)
        if session is not None:
            session.interrupted()
        return await wrapped(*args, **kwargs)

    async def _set_permission_mode(
        self, wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs
    ) -> Any:
        result = await wrapped(*args, **kwargs)
        session = self._of(instance)
        if session is not None:
            session.mode_changed(args[0] if args else kwargs.get("mode"))
        return result

    async def _close(self, wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        try:
            return await wrapped(*args, **kwargs)
        finally:
            session = self._of(instance)
            if session is not None:
                session.closed()


class _ObservedTransport(_Proxy):  # type: ignore[misc]
    """The transport of a connection; its messages are seen when they arrive, whether or not the program looks at them."""

    _self_session: Session

    def __init__(self, transport: Any, session: Session) -> None:
        super().__init__(transport)  # pyright: ignore[reportUnknownMemberType]
        self._self_session = session

    async def read_messages(self) -> AsyncIterator[Any]:
        session, transport = self._self_session, cast("Any", self).__wrapped__
        try:
            async for message in transport.read_messages():
                session.observe(message)
                yield message
        except Exception as error:
            session.end(error)
            raise


# callbacks of the program


def _permission_callback(callback: _Callback, session: Session) -> _Callback:
    async def can_use_tool(*args: Any, **kwargs: Any) -> Any:
        active = session.active
        call = policies.permission_asked(active, args) if active is not None else None
        try:
            result = await callback(*args, **kwargs)
        except BaseException as error:
            if call is not None:
                cancelled = isinstance(error, asyncio.CancelledError) or not isinstance(error, Exception)
                policies.permission_unanswered(call, "withdrawn" if cancelled else "callback_failed")
            raise
        if active is not None and call is not None:
            policies.permission_answered(active, call, callback, result)
        return result

    return can_use_tool


def _observed_matcher(matcher: Mapping[str, Any], session: Session) -> dict[str, Any]:
    blocks = matcher.get("on_failure") == "block"
    callbacks = cast("list[_Callback]", matcher.get("hooks", []))
    return {**matcher, "hooks": [_hook(callback, session, blocks=blocks) for callback in callbacks]}


def _hook(callback: _Callback, session: Session, *, blocks: bool) -> _Callback:
    async def hook(*args: Any, **kwargs: Any) -> Any:
        active, given = session.active, args[0] if args else None
        call_id = args[1] if len(args) > 1 else None
        if active is None:
            return await callback(*args, **kwargs)
        policies.hook_called(active, given)
        try:
            output = await callback(*args, **kwargs)
        except Exception:
            policies.hook_failed(active, callback, given, call_id, blocks=blocks)
            raise
        policies.hook_answered(active, callback, given, call_id, output)
        return output

    return hook
