# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""docs/migration.md names every attribute of the other conventions, as their released packages have them, and none of ours that is not there."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runrecord.instrumentation import MemoryContextStore, Recorder
from runrecord.processors.compat import openinference
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import TenantKey
from runrecord.semconv.registry import load_registry

PAGE = (Path(__file__).resolve().parents[2] / "docs/migration.md").read_text()
# The title of a section, the module with the constants, the class that holds them.
CONVENTIONS = [
    ("OpenInference", "openinference/semconv/trace/__init__.py", "SpanAttributes"),
    ("OpenLLMetry (Traceloop)", "opentelemetry/semconv_ai/__init__.py", "SpanAttributes"),
    ("Langfuse", "langfuse/_client/attributes.py", "LangfuseOtelSpanAttributes"),
]
_NAME = re.compile(r"`([^`]+)`")


def constants(file: str, holder: str) -> set[str]:
    """The texts that a class of an installed package assigns; read, not imported, since one of them starts a client."""
    root, inside = file.split("/", 1)
    found = importlib.util.find_spec(root)
    places = (found.submodule_search_locations or ()) if found is not None else ()
    paths = [path for place in places if (path := Path(place) / inside).exists()]
    if not paths:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"the package with {file} is not installed")
    (path,) = paths
    (body,) = [
        node.body
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name == holder
    ]
    values = [node.value for node in body if isinstance(node, ast.Assign)]
    return {str(value.value) for value in values if isinstance(value, ast.Constant)}


def rows(title: str) -> list[tuple[list[str], list[str], str]]:
    """The first table of a section: the names in its first two columns, and the text of the third."""
    section = PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    table = section.split("| theirs |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return [(_NAME.findall(theirs), _NAME.findall(ours), text) for theirs, ours, text in cells]


@pytest.mark.parametrize(("title", "file", "holder"), CONVENTIONS)
def test_every_name_of_theirs_is_real_and_none_is_left_out(title: str, file: str, holder: str) -> None:
    real = constants(file, holder)
    named = [name for theirs, _, _ in rows(title) for name in theirs]
    assert len(named) == len(set(named))
    assert [name for name in named if not any(fnmatchcase(one, name) for one in real)] == []
    official = set(load_registry().attributes)
    assert sorted(one for one in real - official if not any(fnmatchcase(one, name) for name in named)) == []


@pytest.mark.parametrize("title", [title for title, _, _ in CONVENTIONS])
def test_every_name_of_ours_is_in_the_registry(title: str) -> None:
    known = set(load_registry().attributes)
    named = {
        name
        for _, ours, text in rows(title)
        for name in (*ours, *_NAME.findall(text))
        if name.startswith(("runrecord.", "gen_ai."))
    }
    assert sorted(named - known) == []


def exported(
    provider: TracerProvider, spans: InMemorySpanExporter, code: str, **names: Any
) -> dict[str, dict[str, str]]:
    """Run a code block of the page; the text attributes of its spans as they leave, by the name of the span."""
    spans.clear()
    arguments = {"invoice": "inv-7001", "amount": 120.0}
    exec(  # the page's own code
        code,
        {
            "json": json,
            "thread": "thread-7",
            "call_id": "call-1",
            "arguments": arguments,
            "pay": lambda **_: {"refund": "r"},
            **names,
        },
    )
    provider.force_flush()
    body = openinference(Signal.TRACES, encode_spans(spans.get_finished_spans()).SerializeToString())
    return {
        span.name: {pair.key: pair.value.string_value for pair in span.attributes}
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }


def test_the_worked_example_keeps_what_the_user_interface_shows() -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    recorder = Recorder(tracer_provider=provider, store=MemoryContextStore(), tenant_key=TenantKey(bytes(32)))
    before, after = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    old = exported(provider, spans, before, tracer=provider.get_tracer("app"))["create_refund"]
    new = exported(provider, spans, after, recorder=recorder)
    call = new["execute_tool create_refund"]
    assert call["openinference.span.kind"] == old["openinference.span.kind"]
    assert call["gen_ai.tool.name"] == old["tool.name"]
    assert call["session.id"] == old["session.id"]
    kinds = {name: span["openinference.span.kind"] for name, span in new.items()}
    assert kinds["policy_decision refunds"] == kinds["approval_decision create_refund"] == "GUARDRAIL"
    assert (
        call["runrecord.arguments.digest"]
        == new["approval_decision create_refund"]["runrecord.approval.subject.digest"]
    )
