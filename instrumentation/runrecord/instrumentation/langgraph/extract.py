# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""SDK objects to our fields: pure functions, no telemetry and no SDK imports.

The vocabularies read here are those of ``langchain.agents.middleware.human_in_the_loop`` (``HITLRequest``,
``ToolApprovalRequest`` and their decisions), of the older ``langgraph.prebuilt.interrupt`` (``HumanInterrupt``, answered
with accept, edit, ignore or response) and of ``langgraph.types``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

from runrecord.instrumentation._declared import as_attributes, hints_in
from runrecord.instrumentation.recorder import UNSET
from runrecord.semconv import attributes as a

MAX_NAME: Final = 120
_INTERRUPT_ID: Final = re.compile(r"[0-9a-f]{32}")
_STEP_WORDS: Final = (
    ("handoff", ("handoff", "hand_off", "transfer")),
    ("wait", ("human_review", "human_approval", "approval", "wait")),
    ("reflect", ("reflect", "critique", "critic")),
    ("verify", ("verify", "verification", "validate", "check", "guard", "rubric")),
    ("route", ("route", "supervisor", "dispatch", ".before_", ".after_")),
    ("plan", ("plan", "model", "llm", "agent", "think")),
)
_ANSWERS: Final = {
    "approve": "approved",
    "accept": "approved",
    "edit": "modified",
    "reject": "denied",
    "ignore": "denied",
    "respond": "denied",
    "response": "denied",
}
_VERDICTS: Final = {
    "satisfied": "pass",
    "needs_revision": "fail",
    "failed": "fail",
    "max_iterations_reached": "fail",
}


@dataclass(frozen=True)
class Asked:
    """One thing that an interrupt asks a person about."""

    position: int
    name: str | None = None
    arguments: Any = UNSET
    content: Any = UNSET
    tool_call_id: str | None = None

    @property
    def is_tool_call(self) -> bool:
        """Whether a tool call is to be approved."""
        return self.arguments is not UNSET


@dataclass(frozen=True)
class Answer:
    """What a person said to one thing."""

    status: str
    reason: str | None = None
    arguments: Any = UNSET


def bounded(name: object, default: str = "unknown") -> str:
    """Return a name fit for a span: text, not empty, not long."""
    return name[:MAX_NAME] if isinstance(name, str) and name else default


def mapping(value: object) -> Mapping[str, Any]:
    """Return ``value`` if it is a mapping, else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


@lru_cache(maxsize=1024)
def step_kind(node: str) -> str:
    """Guess what a node is for from its name, which is all that LangGraph knows; ``act`` where it says nothing.

    ``create_agent`` has the nodes ``model`` and ``tools`` and one for each middleware hook
    (``HumanInTheLoopMiddleware.after_model``).
    """
    words = node.lower().replace("-", "_")
    if words in {"tools", "tool"}:
        return "act"
    if words.startswith("humanintheloop"):
        return "route"  # and a wait when it asks
    for kind, parts in _STEP_WORDS:
        if any(part in words for part in parts):
            return kind
    return "act"


def tool_facts(metadata: Mapping[str, Any]) -> dict[str, str | bool]:
    """Read MCP's four hints, our own keys and the agent that calls it from a tool's ``metadata``; other types are left out."""
    facts = as_attributes(hints_in(metadata))
    agent = metadata.get("lc_agent_name")  # of a sub-agent, where the run has another
    if isinstance(agent, str) and agent:
        facts[a.GEN_AI_AGENT_NAME] = bounded(agent)
    return facts


def tool_result(output: object) -> tuple[Any, bool]:
    """Return what a tool gave back to the model, and whether the tool itself says it failed.

    ``output`` is a ``ToolMessage``, a ``Command`` whose update holds one, or a plain value.
    """
    messages = mapping(getattr(output, "update", None)).get("messages")
    if isinstance(messages, Sequence) and not isinstance(messages, str) and messages:
        output = cast("Sequence[object]", messages)[-1]
    content = getattr(output, "content", output)
    return content, getattr(output, "status", None) == "error"


def names_of(tools: object) -> list[str]:
    """Return the names of tools, which are given as names or as tools."""
    every = cast("Iterable[object]", tools) if isinstance(tools, Iterable) else ()
    return [str(tool if isinstance(tool, str) else getattr(tool, "name", "")).strip() for tool in every]


def call_budgets(
    middleware: object, what: str, state: object, update: Mapping[str, Any], error: object
) -> list[tuple[str, float, float]]:
    """Return (id, limit, consumed) of each limit of a middleware that limits calls of ``what``.

    The counts are those of the ``update`` that the middleware returns, of the ``error`` that it raises, or of the state.
    """
    found: list[tuple[str, float, float]] = []
    for span in ("run", "thread"):
        limit = getattr(middleware, f"{span}_limit", None)
        key = f"{span}_{what}_count"
        counted = next((part[key] for part in (update, mapping(state)) if part.get(key) is not None), 0)
        if isinstance(counted, Mapping):  # for each tool; the one for all of them has a name of its own
            tool = getattr(middleware, "tool_name", None) or "__all__"
            counted = cast("Mapping[str, Any]", counted).get(tool, 0)
        counted = getattr(error, f"{span}_count", counted)
        if isinstance(limit, (int, float)) and isinstance(counted, (int, float)):
            name = bounded(getattr(middleware, "name", None), f"{what}_limit")
            found.append((f"{name}.{span}", limit, counted))
    return found


def rubric_outcome(evaluation: Mapping[str, Any]) -> tuple[str, float | None]:
    """Return what a grader of deepagents' ``RubricMiddleware`` found, and the part of its criteria that passed.

    ``satisfied`` is a pass, ``needs_revision``, ``failed`` and ``max_iterations_reached`` are a fail; a grader that raised or
    did not account for every criterion could not tell.
    """
    said = evaluation.get("result")
    criteria = evaluation.get("criteria")
    every = cast("list[object]", criteria) if isinstance(criteria, list) else []
    score = sum(mapping(item).get("passed") is True for item in every) / len(every) if every else None
    verdict = _VERDICTS.get(said) if isinstance(said, str) else None
    if evaluation.get("unverified") or verdict is None:
        return "inconclusive", score
    return verdict, score


def last_tool_calls(state: object) -> list[Mapping[str, Any]]:
    """Return copies of the tool calls of the last message that has any field for them, the last AI message."""
    messages = mapping(state).get("messages")
    if messages is None:
        messages = getattr(state, "messages", None)
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        return []
    for message in reversed(cast("Sequence[object]", messages)):
        calls = getattr(message, "tool_calls", None)
        if calls is not None:
            return [dict(call) for call in cast("Iterable[Mapping[str, Any]]", calls)]
    return []


def asked(value: object) -> list[Asked]:
    """Read the value of an interrupt: one element per tool call that is to be approved, or one for the whole."""
    request = mapping(value)
    if request.get("type") == "tool_approval":
        call_id = request.get("tool_call_id")
        return [
            Asked(
                0,
                name=bounded(request.get("name")),
                arguments=request.get("args"),
                tool_call_id=call_id if isinstance(call_id, str) else None,
            )
        ]
    actions = request.get("action_requests")
    if isinstance(actions, Sequence) and not isinstance(actions, str):
        shown = [mapping(action) for action in cast("Sequence[object]", actions)]
        return [
            Asked(position, name=bounded(action.get("name")), arguments=action.get("args"))
            for position, action in enumerate(shown)
        ]
    older = mapping(_only(value))
    action = mapping(older.get("action_request"))
    if isinstance(action.get("action"), str):
        return [Asked(0, name=bounded(action["action"]), arguments=action.get("args"))]
    return [Asked(0, content=value)]


def with_call_ids(items: list[Asked], calls: Sequence[Mapping[str, Any]]) -> list[Asked]:
    """Give the requests of a batch, which carry no ids, those of the model's tool calls.

    Both are in the model's order and the batch leaves some out, so each request takes the next call of the same name
    and arguments.
    """
    found: list[Asked] = []
    position = 0
    for item in items:
        matched = item.tool_call_id
        if item.is_tool_call and matched is None:
            for index in range(position, len(calls)):
                if (calls[index].get("name"), calls[index].get("args")) == (item.name, item.arguments):
                    matched = calls[index].get("id")
                    position = index + 1
                    break
        found.append(Asked(item.position, item.name, item.arguments, item.content, matched))
    return found


def answer(value: object, *, tool_call: bool) -> Answer:
    """Read the answer to one request.

    A decision of the SDK's vocabulary is what it says; an answer in place of the tool (respond, response) or a refusal
    to look (ignore) means that the call may not run, so it is a denial with that word as reason. Of free-form answers only
    a plain yes or no is a decision about the request: True is approved, False is denied. Anything else is neither: the
    request ends as answered, since nobody approved or denied anything. An answer about a tool call that can't be read is
    cancelled, with the reason ``unreadable_answer``.
    """
    value = _only(value)
    decision = mapping(value)
    word = decision.get("type")
    if isinstance(word, str) and word in _ANSWERS:
        edited = mapping(decision.get("edited_action") or decision.get("args"))
        arguments = edited.get("args", UNSET) if word == "edit" else UNSET
        plain = word in {"approve", "edit", "reject", "accept"}
        return Answer(_ANSWERS[word], None if plain else word, arguments)
    if value is True:
        return Answer("approved")
    if value is False:
        return Answer("denied")
    return Answer("cancelled", "unreadable_answer") if tool_call else Answer("answered")


def _only(value: object) -> object:
    """Return the one element of a list of one; the older vocabulary asks and answers in such lists."""
    if isinstance(value, list):
        items = cast("list[object]", value)
        return items[0] if len(items) == 1 else items
    return value


def answers(value: object, count: int, *, tool_calls: bool) -> list[Answer]:
    """Read the answers to the ``count`` requests of one interrupt, by position."""
    decisions = mapping(value).get("decisions")
    if isinstance(decisions, Sequence) and not isinstance(decisions, str):
        return [answer(item, tool_call=tool_calls) for item in cast("Sequence[object]", decisions)]
    return [answer(value, tool_call=tool_calls)] * count


def resume_values(resume: object, pending: Sequence[str]) -> dict[str, Any]:
    """Return what was answered to which interrupt id.

    ``Command(resume=...)`` holds either a mapping from interrupt ids or one value, which answers the next pending
    interrupt.
    """
    by_id = mapping(resume)
    if by_id and all(_INTERRUPT_ID.fullmatch(str(key)) for key in by_id):
        return dict(by_id)
    return {pending[0]: resume} if pending else {}


def text_of(config: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of ``names`` in a config's ``configurable`` or ``metadata``."""
    for part in ("configurable", "metadata"):
        values = mapping(config.get(part))
        for name in names:
            if values.get(name) is not None:
                return str(values[name])
    return None
