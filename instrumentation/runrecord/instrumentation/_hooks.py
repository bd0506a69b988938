# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Replacing methods and functions of an SDK, and putting them back."""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, cast

import wrapt

from runrecord.instrumentation._safety import note_once


class Hooks:
    """What was replaced in one SDK.

    Args:
        sdk: Its distribution, for the line that is logged where a release lacks a place.
    """

    def __init__(self, sdk: str) -> None:
        self._sdk = sdk
        self._wrapped: list[tuple[Any, str]] = []

    def wrap(
        self, module: str | ModuleType, path: str, wrapper: Callable[..., Any], *, optional: bool = False
    ) -> bool:
        """Wrap ``module.path``; say whether this release has it.

        A place that it does not have costs some records and is logged once, unless it is optional.
        """
        label = module if isinstance(module, str) else module.__name__
        try:
            owner: Any = import_module(module) if isinstance(module, str) else module
            *parents, name = path.split(".")
            for parent in parents:
                owner = getattr(owner, parent)
            getattr(owner, name)
        except (ImportError, AttributeError):
            if not optional:
                note_once(
                    f"{self._sdk} {path}",
                    "runrecord: this %s has no %s.%s; less is recorded",
                    self._sdk,
                    label,
                    path,
                )
            return False
        wrapt.wrap_function_wrapper(owner, name, wrapper)
        self._wrapped.append((owner, name))
        return True

    def remove(self) -> None:
        """Put everything back that is still ours to put back."""
        for owner, name in reversed(self._wrapped):
            # What the owner holds, not what it gives: a class gives a bound class method.
            held: object = owner.__dict__.get(name)
            if isinstance(held, wrapt.FunctionWrapper):
                setattr(owner, name, cast("Any", held).__wrapped__)
        self._wrapped.clear()
