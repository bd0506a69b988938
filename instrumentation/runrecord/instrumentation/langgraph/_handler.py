# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
# pyright: reportAssignmentType=false, reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
"""The callback handler that sees every graph: ends, errors, interrupts. Starts are seen in ``patch``."""

import os
from typing import Any
from uuid import UUID

from langgraph.callbacks import GraphCallbackHandler

from runrecord.instrumentation.langgraph._tracker import Tracker


class Handler(GraphCallbackHandler):
    """Reports to the tracker; runs inline, in the task or thread of the chain."""

    run_inline = True
    ignore_llm = True
    ignore_chat_model = True
    ignore_retriever = True
    ignore_retry = True
    ignore_custom_event = True

    def __init__(self, tracker: Tracker) -> None:
        """Report to ``tracker``."""
        super().__init__()
        self._tracker: Tracker | None = tracker

    @property
    def raise_error(self) -> bool:  # type: ignore[override]
        """LangChain swallows errors of handlers; under pytest ours are to be seen."""
        return bool(os.environ.get("PYTEST_CURRENT_TEST"))

    def disable(self) -> None:
        """Report nothing more; managers that are alive keep the handler."""
        self._tracker = None

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A chain returned."""
        del kwargs
        if self._tracker is not None:
            self._tracker.chain_ended(run_id, outputs)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A chain raised."""
        del kwargs
        if self._tracker is not None:
            self._tracker.chain_failed(run_id, error)

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool returned."""
        del kwargs
        if self._tracker is not None:
            self._tracker.tool_ended(run_id, output)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool raised."""
        del kwargs
        if self._tracker is not None:
            self._tracker.tool_failed(run_id, error)

    def on_interrupt(self, event: Any) -> None:
        """A graph paused."""
        if self._tracker is not None:
            self._tracker.interrupted(event)

    def on_resume(self, event: Any) -> None:
        """A graph goes on; the decisions were read from the input."""
