# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A run under way, from a prompt to its result message: its steps, tool calls and end."""

import time
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.context import Context

from runrecord.instrumentation._declared import Hints, Settings, get, text
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.claude_agent import extract
from runrecord.instrumentation.claude_agent.calls import Call, Lane
from runrecord.instrumentation.claude_agent.extract import Policy, ToolResult, ToolUse
from runrecord.instrumentation.context_store import ContextKey
from runrecord.instrumentation.recorder import Decision, Recorder, Run, Step, Tool, durable_approval_id
from runrecord.semconv import attributes as a


class ActiveRun:
    """One run.

    Args:
        recorder: Where records go.
        run: The run.
        agent: Name of the agent.
        settings: What the run says of itself.
        session: The CLI's session, once it is known.
        listed: What the servers of the program declare of their tools.
        limits: The turns, and US dollars, that it may take.
    """

    def __init__(
        self,
        recorder: Recorder,
        run: Run,
        *,
        agent: str,
        settings: Settings,
        session: str | None,
        listed: Mapping[str, Hints],
        limits: tuple[int | None, float | None],
    ) -> None:
        self.recorder = recorder
        self.run = run
        self.settings = settings
        self.session = session
        self.mode: str | None = None
        self.interrupted = False
        self.ended = False
        self.calls: dict[str, Call] = {}
        self._agent = agent
        self._listed = listed
        self._limits = limits
        self._lanes: dict[str | None, Lane] = {None: Lane()}
        self._sub_agents: dict[str, str] = {}

    # where we are

    @guarded
    def of_session(self, session: str | None) -> None:
        """Note the session, which the CLI names when it has begun."""
        if session is not None and self.session is None:
            self.session = session
            self.run.state.conversation_id = session
            self.run.set({a.GEN_AI_CONVERSATION_ID: session})

    def key(self, call_id: str) -> ContextKey:
        """Return the key of an approval."""
        return (extract.FRAMEWORK, self.session or self.run.run_id, call_id)

    def approval_id(self, call_id: str) -> str:
        """Return the durable id of an approval."""
        return durable_approval_id(extract.FRAMEWORK, self.run.run_id, call_id)

    def owner(self, call: Call | None = None) -> Run | Step:
        """Return what a record about a call belongs to: the step of the agent or sub-agent that makes it."""
        lane = self._lanes.get(call.parent if call is not None else None) or self._lanes[None]
        return lane.step or self._lanes[None].step or self.run

    def context(self, call_id: str | None = None) -> Context:
        """Return where code of the program runs that is called about a call, or about the run."""
        call = self.calls.get(call_id or "")
        return call.tool.context if call is not None and call.tool is not None else self.owner(call).context

    # messages

    @guarded
    def go_on(self) -> None:
        """Go on with the step that an earlier process left."""
        index = max(self.run.state.next_step - 1, 0)
        lane = self._lanes[None]
        lane.step = self.run.step(
            "act", name=self._agent, index=index, attempt=self.run.segment, context=self.run.context
        )

    @guarded
    def answered(self, frame: object) -> None:
        """Take a message of the model: a step begins with the first of an answer, and it names the calls that follow."""
        parent, message = extract.parent_call(frame), extract.message_id(frame)
        if message is None:
            return
        agent_id = text(get(frame, "agent_id"))
        if parent is not None and agent_id is not None:
            self._sub_agents[agent_id] = parent
        lane = self._lane(parent)
        if lane.message != message:
            lane.end_step()
            lane.message = message
            name = text(get(frame, "subagent_type")) if parent is not None else self._agent
            lane.step = self.run.step("act", name=name, context=lane.context or self.run.context)
        for use in extract.tool_uses(frame):
            self.call(use, parent=parent)

    def _lane(self, parent: str | None) -> Lane:
        lane = self._lanes.get(parent)
        if lane is None:
            call = self.calls.get(parent or "")
            lane = self._lanes[parent] = Lane(self.run.context)
            if call is not None:  # else a sub-agent of an earlier run, in the background
                lane.span = self._begin_sub_agent(call)
                lane.context = trace.set_span_in_context(lane.span, self.start(call).context)
        return lane

    def _begin_sub_agent(self, call: Call) -> trace.Span:
        name = text(get(call.arguments, "subagent_type")) or "agent"
        facts = {a.GEN_AI_OPERATION_NAME: "invoke_agent", a.GEN_AI_AGENT_NAME: name}
        where = self.start(call).context
        return self.recorder.tracer.start_span(f"invoke_agent {name}", context=where, attributes=facts)

    @guarded
    def sub_agent_started(self, frame: object) -> None:
        """Note which call a sub-agent is made by."""
        agent_id, call_id = text(get(frame, "task_id")), text(get(frame, "tool_use_id"))
        if agent_id is not None and call_id is not None:
            self._sub_agents.setdefault(agent_id, call_id)

    # tool calls

    def call(self, use: ToolUse, *, parent: str | None = None, agent_id: str | None = None) -> Call:
        """Return what is known of a call; made when it is first heard of."""
        call = self.calls.get(use.call_id)
        if call is None:
            parent = parent or self._sub_agents.get(agent_id or "")
            call = self.calls[use.call_id] = Call(use.call_id, use.name, use.arguments, parent)
        return call

    def start(self, call: Call) -> Tool:
        """Start the record of a call, if it is not started."""
        if call.tool is None:
            owner = self.owner(call)
            approved = call.approval is not None and not call.waiting and not call.denied
            call.tool = owner.tool(
                call.name,
                call_id=call.call_id,
                arguments=call.arguments,
                approval_id=call.approval.approval_id if approved and call.approval is not None else None,
                context=owner.context,
                start_time=min(call.ready, time.time_ns()),
                **extract.hints(call.name, self._listed),
            )
        return call.tool

    @guarded
    def serve(self, call_id: str | None, name: str, arguments: object) -> Call | None:
        """Start the call of a tool of the program, which the CLI asks for now."""
        call = self.calls.get(call_id or "")
        if call is None:  # a CLI that does not name the call
            same = (c for c in self.calls.values() if c.name == name and c.tool is None and not c.denied)
            call = next((c for c in same if c.arguments == arguments), None)
        if call is None:
            call = self.call(ToolUse(call_id or f"{name} {len(self.calls)}", name, arguments))
        call.arguments, call.ready = arguments, time.time_ns()
        self.start(call)
        return call

    @guarded
    def served(self, call: Call, response: object) -> None:
        """End the call of a tool of the program."""
        error = get(response, "error")
        result = get(response, "result")
        self._end(call, get(result, "content"), failed=error is not None or get(result, "isError") is True)

    @guarded
    def returned(self, frame: object) -> None:
        """Take the results of calls."""
        for result in extract.tool_results(frame):
            call = self.calls.get(result.call_id)
            if call is None:
                continue
            self._permitted(call, result)
            if call.tool is None and (result.ran is False or (result.ran is None and call.denied)):
                call.denied = True
            else:
                self._end(call, result.content, failed=result.failed)
            lane = self._lanes.get(call.call_id)
            if lane is not None:
                lane.end()

    def _end(self, call: Call, content: object, *, failed: bool) -> None:
        tool = self.start(call)
        tool.result(content)
        tool.fail("tool_error") if failed else tool.stop()

    # policy decisions

    def decision(self, policy: Policy, call: Call, *, engine: str) -> Decision:
        """Start a decision about a call."""
        owner = self.owner(call)
        return owner.decision(
            policy.policy_id,
            version=policy.version,
            engine=engine,
            subject=call.call_id,
            subject_name=call.name,
            arguments=call.arguments,
            context=owner.context,
        )

    def _permitted(self, call: Call, result: ToolResult) -> None:
        """Record what the CLI's own rules decided, or somebody that only the CLI knows."""
        permission = result.permission
        if permission is None:
            return
        source = permission.source.partition("_")[0]
        if source in call.decided:
            return
        call.decided.add(source)
        policy = Policy("claude_code.hooks" if source == "hook" else extract.PERMISSIONS)
        decision = self.decision(policy, call, engine="sdk")
        rule = self._rule(permission.reason or permission.source)
        if permission.allowed:
            decision.allow(rule=rule, action="none")
        else:
            call.denied = True
            decision.deny(rule=rule, action="block", reason=permission.source)

    @guarded
    def refused(self, frame: object) -> None:
        """Take the message that a rule or mode of the CLI refused a call."""
        use = ToolUse(str(get(frame, "tool_use_id")), text(get(frame, "tool_name")) or "tool", None)
        self._refuse(
            self.call(use, agent_id=text(get(frame, "agent_id"))), text(get(frame, "decision_reason_type"))
        )

    def _refuse(self, call: Call, rule: str | None) -> None:
        if call.denied or call.tool is not None or call.decided:
            return
        call.denied = True
        call.decided.add("config")
        decision = self.decision(Policy(extract.PERMISSIONS), call, engine="sdk")
        decision.deny(rule=self._rule(rule), action="block", reason="config")

    def _rule(self, kind: str | None) -> str | None:
        """Return what decided: the mode by its name, anything else by its kind, since the CLI says no more."""
        return self.mode or kind if kind in {None, "mode"} else kind

    # the end

    @guarded
    def finish(self, frame: object) -> None:
        """End with a result message."""
        for use in extract.denied_calls(frame):
            self._refuse(self.call(use), None)
        ended = extract.ending(frame, interrupted=self.interrupted)
        self._budgets(frame, ended)
        self.run.answered(get(frame, "result"))
        if ended.deferred is not None:
            self.run.suspend(stop_reason=ended.stop_reason, key=deferred_key(self.session or self.run.run_id))
        elif ended.outcome is not None or ended.stop_reason is not None:
            outcome = ended.outcome
            if outcome is None and (ended.stop_reason or "").startswith("aborted"):
                outcome = "denied" if self.run.state.stopped else "cancelled"
            self.run.finish(outcome, stop_reason=ended.stop_reason)
        self.end(ended.error)

    def _budgets(self, frame: object, ended: extract.Ending) -> None:
        turns, cost = self._limits
        used = extract.number(frame, "num_turns"), extract.number(frame, "total_cost_usd")
        if turns is not None and used[0] is not None:
            over = ended.stop_reason == "max_turns"
            # The CLI counts the turn that it did not begin.
            self.run.budget(
                "max_turns",
                dimension="steps",
                limit=float(turns),
                consumed=min(used[0], float(turns)),
                exceeded=over,
                action="stop" if over else None,
            )
        if cost is not None and used[1] is not None:
            over = ended.stop_reason == "max_budget_usd"
            self.run.budget(
                "max_budget_usd",
                dimension="cost",
                limit=cost,
                consumed=used[1],
                exceeded=over,
                action="stop" if over else None,
                currency="USD",
            )

    @guarded
    def end(self, error: BaseException | str | None = None, *, outcome: str | None = None) -> None:
        """End the run; what was asked and not answered is withdrawn, and of what may still run nothing is claimed."""
        if self.ended:
            return
        self.ended = True
        for call in self.calls.values():
            if call.waiting and call.approval is not None and not call.deferred:
                call.approval.cancelled(reason="run_ended")
            elif not (call.denied or call.deferred or call.waiting) and (
                call.tool is None or not call.tool.ended
            ):
                self.start(call).cut_short("no_result")
        raised = error if isinstance(error, BaseException) else None
        for parent in reversed(list(self._lanes)):
            self._lanes[parent].end(raised if parent is None else None)
        if outcome is not None:
            self.run.finish(outcome)
        self.run.stop() if error is None else self.run.fail(error)


def deferred_key(session: str) -> ContextKey:
    """Return the key under which a run waits whose call a hook left for a later process."""
    return (extract.FRAMEWORK, session, "deferred")
