# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A session of Managed Agents: what its events say, as segments of runs.

The agent runs at Anthropic; this process reads the session's events, sends some, and may execute tools. A run is a turn of the
session, and a segment of it lasts while somebody here reads the events, until the turn is over or waits for somebody.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._declared import Settings
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.anthropic import extract
from runrecord.instrumentation.anthropic.extract import Answer, Call, Ending, Result
from runrecord.instrumentation.anthropic.permissions import Confirmations, judged
from runrecord.instrumentation.recorder import Recorder, Run, Scope, Step, Tool
from runrecord.instrumentation.recorder import current as current_scope
from runrecord.semconv import attributes as a

_MAX_CALLS: Final = 2_000


class Session:
    """One session, for everything in this process that has to do with it (thread-safe).

    Args:
        recorder: Where records go.
        session_id: Its id, which is the conversation.

    Attributes:
        settings: What the program said of the session when it made it.
    """

    def __init__(self, recorder: Recorder, session_id: str) -> None:
        self.settings = Settings.of(None)
        self._recorder = recorder
        self._id = session_id
        self._lock = threading.RLock()
        self._readers = 0
        self._runner: Any = None
        self._base: Scope | None = None
        self._run: Run | None = None
        self._step: Step | None = None
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._calls: OrderedDict[str, Call] = OrderedDict()
        self._tools: dict[str, Tool] = {}
        self._confirmations = Confirmations(recorder, session_id)
        self._released: list[Call] = []
        self._denied: dict[str, str] = {}
        self._refused: set[str] = set()
        self._ending: Ending | None = None
        self._error: str | None = None

    # who is here

    def reads(self) -> None:
        """Note that somebody begins to read the events."""
        with self._lock:
            self._readers += 1

    @guarded
    def left(self) -> None:
        """Note that somebody reads no further; after the last, what goes on is not seen here."""
        with self._lock:
            self._readers -= 1
            self._unobserved()

    def executes(self, runner: Any) -> None:
        """Note the runner that executes tools of this session here; None when it is done."""
        self._runner = runner

    def is_local(self, name: str) -> bool:
        """Say whether a runner here executes the tool of that name, and records it."""
        tools: Iterable[Any] = declared.get(self._runner, "tools") or ()
        return any(declared.get(tool, "name") == name for tool in tools)

    # the run

    def owner(self) -> Scope:
        """Return what a record made now belongs to, which begins a segment where there is none."""
        with self._lock:
            base = self._base or self._open()
            if self._step is None:
                self._step = base.step("act")
            return self._step

    def _open(self) -> Scope:
        self._ending = None
        scope = current_scope()
        if scope is not None:
            self._base = scope
            return scope
        said, key = self.settings, extract.session_key(self._id)
        facts: dict[str, Any] = {
            "agent": said[a.GEN_AI_AGENT_NAME],
            "conversation_id": self._id,
            "autonomy": said[a.RUN_AUTONOMY],
            "principal_ref": said[a.PRINCIPAL_REF],
            "principal_type": said[a.PRINCIPAL_TYPE],
            "versions": said.versions,
        }
        stored = self._recorder.lookup(key)
        goes_on = stored is not None and not stored.closed
        run = self._recorder.resume(key, **facts) if goes_on else self._recorder.run(**facts)
        run.keep(key)
        for call_id, name in self._denied.items():  # while no segment was open that could have noted it
            run.state.stopped.stop(call_id, name)
        self._denied.clear()
        self._base = self._run = run
        return run

    def _close(self, ending: Ending, *, suspended: bool = False) -> None:
        """End the segment."""
        step, run = self._step, self._run
        self._step = self._run = self._base = None
        for tool in self._tools.values():
            tool.cut_short()
        self._tools.clear()
        if step is not None:
            step.stop()
        if run is None:
            return
        if suspended:
            run.suspend(stop_reason=ending.stop_reason)
        elif ending.outcome or ending.stop_reason:
            run.finish(ending.outcome, stop_reason=ending.stop_reason)
        if ending.error is not None:
            run.fail(ending.error)
        else:
            run.stop()

    def _unobserved(self) -> None:
        if self._readers <= 0 and self._base is not None:
            self._close(
                Ending(stop_reason="approval" if self._confirmations.waiting else "unobserved"),
                suspended=True,
            )

    # what the server says

    @guarded
    def event(self, event: object) -> None:
        """Take an event of the stream."""
        with self._lock:
            event_id = declared.text(declared.get(event, "id"))
            if event_id is not None and not self._new(event_id):
                return
            call, result = extract.session_call(event), extract.session_result(event)
            answer, ending = extract.confirmation(event), extract.turn_ending(event, self._error)
            if call is not None:
                self._called(call)
            elif result is not None:
                self._returned(result)
            elif answer is not None:
                self._answered(answer)
            elif ending is not None:
                self._turn_over(event, ending)
            else:
                self._else(event, event_id)

    def _else(self, event: object, event_id: str | None) -> None:
        kind = declared.get(event, "type")
        if kind == "session.status_running":
            self._running()
        elif kind == "span.model_request_start":
            self._model_called(event_id)
        elif kind == "span.outcome_evaluation_end":
            self._evaluated(event)
        elif kind == "user.interrupt":
            self._interrupted()
        elif kind == "session.error":
            self._error = declared.text(declared.get(declared.get(event, "error"), "type"))

    @guarded
    def listed(self, events: list[object]) -> None:
        """Take a page of the history: what waits in it for an answer is asked, even if nobody read the stream."""
        with self._lock:
            results = [result for event in events if (result := extract.session_result(event))]
            answers = [answer for event in events if (answer := extract.confirmation(event))]
            settled = {result.call_id for result in results}
            settled.update(answer.call_id for answer in answers)
            for event in events:
                call = extract.session_call(event)
                if call is None:
                    continue
                self._remember(call)
                if call.permission != "ask" or call.call_id in settled:
                    continue
                if not self._confirmations.asked(call.call_id):
                    self._confirmations.ask(self.owner(), call)
            for answer in answers:
                self._answered(answer)
            self._unobserved()

    @guarded
    def sent(self, events: list[object], actor_ref: str | None) -> None:
        """Take what the application sent and the server accepted."""
        with self._lock:
            for event in events:
                answer, result = extract.confirmation(event), extract.session_result(event)
                if answer is not None:
                    self._answered(answer, actor_ref, sent=True)
                elif result is not None:
                    self._returned(result)
                elif declared.get(event, "type") == "user.interrupt":
                    self._interrupted()
            self._unobserved()

    def _new(self, event_id: str) -> bool:
        if event_id in self._seen:
            return False
        self._seen[event_id] = None
        while len(self._seen) > _MAX_CALLS:
            self._seen.popitem(last=False)
        return True

    def _running(self) -> None:
        if self._base is None:
            self._open()
        released, self._released = self._released, []
        for call in released:
            self._start(self.owner(), call)

    def _model_called(self, event_id: str | None) -> None:
        base = self._base or self._open()
        step, self._step = self._step, None
        if step is not None:
            step.stop()
        self._step = base.step("act", step_id=event_id)

    def _evaluated(self, event: object) -> None:
        outcome, subject = declared.get(event, "result"), declared.text(declared.get(event, "outcome_id"))
        check = self.owner().verification("outcome", kind="model", subject=subject)
        if outcome == "satisfied":
            check.passed()
        elif outcome in {"needs_revision", "max_iterations_reached"}:
            check.failed()
        else:
            check.inconclusive()

    def _turn_over(self, event: object, ending: Ending) -> None:
        idle = declared.get(event, "type") == "session.status_idle"
        if ending.waits:
            wanted = extract.requires(event)
            here = [call for one in wanted if (call := self._calls.get(one)) and self.is_local(call.name)]
            waits = bool(self._confirmations.waiting.intersection(wanted))
            if self._base is not None and (waits or not wanted or len(here) < len(wanted)):
                self._close(Ending(stop_reason="approval" if waits else "tool_calls"), suspended=True)
            return
        if not idle:
            self._confirmations.withdraw("session_ended", self._current())
        if self._base is None:
            return
        if ending.stop_reason == "refusal":
            reason = declared.text(declared.get(declared.get(event, "stop_details"), "category"))
            self.owner().decision(
                "refusal",
                engine="guardrail",
                mode="enforce",
                subject=declared.text(declared.get(event, "id")),
                subject_type="model_output",
            ).deny(reason=reason or "refusal", action="block")
        quiet = ending.outcome is None and ending.error is None
        self._close((self._ending if quiet else None) or ending)
        self._error = None

    # tool calls

    def _remember(self, call: Call) -> None:
        self._calls[call.call_id] = call
        while len(self._calls) > _MAX_CALLS:
            self._calls.popitem(last=False)

    def _called(self, call: Call) -> None:
        self._remember(call)
        owner = self.owner()
        if not owner.state.once(f"called {call.call_id}"):
            return
        if call.permission == "ask":
            self._confirmations.ask(owner, call)
            return
        if call.permission == "deny":
            judged(owner, call).deny(rule=call.rule, reason=call.reason, action="block")
            self._refused.add(call.call_id)
            return
        if call.permission is not None:
            judged(owner, call).allow(rule=call.rule, reason=call.reason, action="none")
        if not call.local:  # one of the application's is recorded with its result
            self._start(owner, call)

    def _start(self, owner: Scope, call: Call) -> Tool | None:
        """Start the record of a call, unless a runner here makes it, or there is one."""
        if self.is_local(call.name) or not owner.state.once(f"ran {call.call_id}"):
            return None
        tool = self._tools[call.call_id] = owner.tool(
            call.name,
            call_id=call.call_id,
            arguments=call.arguments,
            tool_type="function" if call.local else "extension",
            approval_id=self.approval_of(call.call_id, call.permission),
            attributes={a.SIDE_EFFECT_TARGET: call.server},
        )
        return tool

    def approval_of(self, call_id: str, permission: str | None) -> str | None:
        """Return the id of the approval because of which a call runs, if it needed one."""
        return self._confirmations.approval_id(call_id) if permission == "ask" else None

    def _returned(self, result: Result) -> None:
        call, tool = self._calls.get(result.call_id), self._tools.get(result.call_id)
        if tool is None:
            # A denied call has a result too, which the server made up; of one that is not known, nothing can be said.
            if call is None or call.call_id in self._refused or self.is_local(call.name):
                return
            tool = self._start(self.owner(), call)
        if tool is None:
            return
        if result.error is not None:
            tool.fail(result.error)
        else:
            tool.result(result.content)
            tool.stop()
        self._tools.pop(result.call_id, None)

    # approvals

    def _current(self) -> Scope | None:
        """Return the innermost of what is open; nothing is begun for an answer."""
        return self._step if self._step is not None else self._base

    def _answered(self, answer: Answer, actor_ref: str | None = None, *, sent: bool = False) -> None:
        call_id, call = answer.call_id, self._calls.get(answer.call_id)
        handle = self._confirmations.handle(call_id, self._current())
        if handle is None and sent:  # asked where nobody recorded it
            handle = self._confirmations.unseen(call_id, call, self.owner())
        if handle is None or call_id in self._refused:
            return
        record = handle.approved if answer.approved else handle.denied
        record(actor="human", actor_ref=actor_ref, scope="once")
        self._confirmations.waiting.discard(call_id)
        if not answer.approved:
            self._refused.add(call_id)
            stopped = (call_id, handle.stored.name or "tool")
            if self._run is not None:
                self._run.state.stopped.stop(*stopped)
            else:
                self._denied[call_id] = stopped[1]
        elif call is not None and self._base is not None and self._readers > 0:
            self._start(self.owner(), call)
        elif call is not None and call not in self._released:
            self._released.append(call)

    def _interrupted(self) -> None:
        self._ending = Ending("cancelled", "interrupted")
        self._confirmations.withdraw("interrupted", self._current())
