# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the records of one run share: its identity, its counter and the means to emit."""

import os
import secrets
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from opentelemetry._logs import Logger, LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, Tracer
from opentelemetry.util.types import AttributeValue

from runrecord.instrumentation._content import Unset, captures_content, parsed_arguments
from runrecord.instrumentation._safety import report
from runrecord.instrumentation._stopped import Stopped
from runrecord.instrumentation.context_store import ContextKey, ContextStore, SpanRef, StoredContext
from runrecord.semconv import attributes as a
from runrecord.semconv.commitment import LABEL_TOOL_ARGUMENTS, RunKey, TenantKey
from runrecord.semconv.root import records_root

if TYPE_CHECKING:
    from runrecord.instrumentation._metrics import Metrics
    from runrecord.instrumentation._preview import Previews

Attributes = Mapping[str, AttributeValue | None]

_MAX_RUNS: Final = 10_000
_MAX_PHASES: Final = 2_000


class _Process:
    """Which process this is, without asking the system each time: a fork is another one."""

    def __init__(self) -> None:
        self.id = os.getpid()
        if hasattr(os, "register_at_fork"):  # where there are forks
            os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self.id = os.getpid()


process: Final = _Process()


def present(attributes: Attributes) -> dict[str, AttributeValue]:
    """Return ``attributes`` without those that are None."""
    return {name: value for name, value in attributes.items() if value is not None}


class Sequence:
    """The counter of the governed records that one source makes in one run (thread-safe)."""

    def __init__(self, source_id: str) -> None:
        self.source_id: Final = source_id
        self._next = 0
        self._segments = 0
        self._ids: dict[int, SpanContext] = {}
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Note that a segment begins: the records from here on are counted when it ends."""
        with self._lock:
            self._segments += 1

    def take(self) -> tuple[int, bool]:
        """Return the next number, from 0, and whether no segment is open that would count it."""
        with self._lock:
            number = self._next
            self._next += 1
            return number, not self._segments

    def note(self, number: int, address: SpanContext) -> None:
        """Note which span has a number, for the root over the records of its segment."""
        if self._segments:
            self._ids[number] = address

    def close(self, first: int) -> "tuple[int, str | None]":
        """End a segment.

        Args:
            first: The number of its run span.

        Returns:
            How many numbers were taken since, that one included, and the root over their spans; None if one is not known.
        """
        with self._lock:
            self._segments = max(0, self._segments - 1)
            end = self._next
            if first < 0 or first >= end:  # it never took one, or a fork of the process closes it
                return end, None
            ids = self._ids
            if not self._segments:
                self._ids = {}
        found = [ids.get(number) for number in range(first, end)]
        known = [(each.trace_id, each.span_id) for each in found if each is not None]
        return end - first, records_root(known) if len(known) == len(found) else None


class Sources:
    """The counters of this process, per run id; a fork or an eviction starts a new source.

    A source never starts a run's counter twice, so that (source, run, number) names one record.
    """

    def __init__(self, new_source: Callable[[], str]) -> None:
        self._new_source = new_source
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, Sequence] = OrderedDict()
        self._pid = 0
        self._source = ""
        self._evicted = False

    def of(self, run_id: str) -> Sequence:
        """Return the counter for ``run_id``."""
        with self._lock:
            if self._pid != process.id:
                self._pid, self._source, self._evicted = process.id, self._new_source(), False
                self._runs.clear()
            sequence = self._runs.get(run_id)
            if sequence is None:
                source = self._new_source() if self._evicted else self._source
                sequence = self._runs[run_id] = Sequence(source)
                if len(self._runs) > _MAX_RUNS:
                    self._runs.popitem(last=False)
                    self._evicted = True
            self._runs.move_to_end(run_id)
            return sequence


@dataclass
class Core:
    """One recorder's means: where spans and events go, the store, the key, the clock and the ids."""

    tracer: Callable[[], Tracer]
    logger: Callable[[], Logger]
    store: ContextStore
    tenant_key: Callable[[], TenantKey]
    clock: Callable[[], float] = time.time
    new_id: Callable[[], str] = field(default=lambda: uuid.uuid4().hex)
    new_source: Callable[[], str] = field(default=lambda: secrets.token_hex(8))
    metrics: "Callable[[], Metrics | None]" = field(default=lambda: None)
    previews: "Previews | None" = None
    store_lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Make the table of counters."""
        self.sources = Sources(self.new_source)

    def emit(self, event_name: str, attributes: Attributes, context: Context) -> None:
        """Emit a log event, if anything takes it."""
        logger = self.logger()
        if not logger.enabled(context=context, severity_number=SeverityNumber.INFO, event_name=event_name):
            return
        now = int(self.clock() * 1e9)
        logger.emit(
            LogRecord(
                timestamp=now,
                observed_timestamp=now,
                context=context,
                severity_number=SeverityNumber.INFO,
                event_name=event_name,
                attributes=present(attributes),
            )
        )


class RunState:
    """The identity of a run segment, shared by all of its records.

    Attributes:
        run_id: Stable over segments and processes.
        segment: From 0.
        pid: The process that this was made in; a fork of it is another one.
        root: The span of the first segment, parent of every later one.
        pending: What was stored for the approvals that were requested or answered in this segment.
        stopped: The tool calls that were denied and have not happened since.
        started_at: When the first segment began, in seconds since the epoch; 0 if that is not known.
        spent: What the calls of all segments cost, by currency.
        metrics: The instruments; None while nobody collects metrics.
        captures_content: Whether content may be put on the spans of this segment's tool calls.
    """

    def __init__(
        self, core: Core, run_id: str, segment: int = 0, *, sequence: Sequence | None = None
    ) -> None:
        self.core: Final = core
        self.run_id: Final = run_id
        self.segment: Final = segment
        self.agent: str | None = None
        self.workflow: str | None = None
        self.conversation_id: str | None = None
        self.tenant_id: str | None = None
        self.root: SpanRef | None = None
        self.current: SpanRef | None = None
        self.pending: dict[ContextKey, StoredContext] = {}
        self.stopped: Final = Stopped()
        self.started_at = 0.0
        self.spent: dict[str, float] = {}
        self.metrics: Final = core.metrics()
        self.captures_content: Final = captures_content()
        self._phases: dict[str, None] = {}
        self._next_step = 0
        self._lock = threading.Lock()
        self._key: RunKey | None = None
        self.pid: Final = process.id
        self._counting_pid = self.pid
        self._sequence = core.sources.of(run_id) if sequence is None else sequence

    @property
    def sequence(self) -> Sequence:
        """The counter of this process for the run; a fork of the process that started it has its own."""
        if self._counting_pid != process.id:
            self._counting_pid, self._sequence = process.id, self.core.sources.of(self.run_id)
        return self._sequence

    @property
    def is_workflow(self) -> bool:
        """Whether this is the run of a workflow, not of an agent."""
        return self.workflow is not None and self.agent is None

    def spend(self, amount: float, currency: str) -> None:
        """Add to what the run cost."""
        with self._lock:
            self.spent[currency] = self.spent.get(currency, 0.0) + amount

    @property
    def next_step(self) -> int:
        """The index that the next unnumbered step gets."""
        return self._next_step

    @next_step.setter
    def next_step(self, value: int) -> None:
        self._next_step = value

    @property
    def phases(self) -> tuple[str, ...]:
        """What was recorded and must not be recorded again on a replay; the last 2,000."""
        return tuple(self._phases)[-_MAX_PHASES:]

    def seen(self, phase: str) -> bool:
        """Say whether ``phase`` was noted in this run, in any segment."""
        return phase in self._phases

    def once(self, *phases: str) -> bool:
        """Note ``phases``; say whether none of them had been noted in this run, in any segment."""
        with self._lock:
            new = not any(phase in self._phases for phase in phases)
            self._phases.update(dict.fromkeys(phases))
            return new

    def take_step(self, index: int | None) -> int:
        """Return the index of a new step: the given one, or the next."""
        with self._lock:
            chosen = self._next_step if index is None else index
            self._next_step = max(self._next_step, chosen + 1)
            return chosen

    def commit(self, label: str, value: object) -> str | None:
        """Commit to a value with this run's key; None without a value, or when no key can be loaded."""
        if isinstance(value, Unset):
            return None
        try:
            if self._key is None:
                self._key = self.core.tenant_key().run_key(self.run_id)
            return self._key.commit(
                label, parsed_arguments(value) if label == LABEL_TOOL_ARGUMENTS else value
            )
        except Exception as error:  # noqa: BLE001  # a missing key costs the commitments only
            report("a commitment", error)
            return None

    def emit(self, event_name: str, attributes: Attributes, context: Context) -> None:
        """Emit a log event that repeats a decision, for back ends that take logs only."""
        identity: Attributes = {
            a.RUN_ID: self.run_id,
            a.SOURCE_ID: self.sequence.source_id,
            a.TENANT_ID: self.tenant_id,
        }
        said = {**identity, **attributes}
        self.core.emit(event_name, said, context)
        if self.core.previews is not None:
            for upstream, theirs in self.core.previews.events(event_name, said):
                self.core.emit(upstream, theirs, context)
