# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into the middleware of LangChain agents, existing classes and those that are made later."""

from collections.abc import Callable
from functools import partial, wraps
from types import ModuleType
from typing import Any, Final

from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation._safety import note_once, swallowed
from runrecord.instrumentation.langgraph import _middleware as middleware
from runrecord.instrumentation.langgraph import _model_hooks as hooks
from runrecord.instrumentation.langgraph._patches import Patches, unbound
from runrecord.instrumentation.langgraph._tracker import Tracker

_MIDDLEWARE: Final = "langchain.agents.middleware"


def patch_middleware(imports: OnImport, patches: Patches, tracker: Tracker) -> None:
    """Hook into the middleware; langchain is optional beside langgraph."""

    def patch_types(module: ModuleType) -> None:
        _patch_classes(patches, tracker, module.AgentMiddleware)
        _patch_future_classes(patches, tracker, module.AgentMiddleware)

    def note(module: str, owner: str, *hooks: tuple[str, partial[Any]]) -> None:
        def patch(_module: ModuleType) -> None:
            for hook, wrapper in hooks:
                patches.replace(f"{_MIDDLEWARE}.{module}", owner, hook, wrapper, optional=True)

        imports.when(f"{_MIDDLEWARE}.{module}", patch)

    def noting(hook: str, noted: Note) -> tuple[str, partial[Any]]:
        return hook, partial(_noting, patches, tracker, hook, noted)

    imports.when(f"{_MIDDLEWARE}.types", patch_types)
    note("human_in_the_loop", middleware.HUMAN, ("after_model", partial(_reviewing, patches, tracker)))
    note(
        "pii",
        "PIIMiddleware",
        *(noting(hook, partial(_note_pii, hook)) for hook in ("before_model", "after_model")),
    )
    note("tool_call_limit", "ToolCallLimitMiddleware", noting("after_model", hooks.call_limit))
    note(
        "model_call_limit",
        "ModelCallLimitMiddleware",
        *(noting(hook, hooks.call_limit) for hook in ("before_model", "after_model")),
    )
    note(
        "model_refusal",
        "ModelRefusalMiddleware",
        noting("wrap_model_call", _note_refusal),
        ("awrap_model_call", partial(_anoting, patches, tracker, "awrap_model_call", _note_refusal)),
    )


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
        patches.replace_on(kind, "__init_subclass__", None, lambda _: classmethod(init_subclass))
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
    replaced = unbound(original)

    @wraps(original)
    def wrap_tool_call(self: Any, request: Any, handler: Callable[[Any], Any]) -> Any:
        if not patches.enabled or middleware.nested(self, "wrap_tool_call"):
            return replaced(self, request, handler)
        try:
            seen = middleware.ToolCallObservation(tracker, self, request)

            def proceed(call: Any) -> Any:
                seen.proceeds()
                return handler(call)

            try:
                result = replaced(self, request, proceed)
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
    replaced = unbound(original)

    @wraps(original)
    async def awrap_tool_call(self: Any, request: Any, handler: Callable[[Any], Any]) -> Any:
        if not patches.enabled or middleware.nested(self, "awrap_tool_call"):
            return await replaced(self, request, handler)
        try:
            seen = middleware.ToolCallObservation(tracker, self, request)

            async def proceed(call: Any) -> Any:
                seen.proceeds()
                return await handler(call)

            try:
                result = await replaced(self, request, proceed)
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
    replaced = unbound(original)

    @wraps(original)
    def after_model(self: Any, state: Any, runtime: Any) -> Any:
        if not patches.enabled:
            return replaced(self, state, runtime)
        calls = hooks.calls_in(state)
        try:
            result = replaced(self, state, runtime)
        except BaseException as error:
            hooks.human_review(tracker, self, calls, error)
            raise
        hooks.human_review(tracker, self, calls, None)
        return result

    return after_model


Note = Callable[[Tracker, Any, Any, Any, BaseException | None], None]
"""Told the tracker, the middleware, what its hook was given first, what it returned, and what it raised."""


def _note_pii(
    where: str, tracker: Tracker, instance: Any, _: Any, result: Any, error: BaseException | None
) -> None:
    hooks.personal_data(tracker, instance, where, result, error)


def _note_refusal(tracker: Tracker, instance: Any, _: Any, _result: Any, error: BaseException | None) -> None:
    hooks.refusal(tracker, instance, error)


def _noting(
    patches: Patches, tracker: Tracker, hook: str, note: Note, original: Callable[..., Any]
) -> Callable[..., Any]:
    replaced = unbound(original)

    @wraps(original)
    def observed(self: Any, given: Any, *args: Any, **kwargs: Any) -> Any:
        if not patches.enabled or middleware.nested(self, hook):
            return replaced(self, given, *args, **kwargs)
        try:
            try:
                result = replaced(self, given, *args, **kwargs)
            except Exception as error:
                note(tracker, self, given, None, error)
                raise
            note(tracker, self, given, result, None)
            return result
        finally:
            middleware.leave(self, hook)

    return observed


def _anoting(
    patches: Patches, tracker: Tracker, hook: str, note: Note, original: Callable[..., Any]
) -> Callable[..., Any]:
    replaced = unbound(original)

    @wraps(original)
    async def observed(self: Any, given: Any, *args: Any, **kwargs: Any) -> Any:
        if not patches.enabled or middleware.nested(self, hook):
            return await replaced(self, given, *args, **kwargs)
        try:
            try:
                result = await replaced(self, given, *args, **kwargs)
            except Exception as error:
                note(tracker, self, given, None, error)
                raise
            note(tracker, self, given, result, None)
            return result
        finally:
            middleware.leave(self, hook)

    return observed
