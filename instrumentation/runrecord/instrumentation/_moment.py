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
    """A governed span without duration."""

    def __init__(self, state: RunState, parent: Governed) -> None:
        super().__init__(state, parent, parent.step_index)

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
        self._finish({}, None)
        placed: Attributes = {a.STEP_INDEX: self._step_index, **facts}
        self._state.emit(event, placed, self.context)
        return reference
