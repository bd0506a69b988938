# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The run of a client in another process, in which this process makes records but no run span."""

from opentelemetry.context import Context

from runrecord.instrumentation._scope import Scope
from runrecord.instrumentation._state import RunState
from runrecord.instrumentation.propagation import RemoteRun
from runrecord.instrumentation.recorder import Recorder


class Joined(Scope):
    """A place in somebody else's run: the records made in it have a source and a counter of this process."""

    counted = False

    def __init__(self, recorder: Recorder, run: RemoteRun, context: Context) -> None:
        state = RunState(recorder._core, run.run_id)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        super().__init__(state, None, run.step_index)
        self._context = self._scoped(context)
