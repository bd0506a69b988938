# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The server's side: the tool calls that it answers, in the run of the client or in one of their own.

A call belongs to the client's run if the run came along and is believed. Any other call is a run of its own, named after the server: the team that
runs a server has nothing else to see who was refused and who agreed, and a call whose rounds wait for a person is one
run in segments.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, cast

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Link, Span, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import Self

from runrecord.instrumentation._declared import Hints, Policy
from runrecord.instrumentation._safety import guarded, swallowed
from runrecord.instrumentation.mcp import client, extract, peers
from runrecord.instrumentation.mcp.calls import Asked, Call, call_id_of
from runrecord.instrumentation.recorder import UNSET, Recorder, Run, Step
from runrecord.semconv import attributes as a
from runrecord.semconv.commitment import LABEL_TOOL_ARGUMENTS

_Next = Callable[[Any], Awaitable[Any]]

_serving: ContextVar["ServerCall | None"] = ContextVar("runrecord-mcp-server-call", default=None)


@dataclass(eq=False)
class ServerCall(Call):
    """A tool call that this process answers.

    Attributes:
        sent: The parameters as they came over the wire; inside, the request state is the server's own text.
        run: Its own run; None in a client's.
        part: This process's part in the run of a client elsewhere.
        asks: Whether its questions are recorded here; otherwise the client does.
        reached: Whether every middleware let it through.
        denied: Whether a policy stopped it.
        elsewhere: Whether FastMCP's middleware and tools are recorded instead of the handler of the SDK's server.
        hidden: Whether the tool's own authorization does not admit the caller, who is told that there is no such tool.
        allowed: Policies that let it through, to be recorded.
    """

    side: str = "server"
    sent: object = None
    run: Run | None = None
    part: Step | None = None
    asks: bool = True
    reached: bool = False
    denied: bool = False
    elsewhere: bool = False
    hidden: bool = False
    allowed: list[Policy] = field(default_factory=list[Policy])
    _waits: bool = False
    _rewritten: bool = False
    _token: Any = None

    @guarded
    def verified(self, params: object) -> None:
        """Record the answers that a retry brings, now that the server has taken its request state for its own."""
        if self.asks:
            self.answer_all(extract.get(params, "inputResponses"), extract.state_of(self.sent))

    # policies

    @guarded
    def let_through(self, middleware: list[Any], arguments: object) -> None:
        """Note that a call passed its middleware, and record what of it names its policy, and whether it changed the arguments."""
        self.reached = True
        changed = isinstance(arguments, Mapping) and arguments != self.arguments
        named = [extract.policy(place) for place in middleware if extract.declared(place)]
        named += self.allowed
        if changed and not named:
            named = [Policy("middleware")]
        for policy in named:
            self._decision(policy).allow(rule=policy.rule, action="modify" if changed else "none")
        self.allowed.clear()
        if changed:
            self.arguments, self._rewritten = arguments, True

    @guarded
    def deny(self, policy: Policy, reason: str | None = None) -> None:
        """Record that a policy stopped the call."""
        if not self.denied:
            self.denied = True
            self._decision(policy).deny(rule=policy.rule, action="block", reason=reason)

    def _decision(self, policy: Policy) -> Any:
        return self.scope.decision(
            policy.policy_id,
            version=policy.version,
            engine="sdk",
            subject=self.call_id,
            subject_name=self.name,
            arguments=self.arguments,
        )

    # the tool

    def running(self, arguments: object, hints: Hints) -> AbstractContextManager["Running"]:
        """Record the call of the tool itself while the block runs."""
        return Running(self, arguments, hints)

    def start_here(self, hints: Hints) -> None:
        """Start the record on the SDK's span; the client's in this process says what it asked for, which may have changed."""
        self.start(hints, span=_native_span())
        if self.borrowed and self._rewritten and self.tool is not None:
            digest = self.scope.state.commit(LABEL_TOOL_ARGUMENTS, self.arguments)
            self.tool.set({a.ARGUMENTS_DIGEST: digest})

    @guarded
    def missed(self, result: object) -> None:
        """Record a call that no tool answered, such as one of an unknown tool, on the SDK's span; an exception counts too."""
        if self.tool is not None or self.denied or extract.waits(result):
            return
        self.start_here({})
        if isinstance(result, BaseException):
            self.fail(result)
        else:
            self.end(result)

    # the request

    @guarded
    def answered(self, result: object, middleware: list[Any]) -> None:
        """Record what goes back to the client."""
        if extract.waits(result):
            self._waits = True
            if self.asks:
                self.ask_all(result)
            self.pause()
            return
        if self.tool is None and not self.denied:
            if not self.reached and extract.is_error(result):
                self.deny(extract.policy(middleware[0]) if len(middleware) == 1 else Policy("middleware"))
            else:
                self.start({})
                if not self.reached and self.tool is not None:  # somebody answered instead of the tool
                    self.tool.result(extract.returned(result))
                    self.tool.cut_short()
        self.end(result)
        self._finish(extract.TOOL_ERROR if extract.is_error(result) and not self.denied else None)

    @guarded
    def failed(self, error: BaseException, middleware: list[Any]) -> None:
        """Record the exception with which the request ends."""
        if asked := extract.url_questions(error):
            self._waits = True
            for elicitation_id, question in asked.items() if self.asks else ():
                self.ask(question, key=elicitation_id)
            self.pause()
            return
        if not self.reached and extract.error_code(error) is not None:
            place = extract.raised_by(error, middleware)
            rejected = extract.rejected_state(error)
            self.deny(
                extract.policy(place) if place is not None else Policy("middleware"),
                "invalid_request_state" if rejected else None,
            )
        if self.denied:
            self._finish(None)
            return
        if self.tool is None:
            self.start({})
        self.fail(error)
        self._finish(error)

    def _finish(self, error: BaseException | str | None) -> None:
        if self.run is None or error is None:
            return
        if self.refused and isinstance(error, (str, Exception)):
            self.run.finish("denied")  # the tool's error is its way to say so
        else:
            self.run.fail(error)

    @guarded
    def close(self) -> None:
        """End its run, or its part in the client's; a run that waits for an answer goes on with the next round."""
        if self.part is not None:
            self.part.stop()
        if self.run is None or self.run.ended:
            return
        if self._waits:
            self.run.suspend()
        self.run.stop()

    @guarded
    def asked(self, request: Any) -> Asked | None:
        """Return the question that the client is about to be asked; where the client records it, with the call's name on it."""
        question = extract.question(request)
        if question is None:
            return None
        if self.asks:
            return Asked(self, self.ask(question, key="elicitation"), request)
        if self.part is None:
            return None
        meta: dict[str, Any] = {
            **(request.params.meta or {}),
            peers.META_KEY: {a.GEN_AI_TOOL_CALL_ID: self.call_id},
        }
        params = request.params.model_copy(update={"meta": meta})
        return Asked(self, None, request.model_copy(update={"params": params}))

    # where it runs

    def enter(self) -> None:
        """Make this the call of the task, and its run the current one unless it is."""
        inherited = self.run is None and self.part is None
        context = otel_context.get_current() if inherited else self.scope.context
        self._token = (_serving.set(self), otel_context.attach(context))

    def leave(self) -> None:
        """Restore what was current."""
        mine, opentelemetrys = self._token
        otel_context.detach(opentelemetrys)
        _serving.reset(mine)

    def below(self, context: Any) -> Any:
        """Return a request whose trace context is ours, for an SDK that believes ``_meta`` more than the current context."""
        if self.run is None and self.part is None:
            return context
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, self.scope.context)
        return replace(context, meta={**(context.meta or {}), **carrier}) if carrier else context

    def inside(self, call_next: _Next, meta: Any) -> _Next:
        """Return ``call_next`` with the request's own ``_meta``, and with our run current below the SDK's span."""

        async def call(context: Any) -> Any:
            token = otel_context.attach(set_span_in_context(get_current_span(), self.scope.context))
            try:
                return await call_next(context if context.meta is meta else replace(context, meta=meta))
            finally:
                otel_context.detach(token)

        return call


class Running:
    """The record of a tool while it runs; the SDK's span is the current one and gets our attributes."""

    def __init__(self, call: ServerCall, arguments: object, hints: Hints) -> None:
        self._call = call
        self._arguments = arguments
        self._hints = hints
        self._token: Any = None
        self._result: object = UNSET

    def returned(self, result: object) -> None:
        """Note what the tool answered."""
        self._result = result

    def __enter__(self) -> Self:
        """Start the record and make it current."""
        call = self._call
        with swallowed("a tool call of an MCP server"):
            if self._arguments is not None:
                call.arguments = self._arguments
            call.start_here(self._hints)
            if call.tool is not None and not call.borrowed:
                self._token = otel_context.attach(call.tool.context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the record; a tool's exception is the cause of the one that the SDK makes of it."""
        call = self._call
        with swallowed("a tool call of an MCP server"):
            if self._token is not None:
                otel_context.detach(self._token)
            if error is not None:
                if extract.url_questions(error):
                    call.pause()
                else:
                    call.fail(
                        error.__cause__ if extract.error_code(error) is None and error.__cause__ else error
                    )
            elif extract.waits(self._result) or extract.get(self._result, "input_required") is not None:
                call.pause()
            else:
                call.end(self._result)


def _native_span() -> Span | None:
    """Return the SDK's span of the request, if it is the current one."""
    span = trace.get_current_span()
    known = cast("Mapping[str, object]", getattr(span, "attributes", None) or {})
    own = (
        known.get("mcp.method.name") == "tools/call" and getattr(span, "kind", None) is trace.SpanKind.SERVER
    )
    return span if span.is_recording() and own and a.RUN_ID not in known else None


def serving() -> ServerCall | None:
    """Return the call that this task answers."""
    return _serving.get()


@guarded
def begin(recorder: Recorder, server: object, context: Any) -> ServerCall | None:
    """Return the call that a request is: in the run around it, in the client's, or in one of its own."""
    params = cast("Mapping[str, Any]", context.params or {})
    name, arguments = params.get("name"), extract.given(params.get("arguments"))
    if not isinstance(name, str):
        return None
    network = context.request is not None
    scope = None if network else client.open_scope()
    if scope is not None:
        asking = client.current_call()
        call_id = asking.call_id if asking is not None else f"mcp_{scope.state.core.new_id()}"
        return ServerCall(recorder, scope, name, arguments, call_id, sent=params, asks=asking is None)
    where, remote, told = peers.incoming(context.meta, network=network)
    part = recorder.join("act", name=_name(server), context=where) if remote is not None else None
    if part is not None:
        call_id = told or f"mcp_{part.state.core.new_id()}"
        return ServerCall(recorder, part, name, arguments, call_id, sent=params, part=part, asks=told is None)
    return _own_run(recorder, server, where, params)


def _own_run(recorder: Recorder, server: object, where: Any, params: Mapping[str, Any]) -> ServerCall:
    name, arguments = params["name"], extract.given(params.get("arguments"))
    state = extract.state_of(params)
    workflow = _name(server)
    principal = _principal()
    if state is None:
        run = recorder.run(workflow=workflow, context=where, **principal)
        return ServerCall(
            recorder, run, name, arguments, f"mcp_{run.state.core.new_id()}", sent=params, run=run
        )
    caller = get_current_span(where).get_span_context()
    links = [Link(caller)] if caller.is_valid else []
    run = recorder.resume(
        extract.round_key(state, "server"), workflow=workflow, context=where, links=links, **principal
    )
    call_id = call_id_of(run.stored) or f"mcp_{run.state.core.new_id()}"
    return ServerCall(recorder, run, name, arguments, call_id, sent=params, run=run)


def _name(server: object) -> str:
    return extract.text(getattr(server, "name", None)) or "mcp_server"


def _principal() -> dict[str, Any]:
    """Return for whom an authenticated client calls: the opaque id that it is registered under."""
    import sys  # noqa: PLC0415

    module = sys.modules.get("mcp.server.auth.middleware.auth_context")
    token = module.get_access_token() if module is not None else None
    client_id = extract.text(getattr(token, "client_id", None))
    return {"principal_ref": client_id, "principal_type": "service"} if client_id is not None else {}
