# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""An app whose back end is away: what it announced is durable before it happens, and the next process sends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from runrecord.exporters import SafeLogExporter, SafeSpanExporter
from runrecord.exporters.intake import IntakeLimits, IntakeLog
from runrecord.exporters.providers import State, sites
from runrecord.exporters.spool import Spool
from runrecord.exporters.spooled import AtOnceProcessor, spool_before
from runrecord.instrumentation import MemoryContextStore, Recorder
from runrecord.ledger import Verdict
from runrecord.ledger.completeness import assess
from runrecord.ledger.records import Record
from runrecord.processors.ledger import project
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import TenantKey

KEY = TenantKey(bytes(32))
AWAY = "http://127.0.0.1:9"  # discard: nobody listens
APP = """
import sys, time
from runrecord.instrumentation import Recorder
with Recorder().run(agent="refund-agent") as run, run.step():
    with run.tool("lookup_order", effect="read"):
        pass
    with run.tool("create_refund", call_id="c1", arguments={"card": "4111 1111 1111 1111"}, effect="pay"):
        print("paid", flush=True)
        time.sleep(60)
"""


def environment(tmp_path: Path, endpoint: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "RUNRECORD_"))}
    return {
        **inherited,
        "OTEL_PYTHON_CONFIGURATOR": "runrecord",
        "OTEL_TRACES_EXPORTER": "otlp_proto_http",
        "OTEL_LOGS_EXPORTER": "otlp_proto_http",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "RUNRECORD_SPOOL": str(tmp_path / "spool"),
        "RUNRECORD_STATE_DIR": str(tmp_path / "state"),
        "RUNRECORD_KEY": "00" * 32,
    }


def start(tmp_path: Path, endpoint: str, code: str) -> subprocess.Popen[str]:
    instrument = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    return subprocess.Popen(
        [instrument, sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(tmp_path, endpoint),
        cwd=tmp_path,
    )


def stored(directory: Path) -> list[tuple[Signal, bytes]]:
    log = IntakeLog(directory, consumers=["otlp"])
    consumer = log.consumer("otlp")
    found = [(record.signal, record.body) for record in consumer.read(max_records=1000)]
    consumer.close()
    log.close()
    return found


def test_a_payment_in_the_middle_of_which_the_process_was_killed_is_known(
    tmp_path: Path, http_receiver: Any
) -> None:
    process = start(tmp_path, AWAY, APP)
    assert process.stdout is not None
    assert process.stdout.readline() == "paid\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    requests = stored(tmp_path / "spool" / "0")
    assert b"4111 1111" not in b"".join(body for _, body in requests)
    entries = [entry for sort, body in requests for entry in project(sort, body, tenant_key=KEY)]
    assert {"run_open", "tool_intent"} <= {entry.kind for entry in entries}
    (intent,) = [entry for entry in entries if entry.kind == "tool_intent"]
    assert (intent.text("runrecord.subject.name"), intent.text("runrecord.subject.id")) == (
        "create_refund",
        "c1",
    )
    found = assess([Record(index, entry) for index, entry in enumerate(entries)])
    assert found.verdict is Verdict.GAPS
    assert any("announced and have no result" in reason.text for reason in found.reasons)
    assert any("opened segment 0 and never closed it" in reason.text for reason in found.reasons)

    later = start(
        tmp_path, http_receiver.endpoint, "pass"
    )  # another process of the app, when the back end is back
    assert later.wait(60) == 0
    if later.stdout is not None:
        later.stdout.close()
    http_receiver.wait_for(lambda receiver: b"runrecord.tool.intent" in receiver.bytes)
    assert stored(tmp_path / "spool" / "0") == []


def providers(spool: Spool, endpoint: str) -> tuple[TracerProvider, LoggerProvider]:
    spans = SafeSpanExporter.otlp_http(endpoint=f"{endpoint}/v1/traces", timeout=1)
    logs = SafeLogExporter.otlp_http(endpoint=f"{endpoint}/v1/logs", timeout=1)
    assert spool_before(spans, spool)
    assert spool_before(logs, spool)
    tracers, loggers = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(spans))
    loggers.add_log_record_processor(AtOnceProcessor(logs, BatchLogRecordProcessor(logs)))
    return tracers, loggers


def test_all_goes_through_the_spool_and_nothing_twice(tmp_path: Path, http_receiver: Any) -> None:
    spool = Spool(tmp_path / "spool")
    tracers, loggers = providers(spool, http_receiver.endpoint)
    assert [site.state for site in sites(loggers, "logs")] == [State.SAFE, State.SAFE]
    recorder = Recorder(
        tracer_provider=tracers, logger_provider=loggers, store=MemoryContextStore(), tenant_key=KEY
    )
    with recorder.run("a") as run:
        run.tool("pay", effect="pay").stop()
    tracers.shutdown()
    loggers.shutdown()
    names = [span.name for span in http_receiver.spans]
    assert sorted(names) == ["execute_tool pay", "invoke_agent a"]
    events = [
        record.event_name
        for request in http_receiver.logs
        for part in request.resource_logs
        for scope in part.scope_logs
        for record in scope.log_records
    ]
    assert sorted(events) == ["runrecord.run.closed", "runrecord.run.opened", "runrecord.tool.intent"]
    assert stored(tmp_path / "spool" / "0") == []


def test_two_processes_have_a_spool_each(tmp_path: Path) -> None:
    one, other = Spool(tmp_path / "spool"), Spool(tmp_path / "spool")
    assert one.store(Signal.LOGS, b"one", 1)
    assert other.store(Signal.LOGS, b"other", 1)
    for spool in (one, other):
        spool.release(0)
    assert [stored(tmp_path / "spool" / name)[0][1] for name in ("0", "1")] == [b"one", b"other"]


def test_a_full_spool_fails_exports_and_says_so_when_there_is_room(
    tmp_path: Path, http_receiver: Any
) -> None:
    spool = Spool(tmp_path / "spool", limits=IntakeLimits(max_bytes=20_000, segment_bytes=5_000))
    results = [spool.store(Signal.TRACES, bytes(3_000), 7) for _ in range(8)]
    assert not all(results)
    assert any(results)
    tracers, loggers = providers(spool, http_receiver.endpoint)
    deadline = time.monotonic() + 30
    while not spool.store(Signal.LOGS, b"", 1):
        assert time.monotonic() < deadline
    http_receiver.wait_for(lambda receiver: b"queue_full" in receiver.bytes)
    for provider in (tracers, loggers):
        provider.shutdown()


def test_what_is_refused_for_good_does_not_hold_up_the_rest(tmp_path: Path, http_receiver: Any) -> None:
    """The back end takes one request of logs under no circumstances: it is given up, which is said, and the others arrive."""
    spool = Spool(tmp_path / "spool")
    tracers, loggers = providers(spool, http_receiver.endpoint)
    assert spool.store(Signal.LOGS, b"\xff", 3)
    deadline = time.monotonic() + 60
    while b"refused" not in http_receiver.bytes:
        assert spool.store(Signal.LOGS, b"", 1)
        assert time.monotonic() < deadline
        spool._stop.wait(0.1)
    tracers.shutdown()
    loggers.shutdown()
    assert stored(tmp_path / "spool" / "0") == []


def test_an_exporter_that_is_not_otlp_is_left_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path / "spool")
    safe = SafeSpanExporter(ConsoleSpanExporter())
    assert not spool_before(safe, spool)
    assert isinstance(safe.inner, ConsoleSpanExporter)
    assert "ConsoleSpanExporter is not an OTLP exporter" in caplog.text
    assert not spool_before(safe, None)
    spool.release(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_fork_takes_a_spool_of_its_own(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from runrecord.exporters.spool import Spool; from runrecord.processors.signal import Signal\n"
        f"spool = Spool(Path({str(tmp_path / 'spool')!r}))\n"
        "assert spool.store(Signal.LOGS, b'parent', 1)\n"
        "pid = os.fork()\n"
        "assert spool.store(Signal.LOGS, b'child' if not pid else b'parent', 1)\n"
        "if not pid: os._exit(0)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0\n"
        "spool.release(0)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", code], check=True)
    assert [body for _, body in stored(tmp_path / "spool" / "0")] == [b"parent", b"parent"]
    assert [body for _, body in stored(tmp_path / "spool" / "1")] == [b"child"]
