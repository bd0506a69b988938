# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""One tool call over all of its rounds, as the client and the server share it: what was asked, answered and run."""

from dataclasses import dataclass, field
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span

from runrecord.instrumentation._declared import Hints
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.context_store import StoredContext
from runrecord.instrumentation.mcp import extract
from runrecord.instrumentation.mcp.extract import Answer, Question
from runrecord.instrumentation.recorder import UNSET, Approval, Recorder, Scope, Tool, durable_approval_id
from runrecord.semconv import attributes as a
from runrecord.semconv.commitment import LABEL_TOOL_ARGUMENTS


@dataclass(eq=False)
class Call:
    """A ``tools/call``.

    Attributes:
        recorder: Where records go.
        scope: The run, step or tool call that it belongs to.
        name: The tool; None stands for one of several, it is not known which.
        arguments: What it is called with.
        call_id: Ours, since the protocol has none; the same in every round.
        side: client or server.
        tool: Its record, while it is open.
        borrowed: Whether that is the record of an agent SDK, or of the client in the same process, which ends it.
        pending: The questions without an answer, by input key.
        approval_id: Of the last question that was answered with a yes.
        refused: Whether the last answer was anything else.
    """

    recorder: Recorder
    scope: Scope
    name: str | None
    arguments: object
    call_id: str
    side: str = "client"
    tool: Tool | None = None
    borrowed: bool = False
    pending: dict[str, Approval] = field(default_factory=dict[str, Approval])
    approval_id: str | None = None
    refused: bool = False
    _rounds: int = 0

    @property
    def owner(self) -> Scope:
        """What a record made now belongs to."""
        return self.tool if self.tool is not None and not self.tool.ended else self.scope

    # the record of the call

    @guarded
    def start(self, hints: Hints, *, span: Span | None = None, context: Context | None = None) -> None:
        """Start the record, on the span of an SDK where there is one; borrow that of an agent's tool around it."""
        outer, name = self.scope, self.name or "unknown"
        if isinstance(outer, Tool) and extract.same_tool(str(getattr(outer, "_name", "")), name):
            self.tool, self.borrowed = outer, True
            outer.set(extract.as_attributes(hints))
            return
        self.tool = outer.tool(
            name,
            call_id=self.call_id,
            arguments=self.arguments,
            tool_type="extension",
            approval_id=self.approval_id,
            span=span,
            context=context,
            **hints,
        )

    @guarded
    def end(self, result: object) -> None:
        """End the record with the tool's answer."""
        tool = self._own()
        if tool is None:
            return
        tool.result(extract.returned(result))
        if extract.is_error(result):
            tool.fail(extract.TOOL_ERROR)
        else:
            tool.stop()

    @guarded
    def fail(self, error: BaseException) -> None:
        """End the record with an exception; one that was cancelled did not fail."""
        tool = self._own()
        code = extract.error_code(error)
        if tool is None:
            return
        if not isinstance(error, Exception):
            tool.cut_short("cancelled")
        elif tool.span.is_recording():
            tool.fail(str(code) if code is not None else error)
        else:  # the SDK's span, which says so itself and is over
            tool.cut_short()

    @guarded
    def pause(self) -> None:
        """End the record of a round that waits for an answer: neither done nor failed."""
        tool = self._own()
        if tool is not None:
            tool.cut_short()

    def _own(self) -> Tool | None:
        return None if self.tool is None or self.borrowed or self.tool.ended else self.tool

    # questions and answers

    def ask(self, question: Question, *, key: str, state: str | None = None) -> Approval:
        """Record a question, once; with a request state any process that holds that finds it again."""
        self._rounds += 1
        if state is not None:
            place, parts = extract.round_key(state, self.side), [key]
        elif question.elicitation_id is not None:
            place, parts = (extract.FRAMEWORK, "elicitation", question.elicitation_id), []
        else:
            place, parts = (extract.FRAMEWORK, "call", self.call_id), [key, str(self._rounds)]
        approval_id = durable_approval_id(*place, *parts)
        known = self.recorder.lookup(place)
        earlier = known.approval(approval_id) if known is not None else None
        if earlier is not None and earlier.subject_id != self.call_id:
            # A server that does not seal its state may use the same one for every call.
            approval_id = durable_approval_id(*place, *parts, self.call_id)
        owner = self.owner
        known_call = self.name is not None
        return owner.request_approval(
            self.call_id if known_call else None,
            tool=self.name,
            subject_type="tool_call" if known_call else "run",
            arguments=self.arguments if known_call else UNSET,
            content=UNSET if known_call else question.asked,
            deadline=question.deadline,
            channel=question.channel,
            approval_id=approval_id,
            key=place,
            durable_id=key,
            context=owner.context,
        )

    @guarded
    def ask_all(self, result: object) -> None:
        """Record the questions of an input-required result."""
        state = extract.state_of(result)
        for key, question in extract.questions(result).items():
            self.pending[key] = self.ask(question, key=key, state=state)

    @guarded
    def answer(self, approval: Approval, given: Answer, *, arguments: object = None) -> None:
        """Record an answer, once; ``arguments`` are those of the retry, which may differ from what was shown."""
        where: dict[str, Any] = {"context": self.owner.context}
        self.refused = given.status != "approved"
        if given.status in {"cancelled", "expired"}:
            if given.status == "expired":
                approval.expired(**where)
            else:
                approval.cancelled(reason=given.reason, **where)
            return
        who: dict[str, Any] = {"actor": given.actor, "actor_ref": given.actor_ref, "scope": "once", **where}
        if given.status == "denied":
            approval.denied(reason=given.reason, **who)
            return
        self.approval_id = approval.approval_id
        if self.tool is not None:
            self.tool.set({a.APPROVAL_ID: approval.approval_id})
        if arguments is not None and self._differs(approval, arguments):
            approval.modified(arguments=arguments, reason=given.reason, **who)
        else:
            approval.approved(reason=given.reason, **who)

    def _differs(self, approval: Approval, arguments: object) -> bool:
        shown = approval.stored.digest
        known = self.recorder.lookup(approval.key)
        if shown is None or known is None or known.run_id != self.scope.run_id:
            return False  # a digest of another run has another key
        return self.scope.state.commit(LABEL_TOOL_ARGUMENTS, arguments) != shown

    @guarded
    def answer_all(self, responses: object, state: str | None) -> None:
        """Record the answers that a retry brings, those in hand and those that were asked in another process."""
        stored = self.recorder.lookup(extract.round_key(state, self.side)) if state else None
        for key, response in extract.members(responses).items():
            approval = self.pending.pop(key, None)
            if approval is None and state is not None and stored is not None:
                approval = self._restored(key, state, stored)
            if approval is not None:
                self.answer(approval, extract.answer(response), arguments=self.arguments)

    def _restored(self, key: str, state: str, stored: StoredContext) -> Approval | None:
        """Return a request of an earlier process; there is nothing to say of one that nobody here saw."""
        asked = [item for item in stored.approvals if item.durable_id == key]
        known = next((item for item in reversed(asked) if not item.decided), asked[-1] if asked else None)
        if known is None:
            return None
        if known.decided:
            self.approval_id = known.approval_id  # a retry that is sent again
        return Approval(self.owner, extract.round_key(state, self.side), known, replayed=True)

    @guarded
    def give_up(self, error: BaseException | None = None) -> None:
        """Record that the questions in hand will get no answer."""
        given = extract.failure(error) if error is not None else Answer("cancelled", "no_answer")
        while self.pending:
            _, approval = self.pending.popitem()
            self.answer(approval, given)


class Asked:
    """A question under way: its approval, the call that it belongs to, and the request as it is to be made."""

    def __init__(self, call: Call, approval: Approval | None, request: object) -> None:
        self.request = request
        self._call = call
        self._approval = approval

    def answered(self, result: object) -> None:
        """Record the answer."""
        if self._approval is not None:
            self._call.answer(self._approval, extract.answer(result))

    def failed(self, error: BaseException) -> None:
        """Record that there will be none."""
        if self._approval is not None:
            self._call.answer(self._approval, extract.failure(error))


def call_id_of(stored: StoredContext | None) -> str | None:
    """Return the id of the call that a stored round belongs to."""
    return next((item.subject_id for item in stored.approvals if item.subject_id), None) if stored else None
