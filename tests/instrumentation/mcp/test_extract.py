# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Reading the protocol's messages, as models and as they go over the wire."""

from typing import Any

import pytest
from mcp_types import (
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
    ListRootsRequest,
    TextContent,
    Tool,
    ToolAnnotations,
)

from runrecord.instrumentation.mcp import extract
from runrecord.instrumentation.mcp.extract import Answer

pytestmark = [pytest.mark.sdk]


def wire(model: Any) -> Any:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def both(model: Any) -> list[Any]:
    return [model, wire(model)]


TOOL = Tool(
    name="refund",
    input_schema={"type": "object"},
    annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
    _meta={"runrecord.side_effect.type": "pay", "runrecord.side_effect.reversible": "perhaps"},
)


@pytest.mark.parametrize("tool", both(TOOL))
def test_hints(tool: Any) -> None:
    assert extract.tool_hints(tool) == {"read_only": True, "open_world": False, "effect": "pay"}


def test_a_tool_that_only_reads_has_the_effect_read() -> None:
    hints = extract.tool_hints({"annotations": {"readOnlyHint": True}})
    assert extract.as_attributes(hints) == {
        "runrecord.tool.read_only": True,
        "runrecord.side_effect.type": "read",
    }
    assert extract.tool_hints({"name": "x"}) == {}


@pytest.mark.parametrize(
    "result", both(CallToolResult(content=[TextContent(type="text", text="a")], is_error=True))
)
def test_results(result: Any) -> None:
    assert extract.is_error(result)
    assert extract.returned(result) == "a"


def test_results_with_structure_or_with_more_than_a_text() -> None:
    block = TextContent(type="text", text="a")
    assert extract.returned(CallToolResult(content=[block], structured_content={"b": 1})) == {"b": 1}
    assert extract.returned(CallToolResult(content=[block, block])) == [{"type": "text", "text": "a"}] * 2
    assert extract.returned(object()) == []


ASKED = InputRequiredResult(
    input_requests={
        "form": ElicitRequest(
            params=ElicitRequestFormParams(message="?", requested_schema={"type": "object", "properties": {}})
        ),
        "url": ElicitRequest(
            params=ElicitRequestURLParams(message="?", url="https://a.example", elicitation_id="e-1")
        ),
        "roots": ListRootsRequest(),
    },
    request_state="state",
)


@pytest.mark.parametrize("result", both(ASKED))
def test_questions(result: Any) -> None:
    assert extract.waits(result)
    assert extract.state_of(result) == "state"
    found = extract.questions(result)
    assert [(key, item.channel, item.elicitation_id) for key, item in found.items()] == [
        ("form", "mcp_elicitation_form", None),
        ("url", "mcp_elicitation_url", "e-1"),
    ]


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({"action": "accept", "content": {"ok": True}}, Answer("approved", "accept")),
        ({"action": "accept", "content": {"ok": False}}, Answer("denied", "answered_no")),
        ({"action": "accept", "content": {"ok": False, "note": "x"}}, Answer("approved", "accept")),
        ({"action": "accept"}, Answer("approved", "accept")),
        ({"action": "decline"}, Answer("denied", "decline")),
        ({"action": "cancel"}, Answer("cancelled", "cancel")),
        ({"code": -32600, "message": "x"}, Answer("cancelled", "not_asked")),
        ({"action": "later"}, Answer("cancelled", "not_asked")),
    ],
)
def test_answers(given: Any, answer: Answer) -> None:
    assert extract.answer(given) == answer
    if given.get("action") in {"accept", "decline", "cancel"}:
        assert extract.answer(ElicitResult(**given)) == answer


@pytest.mark.parametrize(
    ("outer", "name", "same"),
    [
        ("refund", "refund", True),
        ("shop_refund", "refund", True),
        ("mcp__shop__refund", "refund", True),
        ("prefund", "refund", False),
        ("refund", "refund_all", False),
    ],
)
def test_names_of_an_agents_tools(outer: str, name: str, same: bool) -> None:
    assert extract.same_tool(outer, name) is same


def test_round_keys_differ_by_state_and_side() -> None:
    keys = {extract.round_key(state, side) for state in ("a", "b", "\ud800") for side in ("client", "server")}
    assert len(keys) == 6


def test_the_innermost_place_that_an_exception_came_through() -> None:
    class Place:
        def run(self, inner: Any) -> None:
            inner()

    def failing() -> None:
        raise ValueError

    outer, inner, other = Place(), Place(), Place()
    with pytest.raises(ValueError) as caught:
        outer.run(lambda: inner.run(failing))
    assert extract.raised_by(caught.value, [outer, other]) is outer
    assert extract.raised_by(caught.value, [outer, inner]) is inner
    assert extract.raised_by(caught.value, [outer, inner, failing]) is failing
    assert extract.raised_by(caught.value, [other]) is None
