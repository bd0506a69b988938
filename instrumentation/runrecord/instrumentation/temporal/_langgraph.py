# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Graphs of LangGraph that run inside of a workflow: what they ask, and what is answered.

There the graph's own code is workflow code and runs again on every replay, so that its own integration keeps out of workflows. The
run is the workflow's, and the nodes that are activities are its steps; only the interrupts have to be told.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final, cast

from runrecord.instrumentation._hooks import Hooks
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.langgraph import extract
from runrecord.instrumentation.temporal._record import WorkflowRecord, current_record
from runrecord.instrumentation.temporal.approvals import approval

_Wrapped = Callable[..., Any]
_PREFIX: Final = "interrupt "  # beside the ids of tool calls


class AgentsPatch:
    """The hooks into LangGraph."""

    def __init__(self) -> None:
        self._hooks = Hooks("langgraph")

    def apply(self) -> None:
        """Hook in; ``ainvoke`` comes by here, too."""
        self._hooks.wrap("langgraph.pregel", "Pregel.astream", _astream)

    def remove(self) -> None:
        """Undo :meth:`apply`."""
        self._hooks.remove()


def _astream(wrapped: _Wrapped, _instance: Any, args: Any, kwargs: Any) -> Any:
    items = wrapped(*args, **kwargs)
    record = current_record()
    return items if record is None else _watched(record, items, args[0] if args else kwargs.get("input"))


async def _watched(record: WorkflowRecord, items: Any, given: object) -> AsyncIterator[Any]:
    _answered(record, given)
    try:
        async for item in items:
            _asked(record, item)
            yield item
    finally:
        await items.aclose()


@guarded
def _asked(record: WorkflowRecord, item: object) -> None:
    """Record what a graph waits for; what it asked before is asked once."""
    for interrupt in _interrupts(item):
        for asked in extract.asked(getattr(interrupt, "value", None)):
            key = f"{_PREFIX}{getattr(interrupt, 'id', '')}/{asked.position}"
            known = record.calls.get(key)
            if known is None or known.decided:
                record.calls[key] = approval(
                    asked.name or "interrupt",
                    arguments=asked.arguments,
                    content=asked.content,
                    call_id=asked.tool_call_id,
                )


def _interrupts(item: object) -> Iterable[Any]:
    """Return the interrupts that an item of a stream tells of, in whichever shape the stream has."""
    if isinstance(item, tuple):
        item = cast("tuple[object, ...]", item)[-1]
    said = extract.mapping(item)
    found = said.get("__interrupt__") or said.get("interrupts")  # the latter in a stream of version 2
    return cast("Iterable[Any]", found) if isinstance(found, (list, tuple)) else ()


@guarded
def _answered(record: WorkflowRecord, given: object) -> None:
    """Record what ``Command(resume=...)`` answers."""
    groups: dict[str, list[approval]] = {}
    for key, asked in record.calls.items():
        if key.startswith(_PREFIX) and not asked.decided:
            identity = key.removeprefix(_PREFIX).rpartition("/")[0]
            groups.setdefault(identity, []).append(asked)
    resume = getattr(given, "resume", None)
    values = extract.resume_values(resume, list(groups)) if resume is not None else {}
    for identity, value in values.items():
        waiting = groups.get(identity, [])
        of_calls = any(asked.of_call for asked in waiting)
        said = extract.answers(value, len(waiting), tool_calls=of_calls)
        for asked, answer in zip(waiting, said, strict=False):
            edited = {"arguments": answer.arguments} if answer.status == "modified" else {}
            asked.settled(answer.status, reason=answer.reason, **edited)
