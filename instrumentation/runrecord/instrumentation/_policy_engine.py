# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the integrations of policy engines share: a question put to an engine inside of a run, and its answer.

The record is made when the answer is there, from the time of the question: only the answer says which rule of which
version decided, and whether it was a decision at all.
"""

import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, Literal, Protocol, cast

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from runrecord.instrumentation._governed import scope_of
from runrecord.instrumentation._hooks import Hooks
from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation._safety import guarded, swallowed
from runrecord.instrumentation._scope import Scope, Tool
from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.recorder import Recorder

Wrapped = Callable[..., Any]
Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Engine = Literal["casbin", "cedar", "opa", "openfga"]

_ASKING: Final = otel_context.create_key("runrecord-policy-engine-asking")

MAX_NAME: Final = 128
"""Characters of a name or an id that an engine or a program gives; a longer one is cut."""


@dataclass(frozen=True)
class Policy:
    """Which policy was asked.

    Attributes:
        policy_id: Stable over its versions.
        version: Its version, or a digest of it.
        name: Of low cardinality, for the name of the span; the id by default.
    """

    policy_id: str
    version: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Answer:
    """What came out.

    Attributes:
        outcome: Whether the subject may go ahead; None if the policy could not be evaluated, which ``error`` then tells.
        rule: The one rule that settled it.
        reason: A code, never content.
        error: What went wrong.
        decision_id: The engine's own id of the decision.
        mode: monitor, if the program must not act on the outcome.
    """

    outcome: Literal["allow", "deny"] | None = None
    rule: str | None = None
    reason: str | None = None
    error: BaseException | str | None = None
    decision_id: str | None = None
    mode: Literal["enforce", "monitor"] = "enforce"


@dataclass(frozen=True)
class Subject:
    """What the engine decided on, where that is not the current tool call."""

    kind: str
    name: str | None = None


class Question:
    """A question to a policy engine, from just before it is put."""

    __slots__ = ("_asked_at", "_context", "_engine")

    def __init__(self, engine: Engine, context: Context) -> None:
        self._engine: Engine = engine
        self._context = context
        self._asked_at = time.time_ns()

    def answered(
        self, policy: Policy, answer: Answer, inputs: object, subject: Subject | None = None
    ) -> None:
        """Record the decision.

        Args:
            policy: Which policy.
            answer: What came out.
            inputs: What the engine looked at; only a commitment to it is kept.
            subject: What was decided on; by default the current tool call, if the engine was asked inside of one.
        """
        scope = _open_scope(self._context)
        if scope is None:
            return
        inside = scope_of(self._context) is scope
        call = scope if subject is None and isinstance(scope, Tool) else None
        if call is not None:
            subject = Subject("tool_call", call.name)
        decision = scope.decision(
            policy.policy_id[:MAX_NAME],
            version=policy.version,
            name=(policy.name or policy.policy_id)[:MAX_NAME],
            engine=self._engine,
            mode=answer.mode,
            subject_type=None if subject is None else subject.kind,
            subject=None if call is None else call.call_id,
            subject_name=None if subject is None else subject.name,
            content=inputs,
            decision_id=answer.decision_id,
            context=self._context if inside else scope.context,
            start_time=self._asked_at,
        )
        rule = None if answer.rule is None else answer.rule[:MAX_NAME]
        if answer.outcome == "allow":
            decision.allow(rule=rule, reason=answer.reason)
        elif answer.outcome == "deny":
            decision.deny(rule=rule, reason=answer.reason)
        else:
            decision.fail(answer.error or "no_decision")


def question(engine: Engine) -> Question | None:
    """Return a question that is about to be put; None outside of any run, and below a call that is this question already."""
    context = otel_context.get_current()
    if scope_of(context) is None or otel_context.get_value(_ASKING, context) == engine:
        return None
    return Question(engine, context)


class Call(Protocol):
    """A call that puts a question."""

    def returned(self, result: Any) -> None:
        """Record what a result says."""

    def raised(self, error: Exception) -> None:
        """Record that there was no answer."""


Ask = Callable[[Question, Any, Args, Kwargs], Call | None]
"""Takes a question, with the instance and the arguments of the call; None if it turns out to be none."""


def synchronous(engine: Engine, ask: Ask) -> Wrapped:
    """Return the hook for a function that asks ``engine``; calls of the same engine below it make no records of their own."""

    def call(wrapped: Wrapped, instance: Any, args: Args, kwargs: Kwargs) -> Any:
        asked = _begin(engine, ask, instance, args, kwargs)
        if asked is None:
            return wrapped(*args, **kwargs)
        token = otel_context.attach(otel_context.set_value(_ASKING, engine))
        try:
            result = wrapped(*args, **kwargs)
        except Exception as error:
            with swallowed(f"a decision of {engine}"):
                asked.raised(error)
            raise
        finally:
            otel_context.detach(token)
        with swallowed(f"a decision of {engine}"):
            asked.returned(result)
        return result

    return call


def asynchronous(engine: Engine, ask: Ask) -> Wrapped:
    """Return the hook for a coroutine function, as :func:`synchronous`."""

    async def call(wrapped: Wrapped, instance: Any, args: Args, kwargs: Kwargs) -> Any:
        asked = _begin(engine, ask, instance, args, kwargs)
        if asked is None:
            return await wrapped(*args, **kwargs)
        token = otel_context.attach(otel_context.set_value(_ASKING, engine))
        try:
            result = await wrapped(*args, **kwargs)
        except Exception as error:
            with swallowed(f"a decision of {engine}"):
                asked.raised(error)
            raise
        finally:
            otel_context.detach(token)
        with swallowed(f"a decision of {engine}"):
            asked.returned(result)
        return result

    return call


@guarded
def _begin(engine: Engine, ask: Ask, instance: Any, args: Args, kwargs: Kwargs) -> Call | None:
    asked = question(engine)
    return None if asked is None else ask(asked, instance, args, kwargs)


def _open_scope(context: Context) -> Scope | None:
    """Return the innermost run, step or tool call of ``context`` such that it and all above it are still open."""
    nearest: Scope | None = None
    found = scope_of(context)
    while found is not None:
        if found.ended:
            nearest = None
        elif nearest is None and isinstance(found, Scope):
            nearest = found
        found = found.parent
    return nearest


def declared(thing: object, default: Policy) -> Policy:
    """Return the policy that ``thing`` says it is, in its attributes ``policy_id`` and ``policy_version``."""
    policy_id, version = _text(thing, "policy_id"), _text(thing, "policy_version")
    if policy_id is None:
        return default if version is None else Policy(default.policy_id, version, default.name)
    return Policy(policy_id, version or default.version)


def _text(thing: object, name: str) -> str | None:
    value = cast("object", getattr(thing, name, None))
    return value if isinstance(value, str) and value else None


def argument(args: Args, kwargs: Kwargs, position: int, name: str) -> Any:
    """Return an argument of a call, however it was given; None if it was not."""
    return args[position] if len(args) > position else kwargs.get(name)


class EngineHooks(Hooks):
    """The hooks of one integration: set when a module is imported, removed together."""

    def __init__(self, sdk: str) -> None:
        super().__init__(sdk)
        self._imports = OnImport()

    def when(self, module: str, apply: Callable[[ModuleType], None]) -> None:
        """Call ``apply`` with a module when it has been imported; at once, if it was before."""
        self._imports.when(module, apply)

    def remove(self) -> None:
        """Undo everything."""
        self._imports.disarm()
        super().remove()


class EngineInstrumentor(Instrumentor):
    """Base of the instrumentors of policy engines.

    The runs that decisions belong to have recorders of their own, and the decisions are theirs: what is given to ``instrument()``
    is not used.
    """

    _hooks: EngineHooks | None = None

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        del recorder, kwargs
        self._hooks = EngineHooks(self.scope.rpartition(".")[2])
        self._apply(self._hooks)

    def _unpatch(self, **kwargs: Any) -> None:
        del kwargs
        if self._hooks is not None:
            self._hooks.remove()
            self._hooks = None

    @abstractmethod
    def _apply(self, hooks: EngineHooks) -> None:
        """Hook into the engine's client, now or when it is imported."""
