# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A request that could not be looked at is masked, and still says which records of which run it had."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runrecord.processors.redaction import RedactionPolicy, Redactor
from runrecord.processors.signal import Signal

RUN = "cc03deefea764d29add9a9c0b9d909ce"
POLICY = RedactionPolicy.parse({"limits": {"request_confirms": 1}, "on_error": "mask_all"})
MAILS = "a@b.example c@d.example"


def masked(otlp: SimpleNamespace, **attributes: str) -> dict[str, str]:
    pairs = [(name.replace("__", "."), value) for name, value in attributes.items()]
    body = Redactor(POLICY).redact(Signal.TRACES, otlp.span_request(("note", MAILS), *pairs)).body
    return {pair.key: pair.value.string_value for pair in otlp.span_of(body).attributes}


def test_ids_of_the_recorder_and_words_of_closed_lists_stay(otlp: SimpleNamespace) -> None:
    kept = {
        "runrecord__run__id": RUN,
        "runrecord__source__id": "aa1a3d1f1886b1e9",
        "runrecord__decision__id": "cc03deef-ea76-4d29-add9-a9c0b9d909ce",
        "runrecord__run__root": "sha256:" + "0f" * 32,
        "runrecord__run__state": "suspended",
        "runrecord__decision__outcome": "deny",
        "gen_ai__operation__name": "execute_tool",
    }
    found = masked(otlp, **kept)
    assert {name.replace("__", "."): value for name, value in kept.items()}.items() <= found.items()
    assert found["note"] == "[REDACTED]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("runrecord__run__id", "4111111111111111"),
        ("runrecord__run__id", "run of Ada Lovelace"),
        ("runrecord__run__id", f"{RUN} a@b.example"),
        ("runrecord__source__id", "sk-0f1e2d3c4b5a6978"),
        ("runrecord__run__state", "ada@example.org"),
        ("gen_ai__operation__name", "chat about Ada"),
        ("runrecord__run__root", "sha256:Ada"),
        ("user__id", RUN),
    ],
)
def test_nothing_else_stays(otlp: SimpleNamespace, name: str, value: str) -> None:
    assert masked(otlp, **{name: value})[name.replace("__", ".")] == "[REDACTED]"


def test_what_is_inside_of_a_value_or_outside_of_a_record_does_not_stay(otlp: SimpleNamespace) -> None:
    request = ExportTraceServiceRequest.FromString(otlp.span_request(("note", MAILS)))
    (part,) = request.resource_spans
    part.resource.attributes.add(key="runrecord.run.id").value.string_value = RUN
    nested = part.scope_spans[0].spans[0].attributes.add(key="x").value.kvlist_value.values
    nested.add(key="runrecord.run.id").value.string_value = RUN
    body = Redactor(POLICY).redact(Signal.TRACES, request.SerializeToString()).body
    assert RUN.encode() not in body
