# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into the middleware of LangChain agents, existing classes and those that are made later."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from runrecord.instrumentation._safety import note_once, swallowed
from runrecord.instrumentation.langgraph import _middleware as middleware
from runrecord.instrumentation.langgraph._patches import Patches, bound
from runrecord.instrumentation.langgraph._tracker import Tracker


def patch_middleware(patches: Patches, tracker: Tracker) -> None:
    """Hook into the middleware, if langchain is installed beside langgraph."""
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
