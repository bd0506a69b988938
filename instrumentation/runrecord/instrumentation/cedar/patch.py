# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into cedarpy; nothing else.

``is_authorized`` calls ``is_authorized_batch`` by its name in the module, so that hooking into the latter sees both, even where
a program imported the former by name before.
"""

from types import ModuleType
from typing import Any

from runrecord.instrumentation._policy_engine import (
    Answer,
    Args,
    EngineHooks,
    Kwargs,
    Question,
    Wrapped,
    argument,
    question,
)
from runrecord.instrumentation._safety import swallowed
from runrecord.instrumentation.cedar import extract


def apply(hooks: EngineHooks, module: ModuleType) -> None:
    """Hook into the module."""
    if hasattr(module, "AuthzResult"):  # the application may have a module of that name, too
        hooks.wrap(module, "is_authorized_batch", _batch)
        hooks.wrap(module, "is_authorized_partial", _partial, optional=True)


def _batch(wrapped: Wrapped, _instance: Any, args: Args, kwargs: Kwargs) -> Any:
    asked = question()
    if asked is None:
        return wrapped(*args, **kwargs)
    requests: Any = argument(args, kwargs, 0, "requests")
    try:
        results = wrapped(*args, **kwargs)
    except Exception as error:
        with swallowed("a Cedar decision"):
            for request in requests or ():
                _record(asked, args, kwargs, request, Answer(error=error))
        raise
    with swallowed("a Cedar decision"):
        for request, result in zip(requests, results, strict=False):
            _record(asked, args, kwargs, request, extract.answer(result))
    return results


def _partial(wrapped: Wrapped, _instance: Any, args: Args, kwargs: Kwargs) -> Any:
    asked = question()
    if asked is None:
        return wrapped(*args, **kwargs)
    request = argument(args, kwargs, 0, "request")
    try:
        result = wrapped(*args, **kwargs)
    except Exception as error:
        with swallowed("a Cedar decision"):
            _record(asked, args, kwargs, request, Answer(error=error, mode="monitor"))
        raise
    with swallowed("a Cedar decision"):
        seen = extract.preview(result)
        if seen is not None:
            _record(asked, args, kwargs, request, seen)
    return result


def _record(asked: Question, args: Args, kwargs: Kwargs, request: object, answer: Answer) -> None:
    policies = argument(args, kwargs, 1, "policies")
    asked.answered("cedar", extract.policy(policies), answer, request)
