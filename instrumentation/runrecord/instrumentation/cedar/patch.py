# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into cedarpy; nothing else.

``is_authorized`` calls ``is_authorized_batch`` by its name in the module, so that hooking into the latter sees both, even where
a program imported the former by name before.
"""

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from runrecord.instrumentation._policy_engine import (
    Answer,
    Args,
    EngineHooks,
    Kwargs,
    Question,
    argument,
    synchronous,
)
from runrecord.instrumentation.cedar import extract


def apply(hooks: EngineHooks, module: ModuleType) -> None:
    """Hook into the module."""
    if hasattr(module, "AuthzResult"):  # the application may have a module of that name, too
        hooks.wrap(module, "is_authorized_batch", synchronous("cedar", _Batch))
        hooks.wrap(module, "is_authorized_partial", synchronous("cedar", _Partial), optional=True)


class _Batch:
    """Requests that are decided one by one."""

    def __init__(self, asked: Question, _instance: Any, args: Args, kwargs: Kwargs) -> None:
        self._asked = asked
        self._requests: Iterable[Any] = argument(args, kwargs, 0, "requests") or ()
        self._policies: object = argument(args, kwargs, 1, "policies")

    def returned(self, result: Any) -> None:
        policy = extract.policy(self._policies)
        for request, each in zip(self._requests, result, strict=False):
            self._asked.answered(policy, extract.answer(each), request)

    def raised(self, error: Exception) -> None:
        policy = extract.policy(self._policies)
        for request in self._requests:
            self._asked.answered(policy, Answer(error=error), request)


class _Partial:
    """A request of which a part is unknown."""

    def __init__(self, asked: Question, _instance: Any, args: Args, kwargs: Kwargs) -> None:
        self._asked = asked
        self._request: object = argument(args, kwargs, 0, "request")
        self._policies: object = argument(args, kwargs, 1, "policies")

    def returned(self, result: Any) -> None:
        seen = extract.preview(result)
        if seen is not None:
            self._asked.answered(extract.policy(self._policies), seen, self._request)

    def raised(self, error: Exception) -> None:
        broken = Answer(error=error, mode="monitor")
        self._asked.answered(extract.policy(self._policies), broken, self._request)
