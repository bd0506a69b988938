# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A connection to a CLI: which run is under way on it, and what its messages mean for it."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span

from runrecord.instrumentation._declared import Hints, get, text
from runrecord.instrumentation._safety import guarded, swallowed
from runrecord.instrumentation.claude_agent import extract
from runrecord.instrumentation.claude_agent.active import ActiveRun, deferred_key
from runrecord.instrumentation.claude_agent.calls import Call
from runrecord.instrumentation.recorder import Recorder
from runrecord.semconv import attributes as a

_BEGINS_RUN: Final = frozenset({"PreToolUse", "PermissionRequest", "UserPromptSubmit"})

starting: ContextVar["Session | None"] = ContextVar("runrecord-claude-agent-session", default=None)
"""The session whose ``Query`` is being made."""


@contextmanager
def attached(context: Context | None) -> Generator[None, None, None]:
    """Make a context the current one while the block runs."""
    token = None
    with swallowed("entering a context"):
        token = otel_context.attach(context) if context is not None else None
    try:
        yield
    finally:
        if token is not None:
            with swallowed("leaving a context"):
                otel_context.detach(token)


def _openinference_agent(span: Span) -> Span | None:
    """Return ``span`` if it is OpenInference's of this call, which keeps its name."""
    known: Any = getattr(span, "attributes", None) or {}
    scope = str(getattr(getattr(span, "instrumentation_scope", None), "name", ""))
    of_this = span.is_recording() and scope.startswith("openinference.instrumentation.claude_agent_sdk")
    return (
        span
        if of_this and known.get("openinference.span.kind") == "AGENT" and a.RUN_ID not in known
        else None
    )


class Session:
    """One connection, and the runs on it: each lasts from a prompt to its result message.

    Args:
        recorder: Where records go.
        options: The program's ``ClaudeAgentOptions``.
        streams: Whether it belongs to a call of ``query``, which ends its runs itself.

    Attributes:
        active: The run under way.
        raised: The exception with which the program leaves the client.
    """

    def __init__(self, recorder: Recorder, options: object, *, streams: bool) -> None:
        self.recorder = recorder
        self.streams = streams
        self.active: ActiveRun | None = None
        self.raised: BaseException | None = None
        self._home = otel_context.get_current()
        self._settings = extract.settings_of(options)
        self._autonomy = self._settings[a.RUN_AUTONOMY] or extract.autonomy(options)
        self._agent = self._settings[a.GEN_AI_AGENT_NAME] or "claude-agent"
        self._limits = extract.limits(options)
        self._mode = text(get(options, "permission_mode")) or "default"
        self._resumes = extract.resumed_session(options)
        self._session = self._resumes if get(options, "fork_session") is not True else None
        self._listed: dict[str, Hints] = {}
        self._unasked = False

    # runs

    @guarded
    def begin(self, prompt: object = None) -> bool:
        """Start a run, unless one is under way, which then goes on with one more prompt; say whether one was started."""
        if self.active is not None:
            return False
        self._unasked = False
        self._start(otel_context.get_current(), _openinference_agent(trace.get_current_span()))
        if self.active is not None and isinstance(prompt, str):
            self.active.run.given(prompt)
        return True

    def _running(self) -> ActiveRun:
        """Return the run under way; one that nobody prompted, such as after a background task, starts with its first message."""
        if self.active is None:
            self._unasked = True
            return self._start(self._home, None)
        return self.active

    def _start(self, here: Context, span: Span | None) -> ActiveRun:
        described: dict[str, Any] = {
            "conversation_id": self._session,
            "autonomy": self._autonomy,
            "principal_ref": self._settings[a.PRINCIPAL_REF],
            "principal_type": self._settings[a.PRINCIPAL_TYPE],
            "versions": self._settings.versions,
            "context": here,
            "span": span,
        }
        resumes, self._resumes = self._resumes, None
        key = deferred_key(resumes) if resumes is not None else None
        stored = self.recorder.lookup(key) if key is not None else None
        if key is not None and stored is not None and not stored.closed:
            around = trace.get_current_span(here).get_span_context()
            links = [Link(around)] if around.is_valid else None
            run = self.recorder.resume(key, agent=stored.agent or self._agent, links=links, **described)
        else:
            run = self.recorder.run(self._agent, **described)
        self.active = ActiveRun(
            self.recorder,
            run,
            agent=self._agent,
            settings=self._settings,
            session=self._session,
            listed=self._listed,
            limits=self._limits,
        )
        self.active.mode = self._mode
        if run.segment:
            self.active.go_on()
        return self.active

    @contextmanager
    def entered(self) -> Generator[None, None, None]:
        """Make this the session of a ``Query`` that is made inside, and its run the current one."""
        token = starting.set(self)
        try:
            with attached(self.active.context() if self.active is not None else None):
                yield
        finally:
            starting.reset(token)

    @guarded
    def end(self, error: BaseException | str | None = None, *, outcome: str | None = None) -> None:
        """End the run under way, of which no result message came."""
        active, self.active = self.active, None
        if active is None:
            return
        if active.interrupted:
            active.end(outcome="cancelled")
        elif self._unasked and isinstance(error, str):
            active.end()
        else:
            active.end(error, outcome=outcome)

    @guarded
    def closed(self) -> None:
        """End the run under way when the connection is closed."""
        if not self.streams:
            self.end(self.raised, outcome=None if self.raised is not None else "abandoned")

    @guarded
    def interrupted(self) -> None:
        """Note that the program stops the run."""
        if self.active is not None:
            self.active.interrupted = True

    @guarded
    def mode_changed(self, mode: object) -> None:
        """Note another permission mode."""
        self._mode = text(mode) or self._mode
        if self.active is not None:
            self.active.mode = self._mode

    # messages of the CLI

    @guarded
    def observe(self, frame: object) -> None:
        """Take a message, before the SDK does."""
        kind = get(frame, "type")
        if kind in {"assistant", "stream_event"}:
            # What a sub-agent in the background still says begins no run.
            if self.active is not None or extract.parent_call(frame) is None:
                self._of(frame).answered(frame)
        elif kind == "user" and self.active is not None:
            self._of(frame).returned(frame)
        elif kind == "result" and self.active is not None:
            active, self.active = self._of(frame), None
            active.finish(frame)
        elif kind == "system" and self.active is not None:
            self._system(self._of(frame), frame)

    def _of(self, frame: object) -> ActiveRun:
        active = self._running()
        self._session = extract.session_id(frame) or self._session
        active.of_session(self._session)
        return active

    def _system(self, active: ActiveRun, frame: object) -> None:
        subtype = get(frame, "subtype")
        if subtype == "init":
            self.mode_changed(get(frame, "permissionMode"))
        elif subtype == "permission_denied":
            active.refused(frame)
        elif subtype == "task_started":
            active.sub_agent_started(frame)

    # what the CLI asks of the program

    @contextmanager
    def serving(self, request: object) -> Generator[None, None, None]:
        """Make the run, or the tool call, current in which the CLI asks for something."""
        context = None
        with swallowed("a request of the CLI"):
            context = self._where(get(request, "request"))
        with attached(context):
            yield

    def _where(self, request: object) -> Context:
        given = get(request, "input")
        asks = get(request, "subtype") == "can_use_tool"
        if self.active is None and (asks or get(given, "hook_event_name") in _BEGINS_RUN):
            self._running()
        if self.active is None:
            return self._home
        return self.active.context(text(get(request, "tool_use_id")))

    @guarded
    def serve(self, server: object, message: object) -> Call | None:
        """Start the call of a tool of the program, if that is what is asked for."""
        if get(message, "method") != "tools/call":
            return None
        params = get(message, "params")
        name = f"mcp__{server}__{get(params, 'name')}"
        return self._running().serve(extract.called_by(params), name, get(params, "arguments"))

    @guarded
    def served(self, call: Call | None, server: object, message: object, response: object) -> None:
        """Take what a server of the program answered."""
        if call is not None and self.active is not None:
            self.active.served(call, response)
        elif get(message, "method") == "tools/list":
            self._listed.update(extract.listed_hints(str(server), response))
