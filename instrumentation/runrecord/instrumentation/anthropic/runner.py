# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The tool runners of the Messages API: their loops, and the tools that they call.

The native spans of the newer releases are enriched: a loop is wrapped where the native span of the run is current, a call where
that of the tool is.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final
from weakref import WeakKeyDictionary

import wrapt
from opentelemetry import context as otel_context
from opentelemetry import trace

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._declared import Settings
from runrecord.instrumentation._safety import guarded, swallowed
from runrecord.instrumentation.anthropic import extract, loop
from runrecord.instrumentation.anthropic.extract import Ending
from runrecord.instrumentation.anthropic.loop import Loop
from runrecord.instrumentation.recorder import UNSET, Recorder, Scope, Tool, existing_span
from runrecord.instrumentation.recorder import current as current_scope

_Callable = Callable[..., Any]

_loops: Final[WeakKeyDictionary[Any, Loop]] = WeakKeyDictionary()


# the loops


@guarded
def _begin(recorder: Recorder, runner: Any) -> Loop | None:
    scope = current_scope()
    # In the releases with threads `_params` is made of the thread's, and has what a request would have.
    body: dict[str, Any] = dict(declared.mapping(declared.get(runner, "_params")))
    settings = Settings.of(declared.get(runner, "metadata"))
    if scope is not None:
        under_way = Loop(recorder, scope, run=None)
    else:
        under_way = loop.open_loop(
            recorder,
            body,
            loop.waiting_for(recorder, body),
            settings=settings,
            conversation_id=conversation_of(declared.get(runner, "_client")),
        )
    _loops[runner] = under_way
    if not hasattr(runner, "_tool_use_span"):
        observed = _AsyncTool if hasattr(runner, "__anext__") else _Tool
        tools: dict[str, Any] = runner._tools_by_name  # noqa: SLF001  # there is no other way in
        tools.update({name: observed(tool, under_way) for name, tool in tools.items()})
    return under_way


def conversation_of(client: object) -> str | None:
    """Return the conversation that a client is configured for, in the releases that have that option."""
    return declared.text(declared.get(declared.get(client, "open_telemetry"), "conversation_id"))


@guarded
def _over(under_way: Loop, runner: Any) -> None:
    """End where the loop ended by itself: the model is done, or may not go on."""
    ending, most = under_way.ending, declared.get(runner, "_max_iterations")
    if declared.get(runner, "_closed") is True:
        under_way.left()
    elif ending is not None and ending.waits and most is not None:
        under_way.stopped(Ending("budget_exceeded", "max_iterations"))
    else:
        under_way.finish()


def iterate(recorder: Recorder, wrapped: _Callable, runner: Any) -> Generator[Any, Any, None]:
    """Record the turns of a runner; as with its own generator, nothing happens before the first is asked for."""
    under_way = _begin(recorder, runner)
    turns = wrapped()
    if under_way is None:
        yield from turns
        return
    proceed: _Callable = turns.__next__
    while True:
        try:
            with under_way.entered():
                turn = proceed()
        except StopIteration:
            _over(under_way, runner)
            return
        except BaseException as error:
            under_way.fail(error)
            raise
        try:
            yield turn
            proceed = turns.__next__
        except GeneratorExit:
            try:
                with under_way.entered():
                    turns.close()
            finally:
                under_way.left()
            raise
        except BaseException as error:  # noqa: BLE001  # it is the runner's to deal with
            thrown = error
            proceed = lambda: turns.throw(thrown)  # noqa: E731, B023


async def async_iterate(recorder: Recorder, wrapped: _Callable, runner: Any) -> AsyncGenerator[Any, Any]:
    """Record the turns of an asynchronous runner."""
    under_way = _begin(recorder, runner)
    turns = wrapped()
    if under_way is None:
        async for turn in turns:
            yield turn
        return
    proceed: _Callable = turns.__anext__
    while True:
        try:
            with under_way.entered():
                turn = await proceed()
        except StopAsyncIteration:
            _over(under_way, runner)
            return
        except BaseException as error:
            under_way.fail(error)
            raise
        try:
            yield turn
            proceed = turns.__anext__
        except GeneratorExit:
            try:
                with under_way.entered():
                    await turns.aclose()  # fails where the event loop ends and closes every generator at once
            finally:
                under_way.left()
            raise
        except BaseException as error:  # noqa: BLE001  # it is the runner's to deal with
            thrown = error
            proceed = lambda: turns.athrow(thrown)  # noqa: E731, B023


# tools


@guarded
def start(
    owner: Scope, tool: object, name: str, call_id: str | None, arguments: object, **facts: Any
) -> Tool | None:
    """Start the record of a call: of the native span, if that is the current one."""
    return owner.tool(
        name,
        call_id=call_id,
        arguments=UNSET if arguments is None else extract.plain(arguments),
        tool_type="function",
        span=existing_span("execute_tool", trace.get_current_span(), call_id),
        **facts,
        **extract.tool_hints(tool),
    )


@guarded
def end(record: Tool, result: Any) -> None:
    """End the record of a call as the block or the event says that goes to the model; without one it was cut short."""
    if result is None:
        record.cut_short("cancelled")
    elif declared.get(result, "is_error") is True:
        record.fail("tool_error")
    else:
        record.result(extract.plain(declared.get(result, "content")))


def tool_span(spanned: AbstractContextManager[Any], runner: Any, tool: Any, block: Any) -> Any:
    """Return the native context of a call with our record in it."""
    under_way = _loops.get(runner)
    if under_way is None or under_way.ended:
        return spanned
    return _recorded(spanned, under_way.owner, tool, block)


@contextmanager
def _recorded(
    spanned: AbstractContextManager[Any], owner: Scope, tool: Any, block: Any
) -> Generator[Any, None, None]:
    with within(owner), spanned as run:
        record = start(owner, tool, block.name, block.id, block.input)
        if record is None:
            yield run
            return
        with record:
            try:
                yield run
            except asyncio.CancelledError:
                record.cut_short("cancelled")
                raise
            end(record, declared.get(run, "result"))


@contextmanager
def within(owner: Scope | None) -> Generator[None, None, None]:
    """Make ``owner`` the current scope, if that is where nothing of its run is current yet."""
    if owner is None:
        yield
        return
    attached = otel_context.attach(owner.context)
    try:
        yield
    finally:
        with swallowed("leaving a tool"):
            otel_context.detach(attached)


class _Tool(wrapt.ObjectProxy):  # type: ignore[type-arg]  # pyright: ignore[reportMissingTypeArgument]  # wrapt 1 has none
    """A tool of a runner, in the releases whose runners say nothing of their calls."""

    def __init__(self, tool: Any, under_way: Loop) -> None:
        super().__init__(tool)  # pyright: ignore[reportUnknownMemberType]
        self._self_loop = under_way
        self._self_tool = tool

    def call(self, given: object) -> Any:
        """Call it within a record."""
        record = _start_of(self._self_loop, self._self_tool, given)
        if record is None:
            return self._self_tool.call(given)
        with record:
            result = self._self_tool.call(given)
            record.result(extract.plain(result))
            return result


class _AsyncTool(_Tool):
    """An asynchronous one."""

    async def call(self, given: object) -> Any:
        """Call it within a record."""
        record = _start_of(self._self_loop, self._self_tool, given)
        if record is None:
            return await self._self_tool.call(given)
        with record:
            try:
                result = await self._self_tool.call(given)
            except asyncio.CancelledError:
                record.cut_short("cancelled")
                raise
            record.result(extract.plain(result))
            return result


@guarded
def _start_of(under_way: Loop, tool: Any, given: object) -> Tool | None:
    if under_way.ended:
        return None
    found = next(
        (
            block
            for block in under_way.blocks
            if declared.get(block, "name") == tool.name and declared.get(block, "input") == given
        ),
        None,
    )
    if found is not None:
        under_way.blocks.remove(found)
    return start(under_way.owner, tool, tool.name, declared.text(declared.get(found, "id")), given)
