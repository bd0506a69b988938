# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into LangChain and LangGraph; nothing else.

Only class attributes are replaced, so it does not matter who imported what before:

==========================================================  =====================================================
``BaseCallbackManager.__init__``                            adds our handler (ends, errors, interrupts)
``(Async)CallbackManager.on_chain_start, on_tool_start``    starts, after every other handler
``BaseTool.arun``                                           leaves the context as it was
``Pregel.stream, astream``                                  which chain is a graph; also ``invoke`` and ``ainvoke``
``AgentMiddleware`` subclasses' ``(a)wrap_tool_call``       policy decisions
``HumanInTheLoopMiddleware.after_model`` and some siblings  policy decisions of the SDK's own middleware
==========================================================  =====================================================
"""

import importlib
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from functools import partial, wraps
from typing import Any, cast

from runrecord.instrumentation._safety import note_once, swallowed
from runrecord.instrumentation.langgraph import _middleware as middleware
from runrecord.instrumentation.langgraph._entering import (
    Entering,
    announce,
    continued,
    entering,
    take_pending,
    withdraw,
)
from runrecord.instrumentation.langgraph._tracker import Tracker, restored

Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]


class Patches:
    """What was replaced, and how to put it back."""

    def __init__(self) -> None:
        self.enabled = True
        self._undo: list[tuple[Any, str, Any, Any]] = []

    def replace(
        self, module: str, owner: str, name: str, wrapper: Wrapper, *, optional: bool = False
    ) -> bool:
        """Replace ``module.owner.name``; say whether there was one, and log once if there should have been."""
        try:
            kind = getattr(importlib.import_module(module), owner)
            original = kind.__dict__[name]
        except (ImportError, AttributeError, KeyError):
            if not optional:
                note_once(
                    f"langgraph-{owner}.{name}",
                    "runrecord: the installed version has no %s.%s.%s; what is seen there is not recorded",
                    module,
                    owner,
                    name,
                )
            return False
        self.replace_on(kind, name, original, wrapper)
        return True

    def replace_on(self, kind: Any, name: str, original: Any, wrapper: Wrapper) -> None:
        """Replace one attribute of a class."""
        replacement = wrapper(original)
        setattr(kind, name, replacement)
        self._undo.append((kind, name, original, replacement))

    def undo(self) -> None:
        """Put everything back that nobody else has replaced since; what remains does nothing more."""
        self.enabled = False
        for kind, name, original, replacement in reversed(self._undo):
            if kind.__dict__.get(name) is replacement:
                setattr(kind, name, original)
        self._undo.clear()


def bound(original: Any, instance: Any) -> Callable[..., Any]:
    """Bind what was replaced, which may be another instrumentation's descriptor rather than a function."""
    return cast("Callable[..., Any]", original.__get__(instance, type(instance)))


def apply(tracker: Tracker, handler: Any) -> Patches:
    """Hook into the SDK."""
    patches = Patches()
    managers = "langchain_core.callbacks.manager"
    patches.replace(
        "langchain_core.callbacks.base", "BaseCallbackManager", "__init__", _adding(patches, handler)
    )
    for kind, wrap, inline in (
        ("CallbackManager", _starting, True),
        ("AsyncCallbackManager", _astarting, False),
    ):
        chain, tool = partial(_chain, tracker, inline), partial(_tool, tracker, inline)
        patches.replace(managers, kind, "on_chain_start", wrap(patches, chain, handler))
        patches.replace(managers, kind, "on_tool_start", wrap(patches, tool, handler))
    patches.replace("langchain_core.tools.base", "BaseTool", "arun", _restoring)
    patches.replace("langgraph.pregel", "Pregel", "stream", _streaming(patches, tracker))
    patches.replace("langgraph.pregel", "Pregel", "astream", _astreaming(patches, tracker))
    _patch_middleware(patches, tracker)
    return patches


# callbacks


def _adding(patches: Patches, handler: Any) -> Wrapper:
    def wrapper(original: Callable[..., None]) -> Callable[..., None]:
        @wraps(original)
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            bound(original, self)(*args, **kwargs)
            if patches.enabled and handler not in self.inheritable_handlers:
                # First, so that at the end of a span that somebody else made we come before them; new lists, since the
                # ones at hand may be the caller's own.
                self.handlers = [handler, *(item for item in self.handlers if item is not handler)]
                self.inheritable_handlers = [handler, *self.inheritable_handlers]

        return init

    return wrapper


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
    @wraps(original)
    async def arun(self: Any, *args: Any, **kwargs: Any) -> Any:
        with restored():
            return await bound(original, self)(*args, **kwargs)

    return arun


Started = Callable[[Any, tuple[Any, ...], dict[str, Any]], None]


def _starting(patches: Patches, started: Started, handler: Any) -> Wrapper:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def start(self: Any, *args: Any, **kwargs: Any) -> Any:
            with continued(patches.enabled):
                run_manager = bound(original, self)(*args, **kwargs)
            if patches.enabled and handler in self.handlers:
                with swallowed("the start of a chain"):
                    started(run_manager, args, kwargs)
            return run_manager

        return start

    return wrapper


def _astarting(patches: Patches, started: Started, handler: Any) -> Wrapper:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def start(self: Any, *args: Any, **kwargs: Any) -> Any:
            with continued(patches.enabled):
                run_manager = await bound(original, self)(*args, **kwargs)
            if patches.enabled and handler in self.handlers:
                with swallowed("the start of a chain"):
                    started(run_manager, args, kwargs)
            return run_manager

        return start

    return wrapper


# graphs


def _enter(tracker: Tracker, graph: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entering | None:
    with swallowed("the input of a graph"):
        given = args[0] if args else kwargs.get("input")
        return entering(tracker.recorder, graph, given, _config(args, kwargs))
    return None


def _config(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[1] if len(args) > 1 else kwargs.get("config")


def _streaming(patches: Patches, tracker: Tracker) -> Wrapper:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def stream(self: Any, *args: Any, **kwargs: Any) -> Any:
            items = bound(original, self)(*args, **kwargs)
            if not patches.enabled:
                return items
            return _streamed(tracker, items, self, args, kwargs)

        return stream

    return wrapper


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


def _astreaming(patches: Patches, tracker: Tracker) -> Wrapper:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def astream(self: Any, *args: Any, **kwargs: Any) -> Any:
            items = bound(original, self)(*args, **kwargs)
            if not patches.enabled:
                return items
            return _astreamed(tracker, items, self, args, kwargs)

        return astream

    return wrapper


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


# middleware


def _patch_middleware(patches: Patches, tracker: Tracker) -> None:
    try:
        from langchain.agents.middleware.types import AgentMiddleware  # noqa: PLC0415  # langchain is optional
    except ImportError:
        return
    kind: Any = AgentMiddleware
    _patch_classes(patches, tracker, kind)
    _patch_future_classes(patches, tracker, kind)
    review = partial(_reviewing, patches, tracker)
    patches.replace(
        "langchain.agents.middleware.human_in_the_loop",
        middleware.HUMAN,
        "after_model",
        review,
        optional=True,
    )
    for module, owner, hook, note in (
        ("pii", "PIIMiddleware", "before_model", partial(_note_pii, "before_model")),
        ("pii", "PIIMiddleware", "after_model", partial(_note_pii, "after_model")),
        ("tool_call_limit", "ToolCallLimitMiddleware", "after_model", partial(_note_limit, "tool_call")),
        ("model_call_limit", "ModelCallLimitMiddleware", "before_model", partial(_note_limit, "model_call")),
    ):
        wrapper = partial(_noting, patches, tracker, hook, note)
        patches.replace(f"langchain.agents.middleware.{module}", owner, hook, wrapper, optional=True)


def _patch_classes(patches: Patches, tracker: Tracker, kind: Any) -> None:
    for subclass in kind.__subclasses__():
        _patch_class(patches, tracker, subclass)
        _patch_classes(patches, tracker, subclass)


def _patch_future_classes(patches: Patches, tracker: Tracker, kind: Any) -> None:
    def init_subclass(cls: Any, /, **kwargs: Any) -> None:
        super(kind, cls).__init_subclass__(**kwargs)  # pyright: ignore[reportUnknownMemberType]
        if patches.enabled:
            with swallowed("a middleware class"):
                _patch_class(patches, tracker, cls)

    if "__init_subclass__" not in kind.__dict__:
        kind.__init_subclass__ = classmethod(init_subclass)
    else:
        note_once(
            "langgraph-init-subclass", "runrecord: middleware classes made from now on are not observed"
        )


def _patch_class(patches: Patches, tracker: Tracker, kind: Any) -> None:
    for name, wrap in (("wrap_tool_call", _observing), ("awrap_tool_call", _aobserving)):
        original = kind.__dict__.get(name)
        if callable(original) and not getattr(original, "_runrecord", False):
            patches.replace_on(kind, name, original, partial(wrap, patches, tracker))


def _observing(patches: Patches, tracker: Tracker, original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def wrap_tool_call(self: Any, request: Any, handler: Callable[[Any], Any]) -> Any:
        if not patches.enabled or middleware.nested(self, "wrap_tool_call"):
            return bound(original, self)(request, handler)
        try:
            seen = middleware.ToolCallObservation(tracker, self, request)

            def proceed(call: Any) -> Any:
                seen.proceeds()
                return handler(call)

            try:
                result = bound(original, self)(request, proceed)
            except BaseException as error:
                seen.raised(error)
                raise
            seen.returned(result)
            return result
        finally:
            middleware.leave(self, "wrap_tool_call")

    wrap_tool_call._runrecord = True  # type: ignore[attr-defined]  # noqa: SLF001
    return wrap_tool_call


def _aobserving(patches: Patches, tracker: Tracker, original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    async def awrap_tool_call(self: Any, request: Any, handler: Callable[[Any], Any]) -> Any:
        if not patches.enabled or middleware.nested(self, "awrap_tool_call"):
            return await bound(original, self)(request, handler)
        try:
            seen = middleware.ToolCallObservation(tracker, self, request)

            async def proceed(call: Any) -> Any:
                seen.proceeds()
                return await handler(call)

            try:
                result = await bound(original, self)(request, proceed)
            except BaseException as error:
                seen.raised(error)
                raise
            seen.returned(result)
            return result
        finally:
            middleware.leave(self, "awrap_tool_call")

    awrap_tool_call._runrecord = True  # type: ignore[attr-defined]  # noqa: SLF001
    return awrap_tool_call


def _reviewing(patches: Patches, tracker: Tracker, original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def after_model(self: Any, state: Any, runtime: Any) -> Any:
        if not patches.enabled:
            return bound(original, self)(state, runtime)
        calls = middleware.calls_in(state)
        try:
            result = bound(original, self)(state, runtime)
        except BaseException as error:
            middleware.human_review(tracker, self, calls, error)
            raise
        middleware.human_review(tracker, self, calls, None)
        return result

    return after_model


Note = Callable[[Tracker, Any, Any, BaseException | None], None]


def _note_pii(where: str, tracker: Tracker, instance: Any, result: Any, error: BaseException | None) -> None:
    middleware.personal_data(tracker, instance, where, result, error)


def _note_limit(what: str, tracker: Tracker, instance: Any, result: Any, error: BaseException | None) -> None:
    middleware.call_limit(tracker, instance, what, result, error)


def _noting(
    patches: Patches, tracker: Tracker, hook: str, note: Note, original: Callable[..., Any]
) -> Callable[..., Any]:
    @wraps(original)
    def observed(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not patches.enabled or middleware.nested(self, hook):
            return bound(original, self)(*args, **kwargs)
        try:
            try:
                result = bound(original, self)(*args, **kwargs)
            except Exception as error:
                note(tracker, self, None, error)
                raise
            note(tracker, self, result, None)
            return result
        finally:
            middleware.leave(self, hook)

    return observed
