# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A record of a moment: a span that ends when it starts, and the log event that repeats it."""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind

from runrecord.instrumentation._governed import Governed
from runrecord.instrumentation._state import Attributes, RunState
from runrecord.instrumentation.context_store import SpanRef
from runrecord.semconv import attributes as a


class Moment(Governed):
    """A governed span without duration.

    Attributes:
        alone: No segment of the run was open in this process, so that this record says itself that it is one.
    """

    def __init__(self, state: RunState, parent: Governed) -> None:
        super().__init__(state, parent, parent.step_index)
        self.alone = False

    def _take_number(self) -> int:
        number, self.alone = self._state.sequence.take_alone()
        return number

    def record(
        self,
        name: str,
        facts: Attributes,
        event: str,
        *,
        where: Context,
        kind: SpanKind,
        links: Sequence[Link] = (),
    ) -> SpanRef | None:
        self._open(name, facts, parent=where, kind=kind, links=links)
        reference = SpanRef.of(self.span_context)
        self._finish({a.RUN_RECORDS: 1} if self.alone else {}, None)
        placed: Attributes = {a.STEP_INDEX: self._step_index, **facts}
        self._state.emit(event, placed, self.context)
        return reference
