# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The part of another process in a run: what a tool server, a worker or an activity does for the agent that called it."""

import threading

from opentelemetry.context import Context

from runrecord.instrumentation._governed import Governed, scope_of
from runrecord.instrumentation._remote import RemoteRun, position
from runrecord.instrumentation._scope import Step
from runrecord.instrumentation._state import Attributes, Core, RunState, Sequence, process
from runrecord.semconv import attributes as a


class Part(Step):
    """A step of a run that another process started, with the index of the step that called.

    It is a source of its own: its counter starts at 0 with this record, which says at its end how many there are, so
    that a ledger notices one that got lost without knowing how many processes took part.
    """

    def __init__(self, core: Core, run: RemoteRun, context: Context, tenant_id: str | None) -> None:
        state = RunState(core, run.run_id, sequence=Sequence(core.new_source()))
        state.sequence.begin()
        state.tenant_id = tenant_id
        Governed.__init__(self, state, None, state.take_step(run.step_index))
        self._where = context
        self.step_id = None
        self._records: Attributes | None = None
        self._counting = threading.Lock()

    def _finish(self, attributes: Attributes, error: BaseException | str | None) -> bool:
        with self._counting:
            if self._records is None:
                count, root = self._state.sequence.close(self._sequence_number)
                self._records = {a.RUN_RECORDS: count, a.RUN_ROOT: root}
        return super()._finish({**attributes, **self._records}, error)


def part_of(core: Core, context: Context, tenant_id: str | None) -> Part | None:
    """Return the part, to be begun, of this process in the run that ``context`` was received from; None without one."""
    scope = scope_of(context)
    run = position(context)
    if run is None or (scope is not None and scope.state.pid == process.id):
        return None
    return Part(core, run, context, tenant_id)
