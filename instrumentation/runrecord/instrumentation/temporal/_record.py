# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The run that one execution of a workflow is, as the worker sees it that has the execution in its cache."""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, get_current_span, set_span_in_context
from temporalio import workflow
from temporalio.api.common.v1 import Payload

from runrecord.instrumentation._approval import describe, store_put
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation._scope import Scope
from runrecord.instrumentation.context_store import ContextKey, StoredContext
from runrecord.instrumentation.recorder import Recorder, Run
from runrecord.instrumentation.temporal import _headers
from runrecord.instrumentation.temporal._replay import outside, silent
from runrecord.semconv import attributes as a
from runrecord.semconv.commitment import LABEL_MESSAGE

FRAMEWORK: Final = "temporal"
HANDED_OVER: Final = "handed_over"
"""Why a segment is closed by a worker that loses the workflow in its middle; another one goes on with the same segment."""

_MAX_ANSWERS: Final = 20

_FROM_MEMO: Final = (
    a.RUN_AUTONOMY,
    a.PRINCIPAL_REF,
    a.PRINCIPAL_TYPE,
    a.TENANT_ID,
    a.VERSION_PROMPT,
    a.VERSION_TOOL_SCHEMA,
    a.VERSION_RETRIEVAL_INDEX,
    a.VERSION_POLICY,
    a.VERSION_AGENT,
    a.VERSION_CODE,
)


@dataclass(frozen=True)
class Answered:
    """An update or a signal that was accepted: what may turn out to be the answer to a request.

    Attributes:
        at: The workflow's time when it came. A replay may bring together what came in workflow tasks of their own, the update
            before the request that it answers, so that no count would say what came after what.
    """

    at: float
    handler: str
    args: tuple[Any, ...]
    actor: Mapping[str, str] = field(default_factory=dict[str, str])


class WorkflowRecord:
    """Records what a workflow does, once, although its code runs again on every replay.

    Segments are counted from the history alone, so that every worker comes to the same number: one ends where the workflow
    waits for a person, and where it continues as new or is retried. A worker that loses the workflow in between closes what it
    recorded of the segment; the one that takes over goes on with the same segment, under its own source.

    Attributes:
        info: What Temporal says of the execution.
        pending: Handles of the requests without an answer; the approvals module owns them.
        granted: Approvals by the name of the tool that has not run on them yet.
        calls: Handles by the id of a tool call of an agent SDK.
        answers: The last updates and signals that no request has taken as its answer.
        requests: How many approvals this execution has asked for.
    """

    def __init__(self, recorder: Recorder, info: workflow.Info) -> None:
        self.info: Final = info
        self.pending: list[Any] = []
        self.granted: dict[str, list[Any]] = {}
        self.calls: dict[str, Any] = {}
        self.answers: list[Answered] = []
        self.requests = 0
        self.eager = True
        self._recorder = recorder
        said, self._parent = _headers.read(info.headers)
        self._first = self._segment = int(said.get("segment", 0)) + (info.attempt - 1)
        self._next_step = int(said.get("next_step", 0))
        self._stopped = tuple((str(call), tool) for call, tool in said.get("stopped", ()))
        self._memo = _memo(info.raw_memo)
        self._used = False
        self._replaying = True
        self._now = 0.0
        self._live: Run | None = None
        self._muted: Run | None = None
        self._latest: Run | None = None
        self.scope: Final = WorkflowScope(self)

    # what it is

    @property
    def run_id(self) -> str:
        """The id of the run: the first execution's in a chain of executions; in a schedule by cron every one is a run."""
        return self.info.run_id if self.info.cron_schedule else self.info.first_execution_run_id

    @property
    def key(self) -> ContextKey:
        """Where the run's context is stored."""
        return (FRAMEWORK, self.info.workflow_id, self.run_id)

    @property
    def recorder(self) -> Recorder:
        """What makes the records that are emitted."""
        return self._recorder

    # where it is

    def look(self) -> bool:
        """Note what the workflow says of now; say whether what happens is new, rather than replayed."""
        if workflow.in_workflow():
            self._replaying = workflow.unsafe.is_replaying_history_events()
            self._now = workflow.time()
        return not self._replaying

    @property
    def now(self) -> float:
        """The workflow's time, in seconds since the epoch; the same in every replay."""
        return self._now

    @property
    def evicted(self) -> bool:
        """Whether the worker is giving up this execution: what had been new can't be replayed otherwise."""
        return not self.look() and self._live is not None

    @property
    def run(self) -> Run:
        """The segment under way; begun by the first thing that is recorded in it."""
        new = self.look()
        self._used = True
        found = self._live if new else self._muted
        if found is None:
            with outside():
                found = self._begin(self._recorder if new else self._silent(), new=new)
            if new:
                self._live = found
            else:
                self._muted = found
        self._latest = found
        return found

    def _silent(self) -> Recorder:
        key: Any = None
        try:
            key = self._recorder._core.tenant_key()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        except Exception:  # noqa: BLE001  # it costs the commitments only, and is reported where they are made
            key = None
        return silent(self._recorder, lambda: self._now, key)

    def _begin(self, recorder: Recorder, *, new: bool) -> Run:
        stored = recorder.lookup(self.key) if new else None
        if stored is not None and stored.run_id != self.run_id:
            stored = None
        marks = self._number(stored) if stored is not None else ()
        said = self._memo
        run = recorder.run(
            workflow=self.info.workflow_type,
            run_id=self.run_id,
            segment=self._segment,
            conversation_id=self.info.workflow_id,
            autonomy=said.get(a.RUN_AUTONOMY),
            principal_ref=said.get(a.PRINCIPAL_REF),
            principal_type=said.get(a.PRINCIPAL_TYPE),
            tenant_id=said.get(a.TENANT_ID),
            attributes={
                name: said[name]
                for name in _FROM_MEMO
                if name.startswith("runrecord.version.") and name in said
            },
            context=self._where(stored),
            links=[Link(stored.last.span_context())]
            if stored is not None and stored.last is not None
            else None,
        )
        state = run.state
        if stored is not None and stored.root is not None:
            state.root = stored.root
        before = self._latest.state if self._latest is not None else None
        state.once(*marks)
        state.next_step = before.next_step if before is not None else self._next_step
        state.stopped.restore(before.stopped.calls() if before is not None else self._stopped)
        state.commit(LABEL_MESSAGE, None)  # loads the key now, since the sandbox lets nobody open a file
        if new:
            self._remember(run, stored)
        return run

    def _number(self, stored: StoredContext) -> tuple[str, ...]:
        """Let the segments of a retried workflow follow those of the attempts before; return what to note in the store.

        How many those were is not in the history of this attempt. Whoever begins it reads it from the store and notes the first
        number there, for the workers that take over.
        """
        if self.info.attempt == 1:
            return stored.phases
        mark = f"{self.info.run_id} from "
        noted = [phase.removeprefix(mark) for phase in stored.phases if phase.startswith(mark)]
        first = int(noted[0]) if noted else stored.segment + 1
        self._segment, self._first = first + self._segment - self._first, first
        return (*stored.phases, *(() if noted else (f"{mark}{first}",)))

    def _where(self, stored: StoredContext | None) -> Context:
        """Return the parent: the first segment, what is current here (another instrumentation's), or who started the workflow."""
        if stored is not None and stored.root is not None:
            return set_span_in_context(NonRecordingSpan(stored.root.span_context()), Context())
        here = get_current_span()
        if here.get_span_context().is_valid:
            return set_span_in_context(here, Context())
        return self._parent

    def _remember(self, run: Run, stored: StoredContext | None) -> None:
        """Store where the run is, for the worker that takes over if this one is killed."""
        approvals = stored.approvals if stored is not None else ()
        store_put(run.state, self.key, replace(describe(run.state, self.key), approvals=approvals))

    def tell(self, handler: str, args: Sequence[Any], actor: object) -> None:
        """Note an update or a signal."""
        who: Mapping[str, str] = cast("Mapping[str, str]", actor) if isinstance(actor, Mapping) else {}
        self.look()
        self.answers.append(Answered(self.now, handler, tuple(args), who))
        del self.answers[:-_MAX_ANSWERS]

    def take_granted(self, activity: str, call_id: str | None) -> Any:
        """Return, once, the approval on which an activity runs: that of its tool call, else the oldest for its name."""
        for granted in self.granted.values():
            for asked in granted:
                if asked.call_id == call_id:
                    granted.remove(asked)
                    return asked
        named = self.granted.get(activity) if call_id is None else None
        return named.pop(0) if named else None

    # steps

    def take_step(self) -> int:
        """Return the index of the next step."""
        return self.run.state.take_step(None)

    def header(self, headers: Mapping[str, Payload], **facts: object) -> Mapping[str, Payload]:
        """Return headers for what the workflow starts: it belongs to this run, below the segment's span."""
        run = self.run
        said = {
            "run": self.run_id,
            "workflow": self.info.workflow_type,
            "conversation": self.info.workflow_id,
        }
        return _headers.write(headers, {**said, **facts}, run.context)

    def next_header(self, headers: Mapping[str, Payload]) -> Mapping[str, Payload]:
        """Return headers for the execution that this one continues as."""
        run = self.run
        calls = [list(call) for call in run.state.stopped.calls()][-100:]
        facts = {"segment": self._segment + 1, "next_step": run.state.next_step, "stopped": calls or None}
        root = run.state.root
        parent = (
            self._parent
            if root is None
            else set_span_in_context(NonRecordingSpan(root.span_context()), Context())
        )
        return _headers.write(headers, facts, parent)

    # ends

    def waits(self, reason: str) -> None:
        """End the segment: the workflow waits. Nothing happens if nothing was recorded in it."""
        if not self._used:
            return
        self._used = False
        new = self.look()
        live, self._live = self._live, None
        self._muted = None
        self._segment += 1
        if new and live is not None:
            with outside():
                live.keep(self.key)
                live.suspend(stop_reason=reason)
                live.stop()

    @guarded
    def hand_over(self) -> None:
        """Close what was recorded of the segment here; another worker goes on with it."""
        live, self._live = self._live, None
        if live is not None:
            with outside():
                live.keep(self.key)
                live.suspend(stop_reason=HANDED_OVER)
                live.stop()

    @guarded
    def ends(self, end: Callable[[Run], None]) -> None:
        """End the run, or the segment, by ``end``."""
        run = self.run
        if not self.look():
            return
        with outside():
            run.keep(self.key)
            end(run)
        self._live = None


class WorkflowScope(Scope):
    """What ``recorder.current()`` is in a workflow: every record goes to the segment that is under way then."""

    def __init__(self, record: WorkflowRecord) -> None:
        state = cast("Any", record)  # the state changes with the segment, see the property
        super().__init__(state, None, None)
        self._record = record

    @property
    def state(self) -> Any:
        """What the records of the segment share."""
        return self._record.run.state

    @property
    def context(self) -> Context:
        """A context in which the segment's span is current."""
        return self._record.run.context

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._record.run_id

    def attached(self, context: Context) -> Context:
        """Return ``context`` with this as what is current; no segment is begun by that."""
        return self._scoped(context)


def _delegate(name: str) -> Callable[..., Any]:
    def call(self: WorkflowScope, *args: Any, **kwargs: Any) -> Any:
        run = self._record.run  # pyright: ignore[reportPrivateUsage]
        with outside():
            return getattr(run, name)(*args, **kwargs)

    return call


for _name in (
    name
    for kind in Scope.__mro__[: Scope.__mro__.index(Scope.__mro__[-2])]
    for name, value in vars(kind).items()
    if not name.startswith("_") and callable(value)
):
    if _name not in vars(WorkflowScope):
        setattr(WorkflowScope, _name, _delegate(_name))


_record: ContextVar[WorkflowRecord | None] = ContextVar("runrecord-temporal-workflow", default=None)


def current_record() -> WorkflowRecord | None:
    """Return the record of the workflow that this code is in."""
    return _record.get() if workflow.in_workflow() else None


def enter(record: WorkflowRecord) -> None:
    """Make a record the one of the workflow task that is running; its children inherit it."""
    _record.set(record)


def _memo(raw: Mapping[str, Payload]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _FROM_MEMO:
        payload = raw.get(name)
        if payload is not None and payload.data[:1] == b'"':
            found[name] = payload.data.decode("utf-8", "replace")[1:-1]
    return found
