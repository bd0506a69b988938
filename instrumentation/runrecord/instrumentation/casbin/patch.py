# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into casbin; nothing else.

Every way to ask ends in the one method, of which each request of a batch is a call.
"""

from types import ModuleType
from typing import Any

from runrecord.instrumentation._policy_engine import Answer, Args, EngineHooks, Kwargs, Wrapped, question
from runrecord.instrumentation._safety import swallowed
from runrecord.instrumentation.casbin import extract


def apply(hooks: EngineHooks, module: ModuleType) -> None:
    """Hook into the module."""
    if hasattr(module, "Enforcer"):  # the application may have a module of that name, too
        hooks.wrap(module, "core_enforcer.CoreEnforcer.enforce_ex", _enforce)


def _enforce(wrapped: Wrapped, instance: Any, args: Args, kwargs: Kwargs) -> Any:
    asked = question()
    if asked is None:
        return wrapped(*args, **kwargs)
    try:
        result = wrapped(*args, **kwargs)
    except Exception as error:
        with swallowed("a casbin decision"):
            asked.answered("casbin", extract.policy(instance), Answer(error=error), extract.inputs(args))
        raise
    with swallowed("a casbin decision"):
        answer = extract.answer(instance, args, result)
        asked.answered("casbin", extract.policy(instance), answer, extract.inputs(args))
    return result
