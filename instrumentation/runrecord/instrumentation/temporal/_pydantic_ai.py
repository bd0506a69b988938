# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Agents of Pydantic AI that run inside of a workflow: what they ask, and what is answered.

There the agent's code is workflow code and runs again on every replay, so that its own integration keeps out of workflows. The run
is the workflow's, its model calls and tools are activities; only the deferred calls have to be told.
"""

from collections.abc import Callable
from typing import Any, Final, cast

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._hooks import Hooks
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.pydantic_ai import extract
from runrecord.instrumentation.temporal._record import WorkflowRecord, current_record
from runrecord.instrumentation.temporal.approvals import approval

_Wrapped = Callable[..., Any]
_POLICY: Final = "requires_approval"


class AgentsPatch:
    """The hooks into Pydantic AI."""

    def __init__(self) -> None:
        self._hooks = Hooks("pydantic-ai")

    def apply(self) -> None:
        """Hook in; the wrappers of agents come by here, too."""
        self._hooks.wrap("pydantic_ai.agent", "AbstractAgent.run", _run)

    def remove(self) -> None:
        """Undo :meth:`apply`."""
        self._hooks.remove()


async def _run(wrapped: _Wrapped, _instance: Any, args: Any, kwargs: Any) -> Any:
    record = current_record()
    if record is None:
        return await wrapped(*args, **kwargs)
    _answered(record, kwargs.get("deferred_tool_results"))
    result = await wrapped(*args, **kwargs)
    _asked(record, declared.get(result, "output"))
    return result


@guarded
def _asked(record: WorkflowRecord, output: object) -> None:
    """Record what an agent waits for, the policy's decision first; what it asked before is asked once."""
    if not extract.is_deferred(output):
        return
    for part in cast("list[object]", declared.get(output, "approvals") or []):
        call = extract.call(part)
        known = record.calls.get(call.call_id)
        if known is not None and not known.decided:
            continue
        said = declared.mapping(declared.mapping(declared.get(output, "metadata")).get(call.call_id))
        policy = extract.declared_policy(said, _POLICY)
        record.scope.decision(
            policy.policy_id,
            version=policy.version,
            engine="sdk",
            subject=call.call_id,
            subject_name=call.tool,
            arguments=call.arguments,
        ).require_approval(rule=policy.rule)
        record.calls[call.call_id] = approval(call.tool, arguments=call.arguments, call_id=call.call_id)


@guarded
def _answered(record: WorkflowRecord, results: object) -> None:
    """Record what is answered; who answered is what the results say, or who sent the last update or signal."""
    for call_id, asked in list(record.calls.items()):
        answer = None if asked.decided else extract.answer(results, call_id, actor="")
        if answer is None:
            continue
        who = {"actor": answer.actor or "human", "actor_ref": answer.actor_ref} if answer.actor_ref else {}
        edited = {"arguments": answer.arguments} if answer.status == "modified" else {}
        asked.settled(answer.status, scope=answer.scope, reason=answer.reason, **who, **edited)
