# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""How fast telemetry is checked, against parsing the same bytes and doing nothing else, and in how much memory."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from runrecord.semconv import SCHEMA_URL
from runrecord.semconv.conformance import Checker, records_of

SPANS_PER_RUN = 32
RUNS_PER_REQUEST = 16
_START = 1_800_000_000_000_000_000
_KINDS = ["run"] + ["step"] * 5 + ["chat"] * 10 + ["tool"] * 12 + ["policy"] * 4


@dataclass(frozen=True)
class Figures:
    """Spans per second of CPU of each stage, and the peak memory of the command in MB at two sizes."""

    spans: int
    bytes_per_span: float
    rates: dict[str, float]
    small: tuple[int, float]
    large: tuple[int, float]


def _value(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=str(value))


def _facts(kind: str, index: int, run: str, rng: random.Random) -> tuple[str, dict[str, object]]:
    """Name and attributes of a span that keeps the conventions."""
    inside: dict[str, object] = {"runrecord.run.id": run, "runrecord.step.index": (index - 1) % 5}
    if kind == "chat":
        facts = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "model-1",
            "gen_ai.usage.input_tokens": rng.randrange(4000),
            "gen_ai.usage.output_tokens": rng.randrange(900),
        }
        return "chat model-1", {**inside, **facts}
    numbered = [other for other in range(len(_KINDS)) if _KINDS[other] != "chat"].index(index)
    own = {"runrecord.source.id": "0123456789abcdef", "runrecord.record.seq": numbered}
    if kind == "run":
        facts = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "bench",
            "runrecord.run.state": "completed",
            "runrecord.run.outcome": "success",
            "runrecord.run.segment": 0,
            "runrecord.run.records": 22,
        }
        return "invoke_agent bench", {"runrecord.run.id": run, **own, **facts}
    digest = "hmac-sha256:" + rng.randbytes(32).hex()
    if kind == "step":
        facts = {"runrecord.step.kind": "act", "runrecord.step.name": "settle"}
        return "agent_step act", {**inside, **own, **facts}
    if kind == "tool":
        facts = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "search",
            "gen_ai.tool.call.id": f"call-{index}",
            "gen_ai.agent.name": "bench",
            "runrecord.side_effect.type": "read",
            "runrecord.tool.read_only": True,
            "runrecord.arguments.digest": digest,
            "runrecord.result.digest": digest,
        }
        return "execute_tool search", {**inside, **own, **facts}
    facts = {
        "runrecord.policy.id": "refunds",
        "runrecord.policy.version": "14",
        "runrecord.decision.id": rng.randbytes(8).hex(),
        "runrecord.decision.outcome": "allow",
        "runrecord.subject.type": "tool_call",
        "runrecord.subject.id": f"call-{index}",
        "runrecord.subject.digest": digest,
    }
    return "policy_decision refunds", {**inside, **own, **facts}


def requests(spans: int, seed: int = 7) -> Iterator[bytes]:
    """Serialised requests of 512 spans each, of runs that conform; the same seed gives the same bytes."""
    rng = random.Random(seed)
    for first in range(0, spans, SPANS_PER_RUN * RUNS_PER_REQUEST):
        request = ExportTraceServiceRequest()
        scope = request.resource_spans.add().scope_spans.add(schema_url=SCHEMA_URL)
        for number in range(first, first + SPANS_PER_RUN * RUNS_PER_REQUEST, SPANS_PER_RUN):
            trace, root, run = rng.randbytes(16), rng.randbytes(8), f"run-{number:08d}"
            for index, kind in enumerate(_KINDS):
                name, facts = _facts(kind, index, run, rng)
                start = _START + number * 10**6 + index
                scope.spans.add(
                    name=name,
                    trace_id=trace,
                    span_id=root if kind == "run" else rng.randbytes(8),
                    parent_span_id=b"" if kind == "run" else root,
                    kind=Span.SPAN_KIND_CLIENT if kind == "chat" else Span.SPAN_KIND_INTERNAL,
                    start_time_unix_nano=start,
                    end_time_unix_nano=start + 1000,
                    attributes=[KeyValue(key=key, value=_value(value)) for key, value in facts.items()],
                )
        yield request.SerializeToString()


def _parse(bodies: list[bytes]) -> None:
    for body in bodies:
        ExportTraceServiceRequest.FromString(body)


def _read(bodies: list[bytes]) -> None:
    for body in bodies:
        for _ in records_of(ExportTraceServiceRequest.FromString(body)):
            pass


def _check(bodies: list[bytes]) -> None:
    checker = Checker()
    for body in bodies:
        for record in records_of(ExportTraceServiceRequest.FromString(body)):
            assert not checker.add(record)
    assert not list(checker.finish())


STAGES: dict[str, Callable[[list[bytes]], None]] = {
    "parse with protobuf (the limit)": _parse,
    "parse, and make records of it": _read,
    "parse, make records, check them": _check,
}


def _run(path: Path) -> tuple[float, float]:
    """Run the command on a file; return its seconds of CPU and its peak memory in MB."""
    command = [sys.executable, "-c", "from runrecord.cli.main import main; main()", "check", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measure(rounds: int, spans: int) -> Figures:
    """Measure every stage on the same bytes, and the command on a tenth of them and on all."""
    bodies = list(requests(spans))
    total = len(bodies) * SPANS_PER_RUN * RUNS_PER_REQUEST
    rates: dict[str, float] = {}
    for title, stage in STAGES.items():
        seconds = []
        for _ in range(rounds):
            begun = time.process_time()
            stage(bodies)
            seconds.append(time.process_time() - begun)
        rates[title] = total / statistics.median(seconds)
    with tempfile.TemporaryDirectory(prefix="runrecord-bench-") as directory:
        sizes: list[tuple[int, float, float]] = []
        for part in (bodies[: len(bodies) // 10], bodies):
            path = Path(directory) / "requests.bin"
            with path.open("wb") as file:
                for body in part:
                    file.write(len(body).to_bytes(4, "big") + body)
            cpu, memory = _run(path)
            sizes.append((len(part) * SPANS_PER_RUN * RUNS_PER_REQUEST, cpu, memory))
    (few, cpu_few, memory_few), (many, cpu_many, memory_many) = sizes
    rates["runrecord check FILE, without its start"] = (many - few) / (cpu_many - cpu_few)
    return Figures(total, sum(map(len, bodies)) / total, rates, (few, memory_few), (many, memory_many))
