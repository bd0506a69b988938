# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""One call of a tool, from the moment when nothing keeps it from being made."""

from collections.abc import Awaitable
from typing import Any

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.pydantic_ai import approvals, extract, policies
from runrecord.instrumentation.pydantic_ai.active import ActiveRun
from runrecord.instrumentation.recorder import Tool


async def made(
    active: ActiveRun, part: object, definition: object, arguments: object, execution: Awaitable[Any]
) -> Any:
    """Await the execution of a call, below its span.

    Args:
        active: The run.
        part: The ``ToolCallPart``.
        definition: The tool's definition.
        arguments: What the tool is called with.
        execution: The SDK's own call of the tool.
    """
    call = _start(active, part, definition, arguments)
    if call is None:
        return await execution
    with call:
        try:
            result = await execution
        except BaseException as error:
            _failed(active, call, part, definition, error)
            raise
        call.result(extract.result_of(result))
        return result


@guarded
def _start(active: ActiveRun, part: object, definition: object, arguments: object) -> Tool | None:
    return active.tool_call(part, definition, arguments)


@guarded
def _failed(active: ActiveRun, call: Tool, part: object, definition: object, error: BaseException) -> None:
    if extract.is_kind(error, "ApprovalRequired"):
        # Decided inside of the call, by the tool or its toolset, which say by this that they have not done it.
        policies.asks(active, part, error)
        approvals.required(active, extract.call(part), declared.get(error, "metadata"), definition)
        call.effect(committed=False)
        call.cut_short()
    elif extract.is_kind(error, "CallDeferred"):
        call.cut_short()
    elif extract.is_cancellation(error):
        call.cut_short(type(error).__name__)
    else:
        active.notes(extract.call_id(part)).failed = True
        call.fail(extract.root_cause(error))
