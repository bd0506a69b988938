# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""How a run ended when something in it was stopped, and what is said of the effects of its tool calls."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runrecord.instrumentation import FileContextStore, MemoryContextStore, Recorder
from runrecord.instrumentation._stopped import Stopped
from runrecord.instrumentation.context_store import StoredContext


def outcome(telemetry: Any) -> Any:
    return telemetry.named("invoke_agent")[-1].attributes.get("runrecord.run.outcome")


def deny(run: Any, call_id: str = "call_1", **kwargs: Any) -> None:
    run.decision("refunds", subject=call_id, subject_name="refund", **kwargs).deny()


def succeed(run: Any, call_id: str, name: str = "refund") -> None:
    with run.tool(name, call_id=call_id):
        pass


def fail(run: Any, call_id: str, name: str = "refund") -> None:
    with pytest.raises(OSError, match="down"), run.tool(name, call_id=call_id):
        raise OSError("down")


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        (deny, "denied"),
        (lambda run: deny(run, mode="enforce"), "denied"),
        (lambda run: deny(run, mode="monitor"), "success"),
        (lambda run: deny(run, subject_type="model_input"), "success"),
        (lambda run: (deny(run), succeed(run, "call_1")), "success"),
        (lambda run: (deny(run), fail(run, "call_1")), "success"),
        (lambda run: (deny(run), succeed(run, "call_2")), "success"),
        (lambda run: (deny(run), fail(run, "call_2")), "denied"),
        (lambda run: (deny(run), succeed(run, "call_2", "lookup")), "denied"),
        (lambda run: (succeed(run, "call_1"), deny(run)), "success"),
        (lambda run: (succeed(run, "call_0"), deny(run)), "denied"),
        (lambda run: (deny(run), run.finish("escalated")), "escalated"),
        (lambda run: (deny(run), run.finish("success")), "success"),
        (lambda run: run.decision("p", subject="call_1").deny(action="modify"), "success"),
        (lambda run: run.decision("p").deny(), "denied"),
    ],
)
@pytest.mark.breaks("missing-conditional")
def test_a_run_is_denied_if_a_call_was_stopped_and_not_made(
    telemetry: Any, recorder: Recorder, story: Callable[[Any], Any], expected: str
) -> None:
    with recorder.run("a") as run:
        story(run)
    assert outcome(telemetry) == expected
    assert telemetry.one("invoke_agent").status.status_code.name == "UNSET"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("approved", "success"),
        ("modified", "success"),
        ("denied", "denied"),
        ("expired", "denied"),
        ("cancelled", "denied"),
    ],
)
@pytest.mark.breaks("missing-conditional")
def test_an_answer_stops_a_call_or_does_not(
    telemetry: Any, recorder: Recorder, answer: str, expected: str
) -> None:
    with recorder.run("a") as run:
        getattr(run.request_approval("call_1", tool="refund"), answer)()
    assert outcome(telemetry) == expected


def test_a_later_answer_lets_a_call_run(telemetry: Any, recorder: Recorder) -> None:
    with recorder.run("a") as run:
        approval = run.request_approval("call_1", tool="refund")
        approval.denied()
        approval.reopen()
        approval.approved()
    assert outcome(telemetry) == "success"


def test_what_is_no_tool_call_does_not_decide_the_outcome(telemetry: Any, recorder: Recorder) -> None:
    with recorder.run("a") as run:
        run.request_approval("plan", subject_type="run").denied()
    assert outcome(telemetry) == "success"


def test_an_error_is_a_failure_whatever_was_denied(telemetry: Any, recorder: Recorder) -> None:
    run = recorder.run("a")
    deny(run)
    run.fail(OSError("down"))
    assert outcome(telemetry) == "failure"


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize("kind", ["memory", "file"])
def test_what_was_stopped_before_the_pause_counts_after_it(
    telemetry: Any, tmp_path: Any, kind: str, made: bool
) -> None:
    store = MemoryContextStore() if kind == "memory" else FileContextStore(tmp_path)
    with telemetry.recorder(store=store).run("a") as run:
        deny(run)
        approval = run.request_approval("call_2", tool="lookup")
        run.suspend()
    assert outcome(telemetry) is None
    with telemetry.recorder(store=store).resume(approval.key) as run:
        run.approval.approved()
        succeed(run, "call_2", "lookup")
        if made:
            succeed(run, "call_3", "refund")
    assert outcome(telemetry) == ("success" if made else "denied")


def test_a_context_stored_by_an_older_version_is_read() -> None:
    assert StoredContext.from_json('{"run_id": "r"}').stopped == ()


_calls = st.sampled_from(["c1", "c2", "c3"])
_tools = st.sampled_from(["t1", "t2"])
_events = st.one_of(
    st.tuples(st.just("stop"), _calls, _tools),
    st.tuples(st.just("let_run"), _calls),
    st.tuples(st.just("succeeded"), _calls, _tools),
)


@settings(deadline=None)
@given(st.lists(_events))
def test_what_is_stopped_is_what_the_rule_says(events: list[Any]) -> None:
    stopped = Stopped()
    expected: dict[str, str] = {}
    done: set[str] = set()
    for name, call_id, *tool in events:
        getattr(stopped, name)(call_id, *tool)
        if name == "stop" and call_id not in done:
            expected[call_id] = tool[0]
        elif name != "stop":
            expected.pop(call_id, None)
        if name == "succeeded":
            done.add(call_id)
            expected = {known: other for known, other in expected.items() if other != tool[0]}
    assert dict(stopped.calls()) == expected
    copy = Stopped()
    copy.restore(stopped.calls())
    assert copy.calls() == stopped.calls()


def test_what_is_held_is_bounded() -> None:
    stopped = Stopped()
    for number in range(2_100):
        stopped.stop(f"c{number}", "t")
        stopped.succeeded(f"d{number}", "u")
    assert len(stopped.calls()) == len(stopped._done) == 2_000


# effects


def effects(telemetry: Any) -> tuple[Any, Any]:
    attributes = telemetry.one("execute_tool").attributes
    return attributes.get("runrecord.side_effect.type"), attributes.get("runrecord.side_effect.committed")


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({}, (None, None)),
        ({"read_only": True}, ("read", None)),
        ({"read_only": False}, (None, None)),
        ({"read_only": True, "effect": "none"}, ("none", None)),
        ({"read_only": True, "attributes": {"runrecord.side_effect.type": "send"}}, ("send", True)),
        ({"attributes": {"runrecord.tool.read_only": True}}, ("read", None)),
        ({"effect": "read"}, ("read", None)),
        ({"effect": "pay"}, ("pay", True)),
        ({"effect": "something new"}, ("something new", True)),
        ({"effect": "pay", "attributes": {"runrecord.dry_run": True}}, ("pay", None)),
        ({"effect": "pay", "attributes": {"runrecord.side_effect.committed": False}}, ("pay", False)),
    ],
)
@pytest.mark.breaks("conflicting-values", "unknown-member")
def test_a_call_that_returned_has_the_effect_it_declares(
    telemetry: Any, recorder: Recorder, declared: Any, expected: Any
) -> None:
    with recorder.run("a") as run, run.tool("t", **declared):
        pass
    assert effects(telemetry) == expected


def test_what_the_call_itself_says_wins(telemetry: Any, recorder: Recorder) -> None:
    with recorder.run("a") as run, run.tool("t", effect="pay") as call:
        call.effect(committed=False)
    assert effects(telemetry) == ("pay", False)


def test_a_repeat_that_was_not_carried_out_commits_nothing(telemetry: Any, recorder: Recorder) -> None:
    with recorder.run("a") as run, run.tool("t", effect="pay") as call:
        call.set({"runrecord.idempotency.deduplicated": True})
    assert effects(telemetry) == ("pay", None)


@pytest.mark.parametrize("way", ["raise", "fail", "cut_short"])
def test_nothing_is_said_of_an_effect_that_may_or_may_not_have_happened(
    telemetry: Any, recorder: Recorder, way: str
) -> None:
    with recorder.run("a") as run:
        if way == "raise":
            with pytest.raises(OSError, match="down"), run.tool("t", effect="pay"):
                raise OSError("down")
        else:
            call = run.tool("t", effect="pay")
            call.result("x")
            getattr(call, way)("tool_error")
            call.stop()
    assert effects(telemetry) == ("pay", None)
    assert telemetry.one("execute_tool").attributes["error.type"] in {"OSError", "tool_error"}
