# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Replacing methods and functions of an SDK, and putting them back."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import wrapt
from opentelemetry.instrumentation.utils import unwrap

from runrecord.instrumentation._safety import note_once


class Hooks:
    """What was replaced in one SDK."""

    def __init__(self, sdk: str) -> None:
        self._sdk = sdk
        self._wrapped: list[tuple[Any, str]] = []

    def wrap(self, module: str, path: str, wrapper: Callable[..., Any]) -> bool:
        """Wrap ``module.path``; say whether this release has it, and log once if it has not."""
        try:
            owner: Any = import_module(module)
            *parents, name = path.split(".")
            for parent in parents:
                owner = getattr(owner, parent)
            getattr(owner, name)
        except (ImportError, AttributeError):
            note_once(
                f"{self._sdk} {path}",
                "runrecord: this %s has no %s.%s; less is recorded",
                self._sdk,
                module,
                path,
            )
            return False
        wrapt.wrap_function_wrapper(owner, name, wrapper)
        self._wrapped.append((owner, name))
        return True

    def remove(self) -> None:
        """Put everything back."""
        for owner, name in self._wrapped:
            unwrap(owner, name)
        self._wrapped.clear()
