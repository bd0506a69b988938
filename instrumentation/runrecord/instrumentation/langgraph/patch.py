# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into LangChain and LangGraph; nothing else. Middleware is in ``patch_middleware``.

Each module is patched when it is imported, and only attributes of classes are replaced, so that it does not matter who
imported what before:

==========================================================  =====================================================
``__init__`` of the classes below ``BaseCallbackManager``   adds our handler (ends, errors, interrupts)
``(Async)CallbackManager.on_chain_start, on_tool_start``    starts, after every other handler
``BaseTool.arun``                                           leaves the context as it was
``Pregel.stream, astream``                                  which chain is a graph; also ``invoke`` and ``ainvoke``
``AgentMiddleware`` subclasses' ``(a)wrap_tool_call``       policy decisions
``HumanInTheLoopMiddleware.after_model`` and some siblings  policy decisions of the SDK's own middleware
==========================================================  =====================================================
"""

import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from functools import partial, wraps
from types import ModuleType
from typing import Any, Final

from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation._safety import note_once, swallowed
from runrecord.instrumentation._workflows import in_temporal_workflow
from runrecord.instrumentation.langgraph._entering import (
    Entering,
    announce,
    continued,
    entering,
    take_pending,
    withdraw,
)
from runrecord.instrumentation.langgraph._patches import Patches, Wrapper, unbound
from runrecord.instrumentation.langgraph._tracker import Tracker, restored
from runrecord.instrumentation.langgraph.patch_deepagents import patch_deepagents
from runrecord.instrumentation.langgraph.patch_middleware import patch_middleware

_BASE: Final = "langchain_core.callbacks.base"
_MANAGERS: Final = "langchain_core.callbacks.manager"
_PREGEL: Final = "langgraph.pregel"
_CALLBACKS: Final = "langgraph.callbacks"


def apply(imports: OnImport, tracker: Tracker) -> Patches:
    """Hook into each module of the SDK when it is imported."""
    patches = Patches()
    _when(imports, patches, _MANAGERS, *_starts(patches, tracker))
    _when(imports, patches, "langchain_core.tools.base", ("BaseTool", "arun", _restoring))
    _when(
        imports,
        patches,
        _PREGEL,
        ("Pregel", "stream", partial(_streaming, patches, tracker)),
        ("Pregel", "astream", partial(_astreaming, patches, tracker)),
    )
    for name in (_MANAGERS, _CALLBACKS):
        imports.when(name, partial(_patch_managers, patches))
    imports.when(_CALLBACKS, partial(_make_handler, patches, tracker))
    imports.when(_PREGEL, _check)
    patch_middleware(imports, patches, tracker)
    patch_deepagents(imports, patches, tracker)
    return patches


def _when(imports: OnImport, patches: Patches, name: str, *replacements: tuple[str, str, Wrapper]) -> None:
    def patch(_module: ModuleType) -> None:
        for owner, attribute, wrapper in replacements:
            patches.replace(name, owner, attribute, wrapper)

    imports.when(name, patch)


def _make_handler(patches: Patches, tracker: Tracker, _module: ModuleType) -> None:
    from runrecord.instrumentation.langgraph._handler import Handler  # noqa: PLC0415  # a subclass of the SDK's

    patches.handler = Handler(tracker)


def _check(_module: ModuleType) -> None:
    """Say which module the graphs of the installed version do without."""
    for name in (_BASE, _MANAGERS, _CALLBACKS):
        if name not in sys.modules:
            note_once(
                f"langgraph-{name}",
                "runrecord: the installed langgraph does not use %s; less is recorded",
                name,
            )


def _starts(patches: Patches, tracker: Tracker) -> Generator[tuple[str, str, Wrapper], None, None]:
    for kind, wrap, inline in (
        ("CallbackManager", _starting, True),
        ("AsyncCallbackManager", _astarting, False),
    ):
        yield kind, "on_chain_start", partial(wrap, patches, partial(_chain, tracker, inline))
        yield kind, "on_tool_start", partial(wrap, patches, partial(_tool, tracker, inline))


# callbacks


def _patch_managers(patches: Patches, module: ModuleType) -> None:
    """Patch the managers that a module defines, each by itself.

    Other instrumentations replace ``__init__`` of their base class and put back what they found there, also what we would have
    put there in between.
    """
    base = sys.modules[_BASE].BaseCallbackManager
    for kind in list(vars(module).values()):
        if isinstance(kind, type) and base in kind.__bases__ and kind.__module__ == module.__name__:
            patches.replace_on(
                kind, "__init__", kind.__dict__.get("__init__"), partial(_adding, patches, kind)
            )


def _adding(patches: Patches, kind: Any, original: Callable[..., None] | None) -> Callable[..., None]:
    replaced = unbound(original) if original is not None else None

    @wraps(original or kind.__init__)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        if replaced is not None:
            replaced(self, *args, **kwargs)
        else:
            super(kind, self).__init__(*args, **kwargs)  # pyright: ignore[reportUnknownMemberType]
        handler = patches.handler
        if handler is None or not patches.enabled or in_temporal_workflow():
            return
        if not self.handlers and not self.inheritable_handlers:
            self.handlers, self.inheritable_handlers = [handler], [handler]
        elif handler not in self.inheritable_handlers:
            # First, so that at the end of a span that somebody else made we come before them; new lists, since the
            # ones at hand may be the caller's own.
            self.handlers = [handler, *(item for item in self.handlers if item is not handler)]
            self.inheritable_handlers = [handler, *self.inheritable_handlers]

    return init


def _chain(
    tracker: Tracker, inline: bool, run_manager: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    del args, kwargs
    tracker.chain_started(run_manager, inline=inline)


def _tool(
    tracker: Tracker, inline: bool, run_manager: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    given = dict(zip(("serialized", "input_str"), args, strict=False)) | kwargs
    tracker.tool_started(run_manager, given, inline=inline)


def _restoring(original: Callable[..., Any]) -> Callable[..., Any]:
    replaced = unbound(original)

    @wraps(original)
    async def arun(self: Any, *args: Any, **kwargs: Any) -> Any:
        with restored():
            return await replaced(self, *args, **kwargs)

    return arun


Started = Callable[[Any, tuple[Any, ...], dict[str, Any]], None]


def _starting(patches: Patches, started: Started, original: Callable[..., Any]) -> Callable[..., Any]:
    replaced = unbound(original)

    @wraps(original)
    def start(self: Any, *args: Any, **kwargs: Any) -> Any:
        with continued(patches.enabled):
            run_manager = replaced(self, *args, **kwargs)
        if patches.enabled and patches.handler in self.handlers:
            with swallowed("the start of a chain"):
                started(run_manager, args, kwargs)
        return run_manager

    return start


def _astarting(patches: Patches, started: Started, original: Callable[..., Any]) -> Callable[..., Any]:
    replaced = unbound(original)

    @wraps(original)
    async def start(self: Any, *args: Any, **kwargs: Any) -> Any:
        with continued(patches.enabled):
            run_manager = await replaced(self, *args, **kwargs)
        if patches.enabled and patches.handler in self.handlers:
            with swallowed("the start of a chain"):
                started(run_manager, args, kwargs)
        return run_manager

    return start


# graphs


def _enter(tracker: Tracker, graph: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entering | None:
    with swallowed("the input of a graph"):
        given = args[0] if args else kwargs.get("input")
        return entering(tracker.recorder, graph, given, _config(args, kwargs))
    return None


def _config(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[1] if len(args) > 1 else kwargs.get("config")


def _streaming(patches: Patches, tracker: Tracker, original: Callable[..., Any]) -> Callable[..., Any]:
    replaced = unbound(original)

    @wraps(original)
    def stream(self: Any, *args: Any, **kwargs: Any) -> Any:
        items = replaced(self, *args, **kwargs)
        if not patches.enabled or in_temporal_workflow():
            return items
        return _streamed(tracker, items, self, args, kwargs)

    return stream


def _streamed(
    tracker: Tracker, items: Any, graph: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[Any, Any, None]:
    found = _enter(tracker, graph, args, kwargs)
    if found is None:
        yield from items
        return
    if found.lacks_context and getattr(graph, "checkpointer", None):
        with suppress(Exception):
            take_pending(found, graph.get_state(_config(args, kwargs)))
    announce(found)
    error: BaseException | None = None
    try:
        while True:
            try:
                with restored():
                    item = next(items)
            except StopIteration:
                break
            yield item
    except BaseException as raised:
        error = raised
        raise
    finally:
        try:
            with restored():
                items.close()
        finally:
            _leave(tracker, found, error)


def _astreaming(patches: Patches, tracker: Tracker, original: Callable[..., Any]) -> Callable[..., Any]:
    replaced = unbound(original)

    @wraps(original)
    def astream(self: Any, *args: Any, **kwargs: Any) -> Any:
        items = replaced(self, *args, **kwargs)
        if not patches.enabled or in_temporal_workflow():
            return items
        return _astreamed(tracker, items, self, args, kwargs)

    return astream


async def _astreamed(
    tracker: Tracker, items: Any, graph: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncGenerator[Any, None]:
    found = _enter(tracker, graph, args, kwargs)
    if found is not None and found.lacks_context and getattr(graph, "checkpointer", None):
        with suppress(Exception):
            take_pending(found, await graph.aget_state(_config(args, kwargs)))
    if found is not None:
        announce(found)
    error: BaseException | None = None
    try:
        while True:
            try:
                with (
                    restored()
                ):  # a node may run in the consumer's task: what it made current ends with the item
                    item = await anext(items)
            except StopAsyncIteration:
                break
            yield item
    except BaseException as raised:
        error = raised
        raise
    finally:
        try:
            await items.aclose()
        finally:
            if found is not None:
                _leave(tracker, found, error)


def _leave(tracker: Tracker, found: Entering, error: BaseException | None) -> None:
    withdraw(found)
    if found.run_id is not None:
        tracker.graph_left(found.run_id, error)
