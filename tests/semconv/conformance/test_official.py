# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The official GenAI part of any instrumentation, with nothing of ours on its spans."""

from __future__ import annotations

from typing import Any

import pytest

from runrecord.semconv.conformance import SpanRecord, check
from runrecord.semconv.registry import load_registry

IDS: Any = {"trace_id": "a1" * 16, "span_id": "b1" * 8}


def rules(name: str, kind: str, attributes: dict[str, Any], **more: Any) -> list[str]:
    return [finding.rule for finding in check([SpanRecord(name, kind, attributes, **{**IDS, **more})])]


def facts(operation: str, **more: Any) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": operation,
        **{f"gen_ai.{key.replace('__', '.')}": v for key, v in more.items()},
    }


@pytest.mark.parametrize(
    ("name", "kind", "attributes"),
    [
        ("chat m", "client", facts("chat", provider__name="openai", request__model="m")),
        ("chat m", "internal", facts("chat", provider__name="openai", request__model="m")),
        ("embeddings m", "client", facts("embeddings", provider__name="cohere", request__model="m")),
        ("retrieval", "client", facts("retrieval")),
        ("invoke_agent a", "internal", facts("invoke_agent", agent__name="a")),
        ("invoke_agent a", "client", facts("invoke_agent", agent__name="a", provider__name="openai")),
        ("invoke_workflow w", "internal", facts("invoke_workflow", workflow__name="w")),
        ("execute_tool t", "internal", facts("execute_tool", tool__name="t")),
        ("plan", "internal", facts("plan")),
        ("create_agent a", "client", facts("create_agent", provider__name="openai", agent__name="a")),
        (
            "tools/call t",
            "client",
            {**facts("execute_tool", tool__name="t"), "mcp.method.name": "tools/call"},
        ),
        (
            "tools/call t",
            "server",
            {**facts("execute_tool", tool__name="t"), "mcp.method.name": "tools/call"},
        ),
        ("GET /", "server", {"http.request.method": "GET"}),
    ],
)
def test_what_keeps_the_official_conventions(name: str, kind: str, attributes: dict[str, Any]) -> None:
    assert rules(name, kind, attributes) == []


@pytest.mark.parametrize(
    ("name", "kind", "attributes", "expected"),
    [
        ("chat m", "client", facts("chat", request__model="m"), "official-missing-required"),
        ("execute_tool t", "internal", facts("execute_tool"), "official-missing-required"),
        ("execute_tool t", "client", facts("execute_tool", tool__name="t"), "official-wrong-kind"),
        ("invoke_agent a", "server", facts("invoke_agent", agent__name="a"), "official-wrong-kind"),
        ("run a", "internal", facts("invoke_agent", agent__name="a"), "official-wrong-name"),
        ("apply_policy", "internal", facts("apply_policy"), "official-unknown-operation"),
        ("chat m", "client", {**facts("chat"), "gen_ai.operation.name": 7}, "official-wrong-type"),
        (
            "retrieval",
            "client",
            facts("retrieval", usage__prompt_tokens=3),
            "official-deprecated-attribute",
        ),
        ("retrieval", "client", facts("retrieval", mood="good"), "official-unknown-attribute"),
        ("plan", "internal", facts("plan", agent__name=("a",)), "official-wrong-type"),
    ],
)
def test_what_breaks_the_official_conventions(
    name: str, kind: str, attributes: dict[str, Any], expected: str
) -> None:
    assert rules(name, kind, attributes) == [expected]


@pytest.mark.parametrize("signal", [item for item in load_registry().official.values() if item.operations])
def test_each_required_attribute_of_each_official_span_is_missed(signal: Any) -> None:
    values = {"string": "x", "int": 1, "double": 1.0, "boolean": True}
    for operation in signal.operations:
        required = [use.attribute for use in signal.uses if use.level == "required"]
        complete: dict[str, Any] = {
            item.key: item.members[0].value if item.members else values[item.type] for item in required
        }
        complete["gen_ai.operation.name"] = operation
        for attribute in required:
            if attribute.key != "gen_ai.operation.name":
                without = {key: value for key, value in complete.items() if key != attribute.key}
                found = check([SpanRecord(f"{operation} x", signal.kind, without, **IDS)])
                assert ("official-missing-required", attribute.key) in [
                    (item.rule, item.attribute) for item in found
                ]
