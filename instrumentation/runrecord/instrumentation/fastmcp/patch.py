# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into FastMCP, on top of the hooks in the SDK below it; nothing else."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from runrecord.instrumentation._hooks import Hooks
from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation.fastmcp import extract
from runrecord.instrumentation.mcp import server
from runrecord.instrumentation.mcp.extract import given, tool_hints
from runrecord.instrumentation.mcp.patch import ClientPatch
from runrecord.instrumentation.recorder import Recorder

_Wrapped = Callable[..., Any]
_Args = tuple[Any, ...]
_Kwargs = dict[str, Any]


class Patch:
    """The hooks, and the recorder they feed."""

    def __init__(self, recorder: Recorder) -> None:
        self._hooks = Hooks("fastmcp")
        self._driven = ClientPatch(recorder).driven
        self._imports = OnImport()

    def apply(self) -> None:
        """Hook in; FastMCP imports its parts when they are asked for, so each has a hook of its own."""
        self._wrap("fastmcp.client.client", "Client.call_tool_mcp", self._driven)
        self._wrap("fastmcp.server.low_level", "FastMCPServerMiddleware.__call__", _receive)
        self._wrap("fastmcp.server.server", "FastMCP._run_middleware", _chain)
        self._wrap("fastmcp.server.server", "run_auth_checks", _authorize)
        self._wrap("fastmcp.tools.base", "Tool._run", _run_tool)

    def _wrap(self, module: str, path: str, wrapper: Callable[..., Any]) -> None:
        def imported(_: ModuleType) -> None:
            self._hooks.wrap(module, path, wrapper)

        self._imports.when(module, imported)

    def remove(self) -> None:
        """Undo :meth:`apply`."""
        self._imports.disarm()
        self._hooks.remove()


async def _receive(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    call = server.serving()
    if call is not None:
        call.elsewhere = True
    return await wrapped(*args, **kwargs)


async def _chain(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    call = server.serving()
    context = args[0] if args else kwargs.get("context")
    if call is None or call.tool is not None or getattr(context, "method", None) != "tools/call":
        return await wrapped(*args, **kwargs)
    middleware = list(instance.middleware)
    inner = args[1] if len(args) > 1 else kwargs["call_next"]

    async def call_next(context: Any) -> Any:
        for place in middleware:
            if extract.decides(place):
                call.allowed.append(extract.policy(place))
        call.let_through([], given(context.message.arguments))
        return await inner(context)

    try:
        if len(args) > 1:
            result = await wrapped(args[0], call_next, *args[2:], **kwargs)
        else:
            result = await wrapped(*args, **{**kwargs, "call_next": call_next})
    except Exception as error:
        denied = extract.denial(error, middleware, reached=call.reached, ran=call.tool is not None)
        if denied is None and call.tool is None and call.hidden:
            denied = extract.HIDDEN
        if denied is not None:
            call.deny(*denied)
        else:
            call.missed(error)
        raise
    return result


async def _authorize(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    call = server.serving()
    if call is None or call.tool is not None:
        return await wrapped(*args, **kwargs)
    admitted = False
    try:
        admitted = await wrapped(*args, **kwargs)
        return admitted
    finally:
        call.hidden = not admitted


async def _run_tool(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    call = server.serving()
    if call is None or call.tool is not None:
        return await wrapped(*args, **kwargs)
    arguments = args[0] if args else kwargs.get("arguments")
    with call.running(arguments, tool_hints(instance)) as running:
        result = await wrapped(*args, **kwargs)
        running.returned(result)
        return result
