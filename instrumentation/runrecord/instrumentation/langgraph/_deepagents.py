# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What deepagents adds to agents: permissions of its file tools, as policy decisions, and rubrics, as verifications."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.langgraph import extract
from runrecord.instrumentation.langgraph._middleware import settle
from runrecord.instrumentation.langgraph._tracker import Tracker
from runrecord.instrumentation.recorder import Tool
from runrecord.semconv import attributes as a

POLICY: Final = "FilesystemPermission"
_UNRESOLVED: Final = "Error: cannot resolve"


@guarded
def file_access(tracker: Tracker, operation: str, denied: str | None) -> None:
    """Record whether the permissions let a file tool at its path, once per call; ``denied`` is what the model is told."""
    tool = tracker.here()
    if not isinstance(tool, Tool) or not tool.state.once(f"file_access|{tool.call_id}"):
        return
    known = cast("Mapping[str, str]", getattr(tool.span, "attributes", None) or {})
    decision = tool.decision(
        POLICY,
        engine="sdk",
        mode="enforce",
        subject=tool.call_id,
        subject_type="tool_call",
        subject_name=tool.name,
        attributes={a.SUBJECT_DIGEST: known.get(a.ARGUMENTS_DIGEST)},
    )
    if denied is None:
        settle(decision, "allow", operation, None, None)
    else:
        reason = "unresolvable_path" if denied.startswith(_UNRESOLVED) else "permission_denied"
        settle(decision, "deny", operation, "block", reason)


@guarded
def graded(tracker: Tracker, middleware: Any, update: object) -> None:
    """Record what ``RubricMiddleware`` found of the answer of the agent, from the state that it updates."""
    scope = tracker.here()
    every = extract.mapping(update).get("_rubric_evaluations")
    if scope is None or tracker.graph_of(scope) is None or not isinstance(every, Sequence) or not every:
        return
    evaluation = extract.mapping(cast("Sequence[object]", every)[-1])
    outcome, score = extract.rubric_outcome(evaluation)
    check = scope.verification(extract.bounded(getattr(middleware, "name", None), "rubric"), kind="model")
    if evaluation.get("result") == "grader_error":
        check.fail("grader_error")
        return
    ends = {"pass": check.passed, "fail": check.failed, "inconclusive": check.inconclusive}
    explanation = evaluation.get("explanation")
    ends[outcome](score=score, explanation=explanation if isinstance(explanation, str) else None)
