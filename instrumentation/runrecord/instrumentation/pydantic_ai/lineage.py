# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which run a message history belongs to; the SDK has an id for each segment, and none for the run over its segments."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from runrecord.instrumentation._declared import get, text
from runrecord.instrumentation.pydantic_ai.extract import FRAMEWORK, Call, calls_of
from runrecord.instrumentation.recorder import durable_approval_id


@dataclass(frozen=True)
class Lineage:
    """Which run the next run of a message history continues.

    Attributes:
        origin: The SDK's id of the run's first segment; None if the messages carry no run ids.
        segment: The number of the next segment.
    """

    origin: str | None
    segment: int


def run_id(sdk_run_id: str) -> str:
    """Derive the id of a run from the SDK's id of its first segment."""
    return durable_approval_id("run", FRAMEWORK, sdk_run_id)


def lineage(messages: Iterable[object]) -> Lineage | None:
    """Follow the runs through a message history; None if the last one left no tool call without an answer.

    The SDK gives every segment a run id of its own. A run that ended with open tool calls is continued by whichever run
    comes next; any other is not.
    """
    current: str | None = None
    origin, segment = None, 0
    open_calls: set[str] = set()
    for message in messages:
        made_by = text(get(message, "run_id"))
        if made_by is not None and made_by != current:
            if open_calls and current is not None:
                segment += 1
            else:
                origin, segment = made_by, 0
            current = made_by
        if get(message, "kind") == "response":
            open_calls = {call.call_id for call in calls_of(message)}
        else:
            open_calls -= _answered(message)
    return Lineage(origin, segment + 1) if open_calls else None


def _answered(request: object) -> set[str]:
    parts = cast("list[object]", get(request, "parts") or [])
    return {
        str(get(part, "tool_call_id"))
        for part in parts
        if get(part, "part_kind") in {"tool-return", "retry-prompt"}
    }


def pending_calls(messages: Sequence[object]) -> list[Call]:
    """Return the tool calls of the last response, which deferred results are answers to."""
    for message in reversed(messages):
        if get(message, "kind") == "response":
            return calls_of(message)
    return []
