# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The run of another process, as its baggage said: what a context holds of it, and what of ours goes into baggage.

Inside a process the run id and the step index are kept under context keys of our own, never as OpenTelemetry baggage: what is in
the baggage is sent by every propagator, with every request, to everybody. They become baggage entries only on their way
over a boundary that the policy allows (`runrecord.instrumentation.propagation`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry.context import Context

from runrecord.instrumentation._governed import leave_scope, scope_of
from runrecord.semconv import attributes as a

ENTRIES: Final = (a.RUN_ID, a.STEP_INDEX)
"""The baggage entries that are ours; no other is ever read or changed."""

MAX_RUN_ID: Final = 256
"""Characters; the same limit as in the ledger."""

_MAX_STEP_DIGITS: Final = 9
_REMOTE_KEY: Final = otel_context.create_key("runrecord-remote-run")


@dataclass(frozen=True)
class RemoteRun:
    """Where in a run of another process this one was called.

    Attributes:
        run_id: The id of the run.
        step_index: The step of the caller, from 0; None outside of a step.
    """

    run_id: str
    step_index: int | None = None


def remote_run(context: Context | None = None) -> RemoteRun | None:
    """Return the run of another process that ``context``, or the current one, was received from."""
    value = otel_context.get_value(_REMOTE_KEY, context)
    return value if isinstance(value, RemoteRun) else None


def with_remote_run(run: RemoteRun, context: Context) -> Context:
    """Return ``context`` inside of a run of another process, and no longer in one of this process."""
    return otel_context.set_value(_REMOTE_KEY, run, leave_scope(context))


def position(context: Context) -> RemoteRun | None:
    """Return what another process is told of where ``context`` is: the run, or the remote run, and the step."""
    scope = scope_of(context)
    if scope is not None:
        return RemoteRun(scope.run_id, scope.step_index)
    return remote_run(context)


def without_entries(context: Context) -> Context:
    """Return ``context`` with none of our entries in its baggage."""
    present = baggage.get_all(context)
    for name in ENTRIES:
        if name in present:
            context = baggage.remove_baggage(name, context)
    return context


def with_entries(context: Context) -> Context:
    """Return ``context`` with its position as baggage, behind the entries of the user."""
    context = without_entries(context)
    here = position(context)
    if here is None:
        return context
    context = baggage.set_baggage(a.RUN_ID, here.run_id, context)
    if here.step_index is not None:
        context = baggage.set_baggage(a.STEP_INDEX, str(here.step_index), context)
    return context


def from_entries(entries: Mapping[str, object]) -> RemoteRun | None:
    """Return the run that baggage names, or None if it names none that can be one.

    A run id is printable and at most 256 characters; a step index is at most nine decimal digits, and is left out if it
    is anything else.
    """
    run_id, step = entries.get(a.RUN_ID), entries.get(a.STEP_INDEX)
    if not isinstance(run_id, str) or not 0 < len(run_id) <= MAX_RUN_ID or not run_id.isprintable():
        return None
    known = isinstance(step, str) and len(step) <= _MAX_STEP_DIGITS and step.isascii() and step.isdigit()
    return RemoteRun(run_id, int(str(step)) if known else None)
