# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Follows the callbacks of LangChain and makes the records: runs, steps, tool calls, and where they end."""

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from opentelemetry import context as otel_context
from opentelemetry.trace import Span

from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.langgraph import extract
from runrecord.instrumentation.langgraph._entering import Entering, claim
from runrecord.instrumentation.langgraph._graph import Entry, Graph, Origin
from runrecord.instrumentation.recorder import UNSET, Governed, Recorder, Scope, Step, Tool, current
from runrecord.semconv import attributes as a

# Errors by which the SDK or a limit ends a run as intended: outcome and stop reason.
_ENDINGS = {
    "GraphRecursionError": ("budget_exceeded", "recursion_limit"),
    "ToolCallLimitExceededError": ("budget_exceeded", "tool_call_limit"),
    "ModelCallLimitExceededError": ("budget_exceeded", "model_call_limit"),
    "PIIDetectionError": ("denied", "pii_detected"),
    "ModelRefusalError": ("denied", "model_refusal"),
}


_here: ContextVar[Governed | None] = ContextVar("runrecord_langgraph_here", default=None)


class restored:  # noqa: N801  # used as a function; a class is a fraction of the cost of a generator
    """Leave what is current as it was: ends of async work are reported from another task, which can't detach."""

    __slots__ = ("_here", "_token")

    def __enter__(self) -> None:
        """Note what is current."""
        self._token = otel_context.attach(otel_context.get_current())
        self._here = _here.set(_here.get())

    def __exit__(self, *_: object) -> None:
        """Make it current again."""
        otel_context.detach(self._token)
        _here.reset(self._here)


class Tracker:
    """The callback runs that are under way in this process, by id."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._entries: dict[UUID, Entry] = {}
        self._graphs: dict[str, Graph] = {}

    def graph_of(self, scope: Scope) -> Graph | None:
        """Return the graph invocation that ``scope`` is in."""
        return self._graphs.get(scope.run_id)

    def here(self) -> Scope | None:
        """Return the innermost step or tool call that this code runs in.

        Beside the OpenTelemetry context, which other instrumentations replace with their own, LangGraph's copies of the
        context carry a variable of ours.
        """
        scope = _here.get()
        while scope is not None and scope.ended:
            scope = scope.parent
        return scope if isinstance(scope, Scope) else current()

    # starts

    @guarded
    def chain_started(self, run_manager: Any, *, inline: bool) -> None:
        """A chain started: a graph, if one was announced, a node of a graph, or something in between.

        ``inline`` says that its end will be reported in the same thread and context; async managers report ends from a
        task of their own.
        """
        entering = claim()
        parent = self._entries.get(run_manager.parent_run_id)
        if entering is not None:
            entering.run_id = run_manager.run_id
            self._graph_started(run_manager, entering, parent)
        elif parent is not None:
            metadata = extract.mapping(run_manager.metadata)
            node = metadata.get("langgraph_node")
            if parent.kind == "graph" and isinstance(node, str):
                self._step_started(run_manager.run_id, parent, node, metadata, inline=inline)
            else:
                self._add(run_manager.run_id, Entry(parent.graph, parent.scope))

    def _graph_started(self, run_manager: Any, entering: Entering, parent: Entry | None) -> None:
        run_id: UUID = run_manager.run_id
        if parent is not None:
            self._add(run_id, Entry(parent.graph, parent.scope, "graph"))
            return
        around = self.here()
        graph = self.graph_of(around) if around is not None else None
        if (
            around is not None
        ):  # inside a run of the application, or of a graph that did not pass its config on
            graph = graph or Graph(around, None, entering)
            self._graphs.setdefault(around.run_id, graph)
            self._add(run_id, Entry(graph, around, "graph"))
            graph.decide()
            return
        graph = self._run_started(entering, native_span(run_manager))
        self._graphs[graph.owner.run_id] = graph
        self._add(run_id, Entry(graph, graph.owner, "graph", graph.run))
        graph.decide()

    def _run_started(self, entering: Entering, span: Span | None) -> Graph:
        name = {"agent": entering.name} if entering.is_agent else {"workflow": entering.name}
        common: dict[str, Any] = {
            **name,
            "conversation_id": entering.thread,
            "autonomy": extract.text_of(entering.config, a.RUN_AUTONOMY),
            "tenant_id": extract.text_of(entering.config, a.TENANT_ID),
            "span": span,
        }
        if entering.continues and entering.key is not None:
            fallback = [str(item.id) for item in entering.pending[:1]]
            known = entering.stored is not None
            run = self.recorder.resume(entering.key if known else (*entering.key, *fallback), **common)
        else:
            kind, ref = entering.actor
            if ref is not None:
                common |= {"principal_ref": ref, "principal_type": "user" if kind == "human" else kind}
            run = self.recorder.run(**common)
        if entering.resume is not None and entering.key is not None:
            run.keep(entering.key)
        run.given(entering.given)
        entering.given = None
        return Graph(run, run, entering)

    def _step_started(
        self, run_id: UUID, parent: Entry, node: str, metadata: Mapping[str, Any], *, inline: bool
    ) -> None:
        graph = parent.graph
        task = str(metadata.get("langgraph_checkpoint_ns") or "").rpartition("|")[2] or None
        attempt = graph.attempts.get(task, 0) if task else 0
        if task:
            graph.attempts[task] = attempt + 1
        step = parent.scope.step(
            extract.step_kind(node), name=extract.bounded(node), step_id=task, attempt=attempt or None
        )
        token = otel_context.attach(step.context)
        _here.set(step)
        self._add(run_id, Entry(graph, step, "step", step, token if inline else None, tool=node))

    @guarded
    def tool_started(self, run_manager: Any, given: Mapping[str, Any], *, inline: bool) -> None:
        """A tool call started."""
        parent = self._entries.get(run_manager.parent_run_id)
        scope = parent.scope if parent is not None else self.here()
        graph = parent.graph if parent is not None else self.graph_of(scope) if scope is not None else None
        metadata = extract.mapping(run_manager.metadata)
        if graph is None and scope is not None and "langgraph_node" in metadata:
            # A durable engine, such as Temporal, runs the node apart from its graph.
            graph = Graph(scope, None, Entering("graph", is_agent=False, config={}))
        if scope is None or graph is None:
            return
        name = extract.bounded(extract.mapping(given.get("serialized")).get("name"))
        call_id = given.get("tool_call_id")
        arguments = given.get("inputs")
        tool = scope.tool(
            name,
            call_id=call_id,
            arguments=given.get("input_str", UNSET) if arguments is None else arguments,
            tool_type="function",
            approval_id=graph.approved.get(call_id or ""),
            attributes=extract.tool_facts(metadata),
            span=native_span(run_manager),
        )
        token = otel_context.attach(tool.context)
        _here.set(tool)
        entry = Entry(graph, tool, "tool", tool, token if inline else None, tool=name, call_id=call_id)
        self._add(run_manager.run_id, entry)

    def _add(self, run_id: UUID, entry: Entry) -> None:
        self._entries[run_id] = entry
        entry.graph.open[run_id] = entry

    # ends

    @guarded
    def chain_ended(self, run_id: UUID, outputs: object = None) -> None:
        """A chain ended, with ``outputs`` if they are known."""
        entry = self._take(run_id)
        if entry is None:
            return
        if entry.record is None:
            self._forget_guest(entry)
        elif (run := entry.graph.run) is entry.record and run is not None:
            run.answered(outputs)
            self._run_ended(entry.graph)
        else:
            entry.record.stop()

    @guarded
    def chain_failed(self, run_id: UUID, error: BaseException) -> None:
        """A chain ended with an exception, which may be the SDK's way to pause."""
        entry = self._take(run_id)
        if entry is None:
            return
        if isinstance(entry.record, Step):
            self._note_origin(entry, error)
            if interrupts_of(error) and extract.step_kind(entry.tool or "") == "route":
                entry.record.waits()
        if entry.record is None:
            self._forget_guest(entry)
        elif entry.record is entry.graph.run:
            self._run_failed(entry.graph, error)
        else:
            _finish(entry, error)

    @guarded
    def tool_ended(self, run_id: UUID, output: object) -> None:
        """A tool call returned."""
        entry = self._take(run_id)
        if entry is not None and isinstance(entry.record, Tool):
            result, failed = extract.tool_result(output)
            entry.record.result(result)
            if failed:
                entry.record.fail("tool_error")
            else:
                entry.record.stop()

    @guarded
    def tool_failed(self, run_id: UUID, error: BaseException) -> None:
        """A tool call raised, which may be the SDK's way to pause."""
        entry = self._take(run_id)
        if entry is not None and entry.record is not None:
            self._note_origin(entry, error)
            _finish(entry, error)

    def _take(self, run_id: UUID) -> Entry | None:
        entry = self._entries.pop(run_id, None)
        if entry is not None:
            entry.graph.open.pop(run_id, None)
            if entry.token is not None and _is_current(entry):
                otel_context.detach(entry.token)
                _here.set(entry.record.parent if entry.record is not None else None)
        return entry

    def _forget_guest(self, entry: Entry) -> None:
        """Forget a graph in a run of the application, when the last invocation in it is over."""
        if entry.graph.run is None and not entry.graph.open:
            self._graphs.pop(entry.graph.owner.run_id, None)

    def _note_origin(self, entry: Entry, error: BaseException) -> None:
        for interrupt in interrupts_of(error):
            origin = Origin(
                entry.scope,
                entry.tool if entry.kind == "step" else None,
                entry.tool if entry.kind == "tool" else None,
                entry.call_id,
            )
            entry.graph.origins.setdefault(str(interrupt.id), origin)

    # the end of the run

    def _run_ended(self, graph: Graph) -> None:
        run = graph.run
        self._close_children(graph)
        if run is None:
            return
        if graph.waits is not None:
            run.suspend(stop_reason=graph.waits, key=graph.entering.key)
        elif graph.outcome is not None:
            run.finish(graph.outcome[0], stop_reason=graph.outcome[1])
        run.stop()
        self._graphs.pop(run.run_id, None)

    def _run_failed(self, graph: Graph, error: BaseException) -> None:
        run = graph.run
        ending = next(
            (_ENDINGS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _ENDINGS), None
        )
        if is_control_flow(error) or ending is not None:
            graph.outcome = graph.outcome or ending
            self._run_ended(graph)
            return
        self._close_children(graph)
        if run is not None:
            run.fail(error)
            self._graphs.pop(run.run_id, None)

    @guarded
    def graph_left(self, run_id: UUID, error: BaseException | None) -> None:
        """The invocation is over; finish what no callback has finished."""
        entry = self._entries.get(run_id)
        if entry is None:
            return
        if error is None:
            self.chain_ended(run_id)
        else:
            self.chain_failed(run_id, error)

    def _close_children(self, graph: Graph) -> None:
        for run_id, entry in list(graph.open.items()):
            if entry.record is not None and entry.record is not graph.run:
                entry.record.cut_short("abandoned")
            self._entries.pop(run_id, None)
        graph.open.clear()

    # pauses

    @guarded
    def interrupted(self, event: Any) -> None:
        """The graph paused, and its checkpoint is written."""
        entry = self._entries.get(event.run_id)
        if entry is None:
            return
        graph = entry.graph
        for interrupt in event.interrupts:
            graph.request(interrupt)
        status = event.status if not event.interrupts else "interrupt"
        graph.waits = extract.bounded(status, "interrupt")

    @guarded
    def resumed(self, event: Any) -> None:
        """The graph goes on from a checkpoint; the decisions were read from the input."""


def native_span(run_manager: Any) -> Span | None:
    """Return the span that another instrumentation made for a callback run: the official one, or OpenInference's.

    The official one keeps its spans in a table of its own, a private seam; without it we make the span ourselves.
    """
    for handler in run_manager.handlers:
        find = getattr(getattr(handler, "_invocation_manager", None), "get_invocation", None)
        if find is not None:
            span = getattr(find(run_manager.run_id), "span", None)
        elif type(handler).__name__ == "OpenInferenceTracer":
            span = handler.get_span(run_manager.run_id)
        else:
            continue
        if isinstance(span, Span) and span.is_recording():
            return span
    return None


def interrupts_of(error: BaseException) -> list[Any]:
    """Return the interrupts that a ``GraphInterrupt`` carries."""
    found: Any = error.args[0] if is_control_flow(error) and error.args else ()
    items: list[Any] = list(found) if isinstance(found, (list, tuple)) else []  # pyright: ignore[reportUnknownArgumentType]
    return [item for item in items if hasattr(item, "id")]


def is_control_flow(error: BaseException) -> bool:
    """Say whether an exception is LangGraph's way to pause, drain or jump, and so no error."""
    return any(kind.__name__ == "GraphBubbleUp" for kind in type(error).__mro__)


def _finish(entry: Entry, error: BaseException) -> None:
    record = entry.record
    if record is None:
        return
    if is_control_flow(error):
        record.cut_short()
    elif isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        record.cut_short(type(error).__name__)
    else:
        record.fail(error)


def _is_current(entry: Entry) -> bool:
    return current() is entry.record
