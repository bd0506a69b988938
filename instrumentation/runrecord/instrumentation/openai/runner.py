# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Tool runners: what wraps their loops, their tools and the callbacks that the application gave them.

A callback is wrapped only where there is one, since its absence has a meaning; only ``on_diagnostic`` is added, whose absence has
none. The wrappers are transparent: the runners look at the signatures of what they call.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from functools import partial
from typing import Any, cast

import wrapt

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.openai import approvals, extract, loop
from runrecord.instrumentation.openai.extract import Ending
from runrecord.instrumentation.openai.loop import Loop
from runrecord.instrumentation.recorder import UNSET, Recorder, Tool

_Kwargs = dict[str, Any]
_Callable = Callable[..., Any]


# callbacks of the application


def composed(under_way: Loop | None, kwargs: _Kwargs) -> _Kwargs:
    """Return the arguments of a runner with its callbacks observed; without a loop, as they are."""
    if under_way is None:
        return kwargs
    observed = dict(kwargs)
    for name, after in (("approve_mcp", _mcp_answered), ("cancelled", _asked_for_cancellation)):
        if observed.get(name) is not None:
            observed[name] = _observed(observed[name], partial(after, under_way))
    return {**observed, "on_diagnostic": _Diagnostics(under_way, kwargs.get("on_diagnostic"))}


def _observed(callback: _Callable, after: Callable[[Any, Any], None]) -> _Callable:
    """Wrap a callback: ``after`` is told its first argument and what it returned."""

    def call(wrapped: _Callable, _instance: Any, args: tuple[Any, ...], kwargs: _Kwargs) -> Any:
        result = wrapped(*args, **kwargs)
        given = args[0] if args else None
        if asyncio.iscoroutine(result):
            return waiting(result, given)
        after(given, result)
        return result

    async def waiting(result: Any, given: Any) -> Any:
        answer = await result
        after(given, answer)
        return answer

    return cast("_Callable", wrapt.FunctionWrapper(callback, call))


@guarded
def _mcp_answered(under_way: Loop, item: Any, approved: Any) -> None:
    if isinstance(approved, bool):
        approvals.called_back(under_way.recorder, under_way.owner, item, approved=approved)


@guarded
def _asked_for_cancellation(under_way: Loop, _given: Any, answer: Any) -> None:
    if answer:
        under_way.cancelled = True


class _Diagnostics:
    """What a runner says on the way, for us and then for the application's observer."""

    def __init__(self, under_way: Loop, observer: _Callable | None) -> None:
        self._loop = under_way
        self._observer = observer

    def __call__(self, diagnostic: Any) -> Any:
        """Take one diagnostic."""
        self._note(diagnostic)
        return None if self._observer is None else self._observer(diagnostic)

    @guarded
    def _note(self, said: Any) -> None:
        call_id, member = declared.text(said.get("call_id")), declared.text(said.get("member"))
        step = (said.get("api"), said.get("stage"), said.get("reason"))
        if step == ("responses", "arguments", "invalid_input"):
            self._loop.owner.tool(member or "tool", call_id=call_id, tool_type="function").fail(
                "invalid_arguments"
            )
        elif step[:2] == ("browser", "approval"):
            self._confirmed(call_id, f"browser_{member}", said.get("reason"))
        elif step[:2] == ("decisions", "selection"):
            self._loop.choice = call_id
            if said.get("reason") == "refused":
                self._loop.ending = Ending("denied", "refusal")
        elif step[:2] == ("decisions", "verification"):
            check = self._loop.owner.verification("verify", subject=call_id)
            (check.passed if said.get("reason") == "completed" else check.failed)()

    def _confirmed(self, call_id: str | None, tool: str, reason: object) -> None:
        """Record what the application's ``confirm`` or ``url_policy`` said of a call of the browser."""
        if reason == "cancelled":
            return
        decision = self._loop.owner.decision("confirm", engine="custom", subject=call_id, subject_name=tool)
        if reason == "completed":
            decision.allow(action="none")
            return
        self._loop.refused.add(call_id)
        if reason == "refused":
            decision.deny(action="block")
        else:
            decision.fail("policy_failed")


# the loops


@guarded
def _begin(recorder: Recorder, params: Any, kwargs: Mapping[str, Any], *, asynchronous: bool) -> Loop | None:
    return loop.begin(recorder, params, ledger=kwargs.get("ledger"), asynchronous=asynchronous)


def _params(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return args[1] if len(args) > 1 else kwargs.get("params")


def iterate(
    recorder: Recorder, wrapped: _Callable, args: tuple[Any, ...], kwargs: _Kwargs
) -> Generator[Any, Any, None]:
    """Record the turns of a runner; as with its own generator, nothing happens before the first is asked for."""
    under_way = _begin(recorder, _params(args, kwargs), kwargs, asynchronous=False)
    turns = wrapped(*args, **composed(under_way, kwargs))
    if under_way is None:
        yield from turns
        return
    proceed: Callable[[], Any] = turns.__next__
    while True:
        try:
            with under_way.entered():
                turn = proceed()
        except StopIteration:
            under_way.finish()
            return
        except BaseException as error:
            under_way.fail(error)
            raise
        try:
            yield turn
            proceed = turns.__next__
        except GeneratorExit:
            with under_way.entered():
                turns.close()
            _left(under_way, turn)
            raise
        except BaseException as error:  # noqa: BLE001  # it is the runner's to deal with
            thrown = error
            proceed = lambda: turns.throw(thrown)  # noqa: E731, B023


async def async_iterate(
    recorder: Recorder, wrapped: _Callable, args: tuple[Any, ...], kwargs: _Kwargs
) -> AsyncGenerator[Any, Any]:
    """Record the turns of an asynchronous runner."""
    under_way = _begin(recorder, _params(args, kwargs), kwargs, asynchronous=True)
    turns = wrapped(*args, **composed(under_way, kwargs))
    if under_way is None:
        async for turn in turns:
            yield turn
        return
    proceed: Callable[[], Any] = turns.__anext__
    while True:
        try:
            with under_way.entered():
                turn = await proceed()
        except StopAsyncIteration:
            under_way.finish()
            return
        except BaseException as error:
            under_way.fail(error)
            raise
        try:
            yield turn
            proceed = turns.__anext__
        except GeneratorExit:
            with under_way.entered():
                await turns.aclose()
            _left(under_way, turn)
            raise
        except BaseException as error:  # noqa: BLE001  # it is the runner's to deal with
            thrown = error
            proceed = lambda: turns.athrow(thrown)  # noqa: E731, B023


@guarded
def _left(under_way: Loop, turn: Any) -> None:
    """End where the application stops to ask for turns; ``run`` does so after the final one."""
    if declared.get(turn, "final") is True:
        under_way.finish()
    else:
        under_way.left()


def run(recorder: Recorder, wrapped: _Callable, args: tuple[Any, ...], kwargs: _Kwargs) -> Any:
    """Record a runner that has one method for everything: of decisions, or of a computer."""
    under_way = _begin(recorder, _params(args, kwargs), kwargs, asynchronous=False)
    if under_way is None:
        return wrapped(*args, **kwargs)
    try:
        with under_way.entered():
            result = wrapped(*args, **composed(under_way, kwargs))
    except BaseException as error:
        under_way.fail(error)
        raise
    under_way.finish()
    return result


async def async_run(recorder: Recorder, wrapped: _Callable, args: tuple[Any, ...], kwargs: _Kwargs) -> Any:
    """Record an asynchronous runner that has one method for everything."""
    under_way = _begin(recorder, _params(args, kwargs), kwargs, asynchronous=True)
    if under_way is None:
        return await wrapped(*args, **kwargs)
    try:
        with under_way.entered():
            result = await wrapped(*args, **composed(under_way, kwargs))
    except BaseException as error:
        under_way.fail(error)
        raise
    under_way.finish()
    return result


# tools


@guarded
def start_function(name: str, call_id: str | None, arguments: object, declared: object) -> Tool | None:
    """Start the call of a function, on whose ``metadata`` it may say what it does."""
    under_way = loop.around()
    if under_way is None:
        return None
    return under_way.owner.tool(
        name,
        call_id=call_id,
        arguments=UNSET if arguments is None else arguments,
        tool_type="function",
        **extract.tool_hints(declared),
    )


def called(tool: Tool | None, call: Callable[[], Any], result_of: Callable[[Any], Any]) -> Any:
    """Make a call within its record."""
    if tool is None:
        return call()
    with tool:
        try:
            result = call()
        except Exception as error:
            _refused(tool, error)
            raise
        _end(tool, result_of, result)
        return result


async def async_called(tool: Tool | None, call: Callable[[], Any], result_of: Callable[[Any], Any]) -> Any:
    """Await a call within its record; one that is cancelled has no result, which is no error of the tool."""
    if tool is None:
        return await call()
    with tool:
        try:
            result = await call()
        except asyncio.CancelledError:
            tool.cut_short("cancelled")
            raise
        except Exception as error:
            _refused(tool, error)
            raise
        _end(tool, result_of, result)
        return result


@guarded
def _refused(tool: Tool, error: Exception) -> None:
    """End a call that a policy of the application stopped, which is no error of the tool."""
    refused, before = extract.refused(error)
    if before:
        tool.effect(committed=False)
    if refused:
        tool.cut_short("denied")


@guarded
def _end(tool: Tool, result_of: Callable[[Any], Any], result: Any) -> None:
    outcome = result_of(result)
    if outcome is FAILED and tool.call_id in _refused_calls():
        tool.effect(committed=False)
        tool.cut_short("denied")
    elif outcome is FAILED:
        tool.fail("tool_error")
    else:
        tool.result(outcome)


def _refused_calls() -> set[str | None]:
    under_way = loop.around()
    return under_way.refused if under_way is not None else set()


FAILED = object()
"""Stands for the result of a call that the SDK turned into an answer for the model."""


def function_result(output: Any) -> Any:
    """Return what a function answered, of the item that goes to the model."""
    return declared.get(output, "output")


def browser_result(answer: Any) -> Any:
    """Return what a browser answered: an item, and whether the call succeeded."""
    output, succeeded = answer
    return declared.get(output, "output") if succeeded else FAILED


# the computer


@guarded
def start_computer(call: Any) -> Tool | None:
    """Start the actions of a computer call."""
    under_way = loop.around()
    if under_way is None:
        return None
    known = None
    if extract.safety_checks(call):
        approvals.request(under_way.recorder, under_way.owner, call)
        known = approvals.approval_id(str(extract.subject_of(call)))
    return under_way.owner.tool(
        "computer", call_id=extract.subject_of(call), arguments=extract.shown(call), approval_id=known
    )


def computer_callbacks(recorder: Recorder, call: Any, kwargs: _Kwargs) -> _Kwargs:
    """Return the arguments of a computer call with its policies observed."""
    observed = dict(kwargs)
    under_way = loop.around()
    checks = observed.get("approve_safety_checks")
    if checks is not None:
        observed["approve_safety_checks"] = _observed(
            checks, lambda _, ok: _checked(recorder, under_way, call, ok)
        )
    before, numbers = observed.get("before_action"), itertools.count()
    if before is not None and under_way is not None:
        observed["before_action"] = _observed(
            before,
            lambda action, ok: _before(
                under_way, before, f"{extract.subject_of(call)}.{next(numbers)}", action, ok
            ),
        )
    return observed


@guarded
def _checked(recorder: Recorder, under_way: Loop | None, call: Any, answer: Any) -> None:
    if under_way is not None:
        approvals.called_back(recorder, under_way.owner, call, approved=answer is True)
        return
    subject = str(extract.subject_of(call))
    handle = recorder.approval(approvals.approval_key(subject), approvals.approval_id(subject))
    if handle is not None:
        (handle.approved if answer is True else handle.denied)(actor="policy", scope="once")


@guarded
def _before(under_way: Loop, policy: Any, subject: str, action: Any, answer: Any) -> None:
    named = declared.policy_of(policy, "before_action")
    decision = under_way.owner.decision(
        named.policy_id,
        version=named.version,
        engine="custom",
        subject=subject,
        subject_name="computer",
        arguments={"actions": [extract.plain(action)]},
    )
    (decision.allow if answer is True else decision.deny)(
        rule=named.rule, action="none" if answer is True else "block"
    )
