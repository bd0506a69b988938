# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into the SDK; nothing else."""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from runrecord.instrumentation._hooks import Hooks
from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation._safety import guarded, swallowed
from runrecord.instrumentation.mcp import client, extract, peers, server
from runrecord.instrumentation.mcp.client import ClientCall
from runrecord.instrumentation.recorder import Recorder

_Wrapped = Callable[..., Any]
_Args = tuple[Any, ...]
_Kwargs = dict[str, Any]


class Shared:
    """The hooks of client and server, for the integrations of the SDK and of FastMCP: applied for the first, removed after the last."""

    def __init__(self) -> None:
        self._users: list[object] = []
        self._imports: OnImport | None = None
        self._applied: list[ClientPatch | ServerPatch] = []

    def acquire(self, user: object, recorder: Recorder) -> None:
        """Hook in as soon as the SDK is imported; it imports all of its modules before it is done."""
        self._users.append(user)
        if len(self._users) == 1:
            self._imports = OnImport()
            self._imports.when("mcp", partial(self._apply, recorder))

    def _apply(self, recorder: Recorder, module: ModuleType) -> None:
        if hasattr(module, "ClientSession"):  # the application may have a package of that name, too
            self._applied = [ClientPatch(recorder), ServerPatch(recorder)]
            for patch in self._applied:
                patch.apply()

    def release(self, user: object) -> None:
        """Undo :meth:`acquire`."""
        self._users.remove(user)
        if not self._users and self._imports is not None:
            self._imports.disarm()
            for patch in self._applied:
                patch.remove()
            self._applied = []


shared = Shared()


class ClientPatch:
    """The hooks of the client, and the recorder they feed."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._hooks = Hooks("mcp")

    def apply(self) -> None:
        """Hook in."""
        wrap = self._hooks.wrap
        session = "mcp.client.session"
        wrap("mcp.client.client", "Client.call_tool", self.driven)
        wrap(session, "ClientSession.call_tool", self._round)
        wrap(session, "ClientSession.list_tools", _list_tools)
        wrap(session, "ClientSession.dispatch_input_request", _asked)
        # How the peer of a session is known; without these nothing is sent to it.
        wrap("mcp.client.streamable_http", "StreamableHTTPTransport.post_writer", _http)
        wrap("mcp.client.stdio", "_create_platform_compatible_process", _spawn)
        wrap("mcp.shared.jsonrpc_dispatcher", "JSONRPCDispatcher.__init__", _dispatcher)

    def remove(self) -> None:
        """Undo :meth:`apply`."""
        self._hooks.remove()

    async def driven(self, wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        """Call a tool through a client that drives the rounds itself."""
        name, arguments = _argument(args, kwargs, 0, "name"), _argument(args, kwargs, 1, "arguments")
        call = client.begin(self._recorder, name, arguments, kwargs.get("request_state"), driven=True)
        if call is None:
            return await wrapped(*args, **kwargs)
        with client.entered(call):
            try:
                result = await wrapped(*args, **kwargs)
            except BaseException as error:
                call.close(error)
                raise
            call.close()
            return result

    async def _round(self, wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        name, state = _argument(args, kwargs, 0, "name"), kwargs.get("request_state")
        call = client.current_call()
        if call is not None and call.takes(instance, name):
            return await _send(call, wrapped, instance, args, kwargs)
        call = client.begin(self._recorder, name, _argument(args, kwargs, 1, "arguments"), state)
        if call is None:
            return await wrapped(*args, **kwargs)
        try:
            result = await _send(call, wrapped, instance, args, kwargs)
        except BaseException as error:
            call.close(error)
            raise
        call.close()
        return result


async def _send(call: ClientCall, wrapped: _Wrapped, session: Any, args: _Args, kwargs: _Kwargs) -> Any:
    with client.entered(call):
        call.begin_round(session, kwargs.get("input_responses"), kwargs.get("request_state"))
        with client.entered(call):
            meta = call.meta(session, kwargs.get("meta"))
            if meta is not None:
                kwargs = {**kwargs, "meta": meta}
            try:
                result = await wrapped(*args, **kwargs)
            except BaseException as error:
                call.fail_round(error)
                raise
            call.end_round(result)
            return result


async def _list_tools(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    result = await wrapped(*args, **kwargs)
    client.listed(instance, result)
    return result


async def _asked(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    context, request = _argument(args, kwargs, 0, "ctx"), _argument(args, kwargs, 1, "request")
    asked = client.asked(instance, context, request)
    if asked is None:
        return await wrapped(*args, **kwargs)
    try:
        result = await wrapped(*args, **kwargs)
    except BaseException as error:
        asked.failed(error)
        raise
    asked.answered(result)
    return result


async def _http(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    keys = peers.connected(str(instance.url), (*args, *kwargs.values()))
    try:
        return await wrapped(*args, **kwargs)
    finally:
        peers.disconnected(keys)


async def _spawn(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    process = await wrapped(*args, **kwargs)
    with swallowed("an MCP server's process"):
        peers.process_spawned()
    return process


def _dispatcher(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    wrapped(*args, **kwargs)
    with swallowed("an MCP connection"):
        peers.dispatcher_made(instance, _argument(args, kwargs, 1, "write_stream"))


class ServerPatch:
    """The hooks of the server, and the recorder they feed."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._hooks = Hooks("mcp")

    def apply(self) -> None:
        """Hook in."""
        wrap = self._hooks.wrap
        wrap("mcp.server.runner", "ServerRunner._compose_server_middleware", self._chain)
        wrap("mcp.server._otel", "OpenTelemetryMiddleware.__call__", _native)
        wrap("mcp.server.mcpserver.tools.base", "Tool.run", _run_tool)
        wrap("mcp.server.session", "ServerSession.send_request", _ask)

    def remove(self) -> None:
        """Undo :meth:`apply`."""
        self._hooks.remove()

    def _chain(self, wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        served, inner = instance.server, _argument(args, kwargs, 0, "inner")

        async def handle(context: Any) -> Any:
            call = server.serving()
            if call is None or context.method != "tools/call":
                return await inner(context)
            return await _handle(call, served, inner, context)

        chain = wrapped(handle)

        async def receive(context: Any) -> Any:
            if context.method != "tools/call" or context.request_id is None:
                return await chain(context)
            call = server.begin(self._recorder, served, context)
            if call is None:
                return await chain(context)
            middleware = _own_middleware(served)
            call.enter()
            try:
                result = await chain(context)
            except BaseException as error:
                call.failed(error, middleware)
                raise
            else:
                call.answered(result, middleware)
                return result
            finally:
                call.close()
                call.leave()

        return receive


async def _handle(call: server.ServerCall, served: Any, inner: _Wrapped, context: Any) -> Any:
    call.verified(context.params)
    if call.elsewhere:
        return await inner(context)  # FastMCP has middleware of its own, below
    arguments = extract.given(extract.get(context.params, "arguments"))
    call.let_through(_own_middleware(served), arguments)
    if _runs_tools(served):
        result = await inner(context)
        call.missed(result)
        return result
    with call.running(arguments, {}) as running:
        result = await inner(context)
        running.returned(result)
        return result


def _own_middleware(served: Any) -> list[Any]:
    """Return the middleware of a server but the one that only makes spans."""
    known = getattr(served, "middleware", [])
    return [
        place
        for place in known
        if type(place).__name__ not in {"OpenTelemetryMiddleware", "FastMCPServerMiddleware"}
    ]


@guarded
def _runs_tools(served: Any) -> bool:
    """Say whether calls end in an ``MCPServer``'s ``Tool.run``: a low-level server's handler is the tool itself."""
    entry = served.get_request_handler("tools/call")
    handler = getattr(entry, "handler", None)
    places = [handler, *(cell.cell_contents for cell in getattr(handler, "__closure__", None) or ())]
    return any(hasattr(getattr(place, "__self__", None), "_tool_manager") for place in places)


async def _native(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    call = server.serving()
    context, call_next = _argument(args, kwargs, 0, "ctx"), _argument(args, kwargs, 1, "call_next")
    if call is None or context.method != "tools/call":
        return await wrapped(*args, **kwargs)
    return await wrapped(call.below(context), call.inside(call_next, context.meta))


async def _run_tool(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    call = server.serving()
    if call is None or call.tool is not None:
        return await wrapped(*args, **kwargs)
    arguments = _argument(args, kwargs, 0, "arguments")
    with call.running(arguments, extract.tool_hints(instance)) as running:
        result = await wrapped(*args, **kwargs)
        running.returned(result)
        return result


async def _ask(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    call = server.serving()
    asked = None if call is None else call.asked(_argument(args, kwargs, 0, "request"))
    if asked is None:
        return await wrapped(*args, **kwargs)
    args, kwargs = (
        (asked.request, *args[1:]) if args else args,
        kwargs if args else {**kwargs, "request": asked.request},
    )
    try:
        result = await wrapped(*args, **kwargs)
    except BaseException as error:
        asked.failed(error)
        raise
    asked.answered(result)
    return result


def _argument(args: _Args, kwargs: _Kwargs, position: int, name: str) -> Any:
    return args[position] if len(args) > position else kwargs.get(name)
