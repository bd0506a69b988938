# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""``runrecord check`` on long input: progress on a terminal, none in a pipe, and memory that does not grow."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runrecord.semconv import SCHEMA_URL

COMMAND = [sys.executable, "-c", "from runrecord.cli.main import main; main()", "check"]
ENVIRONMENT = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some megabytes of spans that are nobody's business."""
    path = tmp_path_factory.mktemp("long") / "traces.bin"
    with path.open("wb") as file:
        for number in range(1, 41):
            request = ExportTraceServiceRequest()
            scope = request.resource_spans.add().scope_spans.add(schema_url=SCHEMA_URL)
            for index in range(1, 301):
                span = scope.spans.add(name="GET /", start_time_unix_nano=1, end_time_unix_nano=2)
                span.trace_id, span.span_id = number.to_bytes(16, "big"), index.to_bytes(8, "big")
                span.attributes.add(key="http.route").value.string_value = "/" * 400
            body = request.SerializeToString()
            file.write(len(body).to_bytes(4, "big") + body)
    return path


def test_progress_on_a_terminal(long: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, str(long)], stdout=subprocess.PIPE, stderr=theirs, env=ENVIRONMENT, close_fds=True
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # what Linux says at the end of a terminal
            break
        if not part:
            break
        shown += part
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"MB" in shown
    assert b"12,000 records checked" in out
    assert b"MB" not in out


def test_no_progress_in_a_pipe(long: Path) -> None:
    done = subprocess.run(
        [*COMMAND, str(long)], capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
