# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A corpus of agent spans: serialised export requests in the sizes and mixture that real agent runs have."""

from __future__ import annotations

import json
import random
import sysconfig
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SPANS_PER_REQUEST = 512
SPANS_PER_RUN = 32
DIRTY_SHARE = 0.03
"""Share of the spans that hold something to redact."""
_START = 1_790_000_000_000_000_000


def _text() -> str:
    """Real prose and code: the standard library's own modules, without anything that looks like an address or a number block."""
    library = Path(sysconfig.get_paths()["stdlib"])
    names = (
        "argparse.py",
        "asyncio/base_events.py",
        "dataclasses.py",
        "typing.py",
        "textwrap.py",
        "statistics.py",
    )
    joined = "\n".join((library / name).read_text(encoding="utf-8") for name in names)
    return "".join(" " if character in "@0123456789" else character for character in joined)


def _pair(key: str, value: str | int | bool) -> KeyValue:
    if isinstance(value, bool):
        return KeyValue(key=key, value=AnyValue(bool_value=value))
    if isinstance(value, int):
        return KeyValue(key=key, value=AnyValue(int_value=value))
    return KeyValue(key=key, value=AnyValue(string_value=value))


class Corpus:
    """Makes requests of ``SPANS_PER_REQUEST`` spans, about 3 MB each; the same seed gives the same bytes.

    A run has 32 spans: one run span, 5 steps, 10 inference spans with long messages, 12 tool calls, 4 policy decisions. All but the
    inference spans are governed, so about two thirds of the spans become ledger entries.
    """

    def __init__(self, seed: int = 7, dirty_share: float = DIRTY_SHARE) -> None:
        self._random = random.Random(seed)
        self._text = _text()
        self._dirty_share = dirty_share
        self._runs = 0

    def request(self) -> bytes:
        """One serialised ExportTraceServiceRequest, never the same twice."""
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.extend(
            [_pair("service.name", "bench-agent"), _pair("service.version", "1.0")]
        )
        scope = resource.scope_spans.add()
        scope.scope.name = "runrecord.bench"
        for _ in range(SPANS_PER_REQUEST // SPANS_PER_RUN):
            self._add_run(scope.spans)
        return request.SerializeToString()

    def _content(self, median: int) -> str:
        size = min(20_000, max(200, int(self._random.lognormvariate(0, 0.8) * median)))
        at = self._random.randrange(len(self._text) - size)
        text = self._text[at : at + size]
        if self._random.random() < self._dirty_share:
            text += "\nwrite to ada@mail.example.org"
        return json.dumps([{"role": "user", "parts": [{"type": "text", "content": text}]}])

    def _add_run(self, spans: object) -> None:
        number, self._runs = self._runs, self._runs + 1
        trace_id = self._random.randbytes(16)
        run_id = f"run-{number:08d}-{trace_id.hex()[:8]}"
        root = self._random.randbytes(8)
        kinds = ["step"] * 5 + ["chat"] * 10 + ["tool"] * 12 + ["policy"] * 4
        seq = 1
        for index, kind in (*enumerate(kinds, 1), (0, "run")):  # it ends last
            span: Span = spans.add()  # type: ignore[attr-defined]
            span.trace_id, span.span_id = trace_id, root if kind == "run" else self._random.randbytes(8)
            span.parent_span_id = b"" if kind == "run" else root
            span.kind = Span.SPAN_KIND_CLIENT if kind == "chat" else Span.SPAN_KIND_INTERNAL
            span.start_time_unix_nano = _START + number * 10**9 + index * 10**6
            span.end_time_unix_nano = (
                span.start_time_unix_nano + (len(kinds) + 2 if kind == "run" else 1) * 10**6
            )
            if kind != "chat":
                span.attributes.extend(
                    [
                        _pair("runrecord.run.id", run_id),
                        _pair("runrecord.source.id", "0123456789abcdef"),
                        _pair("runrecord.record.seq", 0 if kind == "run" else seq),
                    ]
                )
                seq += kind != "run"
            getattr(self, f"_{kind}")(span, index)

    def _run(self, span: Span, _index: int) -> None:
        span.name = "invoke_agent bench"
        span.attributes.extend(
            [
                _pair("gen_ai.operation.name", "invoke_agent"),
                _pair("gen_ai.agent.name", "bench"),
                _pair("runrecord.run.state", "completed"),
                _pair("runrecord.run.outcome", "success"),
                _pair("runrecord.run.segment", 0),
                _pair("runrecord.run.records", 22),
            ]
        )

    def _step(self, span: Span, index: int) -> None:
        span.name = "agent_step act"
        span.attributes.extend(
            [_pair("runrecord.step.kind", "act"), _pair("runrecord.step.index", index - 1)]
        )

    def _chat(self, span: Span, _index: int) -> None:
        span.name = "chat model-1"
        span.attributes.extend(
            [
                _pair("gen_ai.operation.name", "chat"),
                _pair("gen_ai.request.model", "model-1"),
                _pair("gen_ai.usage.input_tokens", self._random.randrange(4000)),
                _pair("gen_ai.input.messages", self._content(6000)),
                _pair("gen_ai.output.messages", self._content(1500)),
            ]
        )

    def _tool(self, span: Span, index: int) -> None:
        span.name = "execute_tool search"
        span.attributes.extend(
            [
                _pair("gen_ai.operation.name", "execute_tool"),
                _pair("gen_ai.tool.name", "search"),
                _pair("gen_ai.tool.call.id", f"call-{index}"),
                _pair("runrecord.side_effect.type", "read"),
                _pair("runrecord.arguments.digest", "hmac-sha256:" + self._random.randbytes(32).hex()),
                _pair("gen_ai.tool.call.result", self._content(2500)),
            ]
        )

    def _policy(self, span: Span, index: int) -> None:
        span.name = "policy_decision refunds"
        span.attributes.extend(
            [
                _pair("runrecord.policy.id", "refunds"),
                _pair("runrecord.decision.id", self._random.randbytes(8).hex()),
                _pair("runrecord.decision.outcome", "allow"),
                _pair("runrecord.subject.type", "tool_call"),
                _pair("runrecord.subject.id", f"call-{index}"),
            ]
        )
