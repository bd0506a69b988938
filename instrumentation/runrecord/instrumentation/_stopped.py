# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The tool calls of a run that were stopped and have not happened since: why a run without an error may be denied."""

import threading
from collections import OrderedDict
from typing import Final

_MAX_CALLS: Final = 2_000


class Stopped:
    """What a policy or a person stopped in a run, over its segments (thread-safe).

    A stopped call is settled when it runs after all, when a later answer lets it run, or when a later call of the same
    tool succeeds: then the agent got done what it set out to do.
    """

    def __init__(self) -> None:
        self._calls: OrderedDict[str, str | None] = OrderedDict()
        self._done: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        """Say whether any call is still stopped."""
        return bool(self._calls)

    def calls(self) -> tuple[tuple[str, str | None], ...]:
        """Return (call id, tool) of what is still stopped; the last 2,000."""
        with self._lock:
            return tuple(self._calls.items())

    def restore(self, calls: tuple[tuple[str, str | None], ...]) -> None:
        """Take over what was stopped in earlier segments."""
        for call_id, tool in calls:
            self.stop(call_id, tool)

    def stop(self, call_id: str | None, tool: str | None) -> None:
        """Note that a call was stopped; one that had succeeded before can't be, only its result was withheld."""
        if call_id is None:
            return
        with self._lock:
            if call_id not in self._done:
                self._calls[call_id] = tool
                _bound(self._calls)

    def tool_of(self, call_id: str | None) -> str | None:
        """Return the tool of a call that succeeded in this segment."""
        return self._done.get(call_id) if call_id is not None else None

    def let_run(self, call_id: str | None) -> None:
        """Note that a call runs, or may run after all."""
        if self._calls and call_id is not None:
            with self._lock:
                self._calls.pop(call_id, None)

    def succeeded(self, call_id: str | None, tool: str) -> None:
        """Note that a call ended without an error."""
        with self._lock:
            if call_id is not None:
                self._done[call_id] = tool
                _bound(self._done)
            if not self._calls:
                return
            for stopped in [known for known, name in self._calls.items() if name == tool or known == call_id]:
                del self._calls[stopped]


def _bound(calls: OrderedDict[str, str] | OrderedDict[str, str | None]) -> None:
    while len(calls) > _MAX_CALLS:
        calls.popitem(last=False)
