# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The client's side: the tool calls that an agent makes, and the questions that come back.

Outside of a run nothing is recorded: a program that calls a tool is no agent. A retry with the request state of a run that waits
resumes that run.
"""

import weakref
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, cast

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Span

from runrecord.instrumentation._declared import Hints
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.mcp import extract, peers
from runrecord.instrumentation.mcp.calls import Asked, Call, call_id_of
from runrecord.instrumentation.recorder import Recorder, Run, Scope, Tool, current
from runrecord.semconv import attributes as a

_current: ContextVar["ClientCall | None"] = ContextVar("runrecord-mcp-client-call", default=None)
_in_flight: Final[weakref.WeakKeyDictionary[Any, list["ClientCall"]]] = weakref.WeakKeyDictionary()
_listed: Final[weakref.WeakKeyDictionary[Any, dict[str, Hints]]] = weakref.WeakKeyDictionary()


@dataclass(eq=False)
class ClientCall(Call):
    """A tool call of an agent, over all of its rounds.

    Attributes:
        run: The run that it resumes, if none was open.
        driven: Whether the SDK's client drives the rounds, or the application does and each is a call of its own.
        session: Whose rounds they are, once there was one.
        ended: Whether its answer is there.
    """

    run: Run | None = None
    driven: bool = False
    session: object = None
    ended: bool = False

    def takes(self, session: object, name: str) -> bool:
        """Say whether a request of ``session`` is a round of this call."""
        return self.driven and not self.ended and self.name == name and self.session in {None, session}

    # a round

    @guarded
    def begin_round(self, session: object, responses: object, state: str | None) -> None:
        """Record what the round answers, and start the record of the call with the first."""
        self.session = session
        _in_flight.setdefault(session, []).append(self)
        if self.tool is None:
            self.start(_listed.get(session, {}).get(self.name or "", {}), span=_native_span(self.name))
        # Behind the start: a call that begins after a no would count as made after all.
        self.answer_all(responses, state)

    @guarded
    def meta(self, session: object, meta: object) -> dict[str, Any] | None:
        """Return the ``_meta`` with which the request is to go out; None to leave it as it is."""
        told = peers.outgoing(session, self.call_id, self.owner.context)
        if told is None:
            return None
        return {
            **(cast("Mapping[str, Any]", meta) if isinstance(meta, Mapping) else {}),
            peers.META_KEY: told,
        }

    @guarded
    def end_round(self, result: object) -> None:
        """Record what a round brought: an answer, or questions."""
        self._landed()
        if extract.waits(result):
            self.ask_all(result)
            if not self.driven:
                self.pause()
                if self.run is not None:
                    self.run.suspend()
            return
        self.ended = True
        self.end(result)

    @guarded
    def fail_round(self, error: BaseException) -> None:
        """Record that a round brought an exception."""
        self._landed()
        for elicitation_id, question in extract.url_questions(error).items():
            self.ask(question, key=elicitation_id)
        if extract.rejected_state(error):
            decision = self.owner.decision(
                "mcp_server",
                engine="sdk",
                subject=self.call_id,
                subject_name=self.name,
                arguments=self.arguments,
            )
            decision.deny(rule="request_state", action="block", reason="invalid_request_state")
        self.ended = True
        self.fail(error)

    def _landed(self) -> None:
        calls = _in_flight.get(self.session, [])
        if self in calls:
            calls.remove(self)

    # the end

    @guarded
    def close(self, error: BaseException | None = None) -> None:
        """End what is still open when the application gets its result or exception."""
        if self.driven and not self.ended:
            self.ended = True
            self.give_up(error)
            if error is None:
                self.pause()
            else:
                self.fail(error)
        if self.run is not None and not self.run.ended:
            if error is None:
                self.run.stop()
            else:
                self.run.fail(error)


@guarded
def begin(
    recorder: Recorder, name: object, arguments: object, state: object, *, driven: bool = False
) -> ClientCall | None:
    """Return the call that is being made, if it belongs to a run."""
    if not isinstance(name, str):
        return None
    stored = recorder.lookup(extract.round_key(state, "client")) if isinstance(state, str) else None
    scope, run = open_scope(), None
    if scope is None:
        if stored is None or not isinstance(state, str):
            return None
        scope = run = recorder.resume(extract.round_key(state, "client"))
    given = extract.given(arguments)
    call_id = call_id_of(stored)
    if isinstance(scope, Tool) and extract.same_tool(str(getattr(scope, "_name", "")), name):
        call_id = call_id or extract.text(getattr(scope, "_call_id", None))
    return ClientCall(
        recorder, scope, name, given, call_id or f"mcp_{scope.state.core.new_id()}", run=run, driven=driven
    )


def open_scope() -> Scope | None:
    """Return the innermost record that is current and not over."""
    scope: Scope | None = current()
    while scope is not None and scope.ended:
        parent = scope.parent
        scope = parent if isinstance(parent, Scope) else None
    return scope


def current_call() -> ClientCall | None:
    """Return the call that the task makes, also in what it runs for a server in this process."""
    return _current.get()


class entered:  # noqa: N801  # used as a function
    """Make a call the current one of its task, and its record (or the run that it resumes) the current span."""

    def __init__(self, call: ClientCall) -> None:
        self._call = call
        self._tokens: tuple[Any, Any] | None = None

    def __enter__(self) -> None:
        """Attach; what is the application's own stays as it is."""
        call = self._call
        own = call.owner if call.run is not None or (call.tool is not None and not call.borrowed) else None
        context = own.context if own is not None else otel_context.get_current()
        self._tokens = (_current.set(call), otel_context.attach(context))

    def __exit__(self, *_: object) -> None:
        """Detach, in the context that attached."""
        if self._tokens is not None:
            mine, opentelemetrys = self._tokens
            otel_context.detach(opentelemetrys)
            _current.reset(mine)


def _native_span(name: str | None) -> Span | None:
    """Return FastMCP's client span of this call, which is open around its rounds."""
    span = trace.get_current_span()
    known = cast("Mapping[str, object]", getattr(span, "attributes", None) or {})
    own = known.get("mcp.method.name") == "tools/call" and known.get(a.GEN_AI_TOOL_NAME) == name
    return span if span.is_recording() and own and a.RUN_ID not in known else None


@guarded
def listed(session: object, result: object) -> None:
    """Note what the tools of a session declare of themselves."""
    tools = extract.get(result, "tools")
    known = _listed.setdefault(session, {})
    for tool in cast("list[object]", tools) if isinstance(tools, list) else []:
        name = extract.get(tool, "name")
        if isinstance(name, str):
            known[name] = extract.tool_hints(tool)


# questions that the SDK hands to the application


@guarded
def asked(session: object, context: object, request: object) -> Asked | None:
    """Return the question that the application is about to be asked, recorded now if it was not before."""
    question = extract.question(request)
    if question is None:
        return None
    key = str(extract.get(context, "request_id"))
    call = _asking(session, request)
    if call is None:
        return None
    approval = call.pending.get(key)
    return Asked(call, approval if approval is not None else call.ask(question, key=key), request)


def _asking(session: object, request: object) -> ClientCall | None:
    """Return the call that a question belongs to.

    It is the task's where the transport keeps the sender's context, else the one that the server names, else the only one that is under way. Of
    several it could be any, so that the question is recorded as the run's.
    """
    own = _current.get()
    if own is not None and not own.ended and own.session is session:
        return own
    calls = [call for call in _in_flight.get(session, ()) if not call.ended]
    named = peers.carrier_of(extract.get(extract.get(request, "params"), "meta", "_meta")).get(
        a.GEN_AI_TOOL_CALL_ID
    )
    for call in calls:
        if call.call_id == named or len(calls) == 1:
            return call
    if len({call.scope.run_id for call in calls}) != 1:
        return None
    scope = calls[0].scope
    return ClientCall(calls[0].recorder, scope, None, None, f"mcp_{scope.state.core.new_id()}")
