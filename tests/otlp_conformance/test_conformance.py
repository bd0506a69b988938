# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway keeps every rule of OTLP; so much of them keeps a stock collector; and the suite sees what does not."""

import http.server
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from otelcol import BUILD_SECONDS, Collector, collector_program

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "otlp-conformance.md"
LIMIT = 2 << 20
SIGNALS = ("traces", "logs", "metrics")
RUNNER = "import typer; from runrecord.cli.gateway import gateway; typer.run(gateway)"
LIMITS = {"grpc": {"max_recv_msg_size_mib": LIMIT >> 20}, "http": {"max_request_body_size": LIMIT}}


def suite(report, *arguments):
    """Run the command, as somebody would who has another receiver."""
    command = [sys.executable, "-m", "tests.otlp_conformance", *arguments, "--json", str(report)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)
    assert report.exists(), done.stderr
    return done, json.loads(report.read_text())


@contextmanager
def gateway(directory, **changes):
    """Run the real command; yields the addresses of HTTP and gRPC."""
    directory.mkdir()
    any_port = {name: {"endpoint": "127.0.0.1:0", **limit} for name, limit in LIMITS.items()}
    config = {
        "receivers": {"otlp": {"protocols": any_port}},
        "exporters": {"otlp_http/away": {"endpoint": "http://127.0.0.1:9"}},
        "service": {
            "state_dir": str(directory / "state"),
            "pipelines": {signal: {"exporters": ["otlp_http/away"]} for signal in SIGNALS},
            "telemetry": {"metrics": None, "health": None},
            "drain_timeout": 0,
            **changes,
        },
    }
    file = directory / "runrecord.yaml"
    file.write_text(json.dumps(config))
    environment = {**os.environ, "RUNRECORD_STATE_DIR": str(directory / "home"), "COLUMNS": "200"}
    out = directory / "out"
    with out.open("w") as target:
        process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, "--config", str(file)],
            stdout=target,
            stderr=target,
            env=environment,
        )
    try:
        deadline = time.monotonic() + 60
        while "is ready" not in out.read_text():
            assert process.poll() is None, out.read_text()
            assert time.monotonic() < deadline, out.read_text()
            time.sleep(0.05)
        said = out.read_text()
        http = re.search(r"OTLP over HTTP +(http://\S+)", said)[1]
        yield http, re.search(r"OTLP over gRPC +(\S+)", said)[1]
    finally:
        process.terminate()
        process.wait(30)


def fill(url):
    """Send until the gateway takes nothing more, large or small: its back end is away, and its intake log is small."""
    for size in (200_000, 5_000, 10):
        span = {"traceId": "11" * 16, "spanId": "22" * 8, "name": "x" * size}
        body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
        request = urllib.request.Request(f"{url}/v1/traces", body, {"Content-Type": "application/json"})
        status = 200
        while status == 200:
            try:
                with urllib.request.urlopen(request, timeout=30):
                    pass
            except urllib.error.HTTPError as error:
                with error:
                    status = error.code
        assert status == 503


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """The results of the gateway."""
    root = tmp_path_factory.mktemp("ours")
    with gateway(root / "a") as (http, grpc), gateway(root / "b", intake={"max_size_mib": 1}) as full:
        fill(full[0])
        overloaded = ("--overloaded-http", full[0], "--overloaded-grpc", full[1])
        where = ("--http", http, "--grpc", grpc, "--limit", str(LIMIT))
        return suite(root / "report.json", *where, *overloaded)


@pytest.fixture(scope="module")
def collectors(tmp_path_factory):
    """The results of the collector."""
    root, program = tmp_path_factory.mktemp("otelcol"), collector_program()
    plain = {
        "receivers": {"otlp": {"protocols": LIMITS}},
        "exporters": {"nop": {}},
        "service": {
            "pipelines": {signal: {"receivers": ["otlp"], "exporters": ["nop"]} for signal in SIGNALS}
        },
    }
    pipeline = {"receivers": ["otlp"], "processors": ["memory_limiter"], "exporters": ["nop"]}
    limited = {
        **plain,
        "processors": {"memory_limiter": {"check_interval": "10ms", "limit_mib": 1}},
        "service": {"pipelines": dict.fromkeys(SIGNALS, pipeline)},
    }
    with (
        Collector.run(program, plain, root / "a") as collector,
        Collector.run(program, limited, root / "b") as full,
    ):
        overloaded = ("--overloaded-http", full.http, "--overloaded-grpc", full.grpc)
        where = ("--http", collector.http, "--grpc", collector.grpc, "--limit", str(LIMIT))
        return suite(root / "report.json", *where, *overloaded)


def test_the_gateway_keeps_every_rule(ours):
    done, results = ours
    assert [each for each in results if each["outcome"] != "pass"] == []
    assert len(results) >= 80
    assert done.returncode == 0


@pytest.mark.go
@pytest.mark.timeout(BUILD_SECONDS)
def test_the_page_says_what_the_tests_saw(ours, collectors):
    script = (
        "import json, sys; from tests.otlp_conformance.model import Result; from tests.otlp_conformance.table import render;"
        "print(render({k: [Result(**r) for r in v] for k, v in json.load(sys.stdin).items()}), end='')"
    )
    versions = {"Runrecord": ours[1], "otelcol 0.155": collectors[1]}
    page = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        input=json.dumps(versions),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if os.environ.get("WRITE_CONFORMANCE"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page, "write it anew: WRITE_CONFORMANCE=1 pytest tests/otlp_conformance"


class Careless(http.server.BaseHTTPRequestHandler):
    """A receiver as one finds them: every request is fine, every answer is text."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while int(self.rfile.readline(), 16):
                self.rfile.readline()
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


def test_the_suite_sees_a_receiver_that_keeps_few_rules(tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Careless) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        done, results = suite(tmp_path / "report.json", "--http", url, "--limit", "100000")
        server.shutdown()
    outcomes = {each["name"]: each["outcome"] for each in results}
    assert done.returncode == 1
    assert not any(name.startswith("grpc.") for name in outcomes)
    assert outcomes["http.full-success.status[traces-json]"] == "pass"
    broken = ("full-success.message", "full-success.content-type", "bad-data", "size.above", "refused.status")
    for name, outcome in outcomes.items():
        if name.startswith(tuple(f"http.{each}" for each in broken)):
            assert outcome == "fail", name
