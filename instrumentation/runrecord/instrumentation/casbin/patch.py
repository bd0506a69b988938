# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into casbin; nothing else.

Every way to ask ends in the one method, of which each request of a batch is a call.
"""

from types import ModuleType
from typing import Any

from runrecord.instrumentation._policy_engine import Answer, Args, EngineHooks, Kwargs, Question, synchronous
from runrecord.instrumentation.casbin import extract


def apply(hooks: EngineHooks, module: ModuleType) -> None:
    """Hook into the module."""
    if hasattr(module, "Enforcer"):  # the application may have a module of that name, too
        hooks.wrap(module, "core_enforcer.CoreEnforcer.enforce_ex", synchronous("casbin", _Request))


class _Request:
    def __init__(self, asked: Question, enforcer: Any, args: Args, _kwargs: Kwargs) -> None:
        self._asked = asked
        self._enforcer = enforcer
        self._values = args

    def returned(self, result: Any) -> None:
        self._answered(extract.answer(self._enforcer, self._values, result))

    def raised(self, error: Exception) -> None:
        self._answered(Answer(error=error))

    def _answered(self, answer: Answer) -> None:
        self._asked.answered(extract.policy(self._enforcer), answer, extract.inputs(self._values))
