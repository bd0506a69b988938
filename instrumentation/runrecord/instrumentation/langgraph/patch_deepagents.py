# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into deepagents, beyond its being LangChain agents with middleware.

========================================================  =============================================
``middleware.filesystem._permission_error`` and siblings  each file tool's look at its permissions
``RubricMiddleware.after_agent, aafter_agent``            what the grader found
========================================================  =============================================

The permissions are looked at by private functions of the module, which its tools find at each call; without them a denial is
a tool call that failed.
"""

from collections.abc import Callable
from functools import partial, wraps
from types import ModuleType
from typing import Any, Final

from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation._safety import note_once, swallowed
from runrecord.instrumentation.langgraph import _deepagents as deepagents
from runrecord.instrumentation.langgraph._patches import Patches, unbound
from runrecord.instrumentation.langgraph._tracker import Tracker
from runrecord.instrumentation.recorder import Tool

_FILES: Final = "deepagents.middleware.filesystem"
_RUBRIC: Final = "deepagents.middleware.rubric"
_CHECKS: Final = ("_permission_error", "_resolved_permission_error", "_delete_permission_error")
_FIRST_CHECK: Final = "_check_fs_permission"
_CHECKED_DIRECTLY: Final = "glob"
"""The tool that asks the innermost function itself whether its path is denied; the others ask it of each result, too."""


def patch_deepagents(imports: OnImport, patches: Patches, tracker: Tracker) -> None:
    """Hook into deepagents, if it is there."""

    def patch_files(module: ModuleType) -> None:
        for name, wrap in (*((name, _checking) for name in _CHECKS), (_FIRST_CHECK, _checking_first)):
            original = module.__dict__.get(name)
            if callable(original):
                patches.replace_on(module, name, original, partial(wrap, patches, tracker))
            else:
                note_once(
                    f"langgraph-deepagents-{name}",
                    "runrecord: the installed deepagents has no %s; denials of file access are recorded as failed calls",
                    name,
                )

    def patch_rubric(_module: ModuleType) -> None:
        for name, wrap in (("after_agent", _grading), ("aafter_agent", _agrading)):
            patches.replace(_RUBRIC, "RubricMiddleware", name, partial(wrap, patches, tracker))

    imports.when(_FILES, patch_files)
    imports.when(_RUBRIC, patch_rubric)


def _checking(patches: Patches, tracker: Tracker, original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def check(rules: Any, *args: Any, **kwargs: Any) -> Any:
        denied = original(rules, *args, **kwargs)
        if patches.enabled and rules:
            with swallowed("a file permission"):
                operation = args[0] if args and isinstance(args[0], str) else "write"
                deepagents.file_access(tracker, operation, denied)
        return denied

    return check


def _checking_first(patches: Patches, tracker: Tracker, original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def check(rules: Any, operation: Any, path: Any) -> Any:
        mode = original(rules, operation, path)
        if patches.enabled and mode == "deny":
            with swallowed("a file permission"):
                tool = tracker.here()
                if isinstance(tool, Tool) and tool.name == _CHECKED_DIRECTLY:
                    deepagents.file_access(tracker, operation, "Error: permission denied")
        return mode

    return check


def _grading(patches: Patches, tracker: Tracker, original: Callable[..., Any]) -> Callable[..., Any]:
    replaced = unbound(original)

    @wraps(original)
    def after_agent(self: Any, *args: Any, **kwargs: Any) -> Any:
        update = replaced(self, *args, **kwargs)
        if patches.enabled:
            deepagents.graded(tracker, self, update)
        return update

    return after_agent


def _agrading(patches: Patches, tracker: Tracker, original: Callable[..., Any]) -> Callable[..., Any]:
    replaced = unbound(original)

    @wraps(original)
    async def aafter_agent(self: Any, *args: Any, **kwargs: Any) -> Any:
        update = await replaced(self, *args, **kwargs)
        if patches.enabled:
            deepagents.graded(tracker, self, update)
        return update

    return aafter_agent
