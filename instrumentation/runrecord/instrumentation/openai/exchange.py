# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""One call of the model: what the request brings, what the response says, and the run that both belong to."""

from collections.abc import Callable, Mapping
from typing import Final

from opentelemetry import trace

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._declared import Settings, hints_in
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.openai import approvals, extract, loop, policies
from runrecord.instrumentation.openai.extract import Ending
from runrecord.instrumentation.openai.loop import Loop
from runrecord.instrumentation.openai.policies import Verdict
from runrecord.instrumentation.recorder import UNSET, Recorder, Scope, existing_span
from runrecord.instrumentation.recorder import current as current_scope
from runrecord.semconv import attributes as a

_FINAL: Final = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
)


class Exchange:
    """A request and its response, or the events of its stream.

    Inside of a run its facts belong to that run. Outside, it is the segment of a run of its own if the server runs tools in
    it or the application is to act on a computer, if it brings an answer that a run waits for, or once a policy of the
    provider has said something; else it leaves nothing.
    """

    def __init__(self, recorder: Recorder, api: str, body: object) -> None:
        self._recorder = recorder
        self._api = api
        self._body = body
        self._settings = Settings.of(declared.get(body, "metadata"))
        self._model = declared.text(declared.get(body, "model"))
        self._span = existing_span("chat", trace.get_current_span())
        self._loop: Loop | None = None
        self._ours = False
        self._scope: Scope | None = None
        self._seen: set[str] = set()
        self._hints: dict[tuple[str, str], Mapping[str, object]] = {}
        self._refused: dict[object, list[str]] = {}
        self._response: object | None = None
        self._error: str | None = None
        self._ended = False

    # the request

    @guarded
    def begin(self) -> None:
        """Find the run, and record the answers that the request brings."""
        recorder, answers = self._recorder, extract.answers(self._body)
        self._loop = loop.current()
        if self._loop is not None:
            if self._api != "retrieve":
                self._loop.turn()
        else:
            self._scope = current_scope()
        if self._loop is None and self._scope is None and self._api == "responses":
            found = loop.waiting_for(recorder, answers)
            if found is not None or extract.is_agentic(self._body):
                self._open(lambda: loop.open_loop(recorder, self._body, found))
        owner = self._owner
        if owner is None:
            return
        self._enrich(owner)
        for item in extract.items(declared.get(self._body, "input")):
            self._hints.update(extract.hints(item))
        if not approvals.in_agents_sdk():
            for answer in answers:
                if answer.approved is not None:
                    approvals.brought(recorder, owner, answer, self._settings[a.APPROVAL_ACTOR_REF])

    def _open(self, make: Callable[[], Loop]) -> None:
        self._loop, self._ours = make(), True
        self._loop.turn()

    def _enrich(self, owner: Scope) -> None:
        """Put the run and the step on the span that another instrumentation made of this call."""
        span, self._span = self._span, None
        if span is not None and span.is_recording():
            owner.inference(self._model, span=span).stop()

    @property
    def _owner(self) -> Scope | None:
        return self._loop.owner if self._loop is not None else self._scope

    def _needed(self) -> Scope:
        """Return the owner of a fact, which makes a run where there is none."""
        if self._owner is None:
            self._open(lambda: loop.open_loop(self._recorder, self._body, None, response=self._response))
        owner = self._owner
        if owner is None:
            raise RuntimeError("a loop has an owner")
        self._enrich(owner)
        return owner

    # the response

    @guarded
    def responded(self, response: object) -> None:
        """Record what a whole response says."""
        self._response = response
        if self._api == "retrieve" and self._owner is None and not self._continue(response):
            return
        output = extract.items(declared.get(response, "output"))
        if self._loop is not None:
            self._loop.ending = Ending()
        for item in output:
            self._item(item)
        for verdict in policies.verdicts(self._body, response):
            self._verdict(verdict)
        under_way = self._loop
        if under_way is not None and self._api in {"responses", "retrieve"}:
            under_way.ending = extract.ending(response) or under_way.ending
            under_way.calls = extract.open_calls(response)
            if under_way.run is not None and output:
                under_way.run.answered(output)

    def _continue(self, response: object) -> bool:
        """Go on with the run that waits for a response in the background; say whether there is one."""
        key = approvals.approval_key(declared.text(declared.get(response, "id")) or "")
        stored, mark = self._recorder.lookup(key), f"fetched {key[-1]}"
        if stored is None or stored.closed or extract.is_waiting(response) or mark in stored.phases:
            return False
        self._open(lambda: loop.open_loop(self._recorder, None, (key, stored), response=response))
        if self._loop is not None:
            self._loop.base.state.once(mark)
        return True

    @guarded
    def event(self, event: object) -> None:
        """Record what an event of a stream says."""
        kind = declared.get(event, "type")
        if kind == "response.output_item.done":
            self._item(declared.get(event, "item"))
        elif kind in _FINAL:
            self.responded(declared.get(event, "response"))
        elif kind == "error":
            self._error = declared.text(declared.get(event, "code")) or "stream_error"
        elif kind is None:
            self._response = event  # a chunk of a chat completion, which has its id
            for choice in extract.items(declared.get(event, "choices")):
                self._chunk(choice)

    def _chunk(self, choice: object) -> None:
        place, delta = declared.get(choice, "index"), declared.get(choice, "delta")
        refusal = declared.text(declared.get(delta, "refusal"))
        if refusal is not None:
            self._refused.setdefault(place, []).append(refusal)
        finished = declared.get(choice, "finish_reason")
        if finished is not None:
            said = "".join(self._refused.pop(place, []))
            response_id = declared.text(declared.get(self._response, "id"))
            for verdict in policies.choice_verdicts(response_id, finished, said):
                self._verdict(verdict)

    def _item(self, item: object) -> None:
        mark = declared.text(declared.get(item, "id")) or extract.subject_of(item)
        if mark is not None and mark in self._seen:
            return
        self._seen.add(mark or "")
        self._hints.update(extract.hints(item))
        kind = declared.get(item, "type")
        if kind == "mcp_call":
            self._called(item)
        elif kind == "mcp_approval_request" or extract.safety_checks(item):
            self._asked(item)
        for verdict in policies.item_refusals(item):
            self._verdict(verdict)

    def _asked(self, item: object) -> None:
        if declared.get(item, "type") == "mcp_approval_request" and approvals.in_agents_sdk():
            return
        approval = approvals.request(self._recorder, self._needed(), item)
        subject = extract.subject_of(item)
        if approval is not None and subject is not None and self._loop is not None:
            self._loop.asked[subject] = approval

    def _called(self, item: object) -> None:
        """Record a tool call that the server made on a hosted MCP server; it tells when it is over."""
        owner = self._needed()
        if not owner.state.once(f"called {declared.get(item, 'id')}"):
            return
        request_id = declared.text(declared.get(item, "approval_request_id"))
        asked = approvals.asked(self._recorder, request_id)[1] if request_id is not None else None
        server, name = declared.get(item, "server_label"), declared.text(declared.get(item, "name")) or "tool"
        known: dict[tuple[str, str], Mapping[str, object]] = {
            **(self._loop.hints if self._loop is not None else {}),
            **self._hints,
        }
        if self._loop is not None:
            self._loop.hints = known
        flags = hints_in(known.get((str(server), name)))
        tool = owner.tool(
            name,
            call_id=extract.subject_of(item),
            arguments=extract.shown(item),
            tool_type="extension",
            approval_id=asked.approval_id if asked is not None else None,
            attributes={a.SIDE_EFFECT_TARGET: declared.text(server)},
            **flags,
        )
        error = declared.get(item, "error")
        if error is not None or declared.get(item, "status") == "failed":
            tool.fail(declared.text(declared.get(error, "type")) or "mcp_error")
        elif declared.get(item, "status") in {None, "completed"}:
            tool.result(declared.get(item, "output"))
            tool.stop()
        else:
            tool.cut_short()

    def _verdict(self, verdict: Verdict) -> None:
        owner = self._needed()
        mark = f"{verdict.policy} {verdict.subject_type} {verdict.subject}"
        if verdict.subject is not None and not owner.state.once(mark):
            return
        decision = owner.decision(
            verdict.policy,
            version=verdict.version,
            engine="guardrail",
            mode="enforce" if verdict.enforced else "monitor",
            subject=verdict.subject,
            subject_type=verdict.subject_type,
            content=UNSET if verdict.content is None else verdict.content,
        )
        if verdict.flagged is None:
            decision.fail(verdict.reason or "no_outcome")
        elif verdict.flagged:
            decision.deny(reason=verdict.reason, action="block" if verdict.enforced else "warn")
        else:
            decision.allow(action="none")
        if verdict.flagged and verdict.enforced and self._loop is not None:
            self._loop.ending = Ending("denied", verdict.policy)

    # the end

    @guarded
    def completed(self) -> None:
        """End the run, if it is this call's, as the response says."""
        if self._close():
            return
        under_way = self._loop
        if under_way is None:
            return
        if self._error is not None:
            under_way.ending = Ending(error=self._error)
        elif self._api == "responses" and self._response is None:
            under_way.ending = Ending(error="no_response")
        under_way.finish(declared.text(declared.get(self._response, "id")))

    @guarded
    def failed(self, error: BaseException) -> None:
        """Record an exception: of a filter, or a failure."""
        found = policies.error_verdicts(error)
        for verdict in found:
            self._verdict(verdict)
        if self._close() or self._loop is None:
            return
        if found:
            self._loop.stopped(Ending("denied", found[0].reason))
        else:
            self._loop.fail(error)

    @guarded
    def abandoned(self) -> None:
        """End where the application did not read a stream to its end."""
        if not self._close() and self._loop is not None:
            self._loop.left()

    def _close(self) -> bool:
        """Note that the call is over; say whether nothing else is to be done."""
        over, self._ended = self._ended, True
        return over or not self._ours
