# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Replacing attributes of classes, and putting them back."""

import importlib
from collections.abc import Callable
from types import FunctionType
from typing import Any

from runrecord.instrumentation._safety import note_once

Wrapper = Callable[[Any], Any]


class Patches:
    """What was replaced, and how to put it back.

    Attributes:
        handler: Our callback handler, once its base class is there.
    """

    def __init__(self) -> None:
        self.enabled = True
        self.handler: Any = None
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
        """Replace one attribute of a class; ``original`` is None if the class has none of its own."""
        replacement = wrapper(original)
        setattr(kind, name, replacement)
        self._undo.append((kind, name, original, replacement))

    def undo(self) -> None:
        """Put everything back that nobody else has replaced since; what remains does nothing more."""
        self.enabled = False
        if self.handler is not None:
            self.handler.disable()
        for kind, name, original, replacement in reversed(self._undo):
            if kind.__dict__.get(name) is not replacement:
                continue
            if original is None:
                delattr(kind, name)
            else:
                setattr(kind, name, original)
        self._undo.clear()


def unbound(original: Any) -> Callable[..., Any]:
    """Return what was replaced as a function of the instance; it may be another instrumentation's descriptor."""
    if type(original) is FunctionType:  # wrapt's proxies pass for a function with isinstance
        return original

    def call(instance: Any, /, *args: Any, **kwargs: Any) -> Any:
        return original.__get__(instance, type(instance))(*args, **kwargs)

    return call
