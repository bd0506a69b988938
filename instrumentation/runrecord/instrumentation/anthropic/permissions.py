# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the permission policies of a session decide of its calls, and the confirmations that they ask for."""

from runrecord.instrumentation.anthropic import extract
from runrecord.instrumentation.anthropic.extract import Call
from runrecord.instrumentation.context_store import StoredApproval, StoredContext
from runrecord.instrumentation.recorder import Approval, Decision, Recorder, Scope, durable_approval_id


def judged(owner: Scope, call: Call) -> Decision:
    """Return the record of what the permission policy of a tool decided."""
    return owner.decision(
        "permission_policy",
        engine="sdk",
        subject=call.call_id,
        subject_name=call.name,
        arguments=call.arguments,
    )


class Confirmations:
    """The requests of one session, of which this process or another may have recorded any.

    Args:
        recorder: Where records go.
        session_id: The session's id.

    Attributes:
        waiting: Calls of the segments here that wait for an answer.
    """

    def __init__(self, recorder: Recorder, session_id: str) -> None:
        self.waiting: set[str] = set()
        self._recorder = recorder
        self._id = session_id

    def approval_id(self, call_id: str) -> str:
        """Return the id of the request about a call."""
        return durable_approval_id(extract.FRAMEWORK, self._id, call_id)

    def asked(self, call_id: str) -> bool:
        """Say whether a request about a call was recorded."""
        return self._stored(call_id)[1] is not None

    def ask(self, owner: Scope, call: Call) -> None:
        """Record what the policy wants, and that a person is asked; once, whoever has seen it."""
        if not self.asked(call.call_id):
            judged(owner, call).require_approval(rule=call.rule, reason=call.reason)
        asked = owner.request_approval(
            call.call_id,
            tool=call.name,
            arguments=call.arguments,
            key=extract.approval_key(self._id, call.call_id),
            approval_id=self.approval_id(call.call_id),
            durable_id=call.call_id,
        )
        if not asked.decided:
            self.waiting.add(call.call_id)

    def handle(self, call_id: str, owner: Scope | None) -> Approval | None:
        """Return a request: of the segment that is open, ``owner``, or of the run that waits elsewhere."""
        stored, known = self._stored(call_id)
        if stored is None or known is None:
            return None
        key = extract.approval_key(self._id, call_id)
        if owner is not None and stored.run_id == owner.run_id:
            return Approval(owner, key, known, replayed=True)
        return self._recorder.approval(key, known.approval_id)

    def unseen(self, call_id: str, call: Call | None, owner: Scope) -> Approval:
        """Return a request that nobody recorded, for the answer that is recorded all the same."""
        name = call.name if call is not None else None
        made = StoredApproval(self.approval_id(call_id), subject_id=call_id, name=name)
        return Approval(owner, extract.approval_key(self._id, call_id), made, replayed=True)

    def withdraw(self, reason: str, owner: Scope | None) -> None:
        """Record that what still waits for an answer gets none."""
        waiting, self.waiting = self.waiting, set()
        for call_id in sorted(waiting):
            handle = self.handle(call_id, owner)
            if handle is not None:
                handle.cancelled(reason=reason)

    def _stored(self, call_id: str) -> tuple[StoredContext | None, StoredApproval | None]:
        stored = self._recorder.lookup(extract.approval_key(self._id, call_id))
        return stored, None if stored is None else stored.approval(self.approval_id(call_id))
