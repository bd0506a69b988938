# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the session `deploy` checks: Kubernetes' own schemas, the linter of container files, and Rotel with our processor in it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import debian
import httpx2
import kubernetes_validate
import pytest
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otelcol import free_port
from refund_story import Receiver

DEPLOY = Path(__file__).parents[2] / "deploy"
EMAIL = "ada@mail.example.org"


@pytest.mark.parametrize("version", ["1.29", "1.37"])
@pytest.mark.parametrize("name", ["gateway", "sidecar"])
def test_kubernetes_accepts_the_manifests(name, version):
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes" / f"{name}.yaml").read_text()))
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)
        broken = {**document, "spec": {**document.get("spec", {}), "nonsense": 1}}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(broken, version, strict=True)


def test_the_linter_of_container_files_is_content():
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), str(DEPLOY / "container" / "Containerfile")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def libpython():
    """The directory of the shared library that Rotel's program is linked with: of this Python, or of Debian's package."""
    name, own = "libpython3.11.so.1.0", Path(sysconfig.get_config_var("LIBDIR"))
    if (own / name).exists():
        return str(own)
    return str(debian.unpacked("libpython3.11") / "usr" / "lib" / "x86_64-linux-gnu")


def rotel(processor, backend, directory, http):
    """Start Rotel with our processor for traces and logs."""
    import rotel as package

    program = Path(package.__file__).with_name("rotel-agent")
    program.chmod(0o755)
    roots = [str(Path(path)) for path in sys.path if path and Path(path).is_dir()]
    site = sysconfig.get_paths()["purelib"]
    command = [
        program,
        "start",
        "--otlp-grpc-endpoint",
        f"127.0.0.1:{free_port()}",
        "--otlp-http-endpoint",
        http,
        "--exporter",
        "otlp",
    ]
    command += [
        "--otlp-exporter-protocol",
        "http",
        "--otlp-exporter-endpoint",
        backend,
        "--otlp-exporter-compression",
        "none",
    ]
    command += ["--disable-batching", "--otlp-with-trace-processor", processor, "--otlp-with-logs-processor", processor]  # fmt: skip
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([site, *(r for r in roots if "/lib/python3" not in r)]),
        "LD_LIBRARY_PATH": libpython(),
    }
    with (directory / "rotel.log").open("wb") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def request():
    made = ExportTraceServiceRequest()
    part = made.resource_spans.add()
    part.resource.attributes.add(key="who").value.string_value = EMAIL
    scope = part.scope_spans.add()
    scope.scope.name = EMAIL
    span = scope.spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name=EMAIL, start_time_unix_nano=1)
    span.attributes.add(key="text").value.string_value = f"write to {EMAIL}"
    span.attributes.add(key="bytes").value.bytes_value = EMAIL.encode()
    span.attributes.add(key="list").value.array_value.values.add().string_value = EMAIL
    inner = span.attributes.add(key="map").value.kvlist_value.values.add(key="k")
    inner.value.array_value.values.add().string_value = EMAIL
    span.attributes.add(key="number").value.int_value = 7
    span.attributes.add(key="kept").value.string_value = "as it is"
    span.events.add(name=EMAIL).attributes.add(key="x").value.string_value = EMAIL
    span.links.add(trace_id=b"u" * 16, span_id=b"v" * 8).attributes.add(key="x").value.string_value = EMAIL
    span.status.message = EMAIL
    return made


def post(url, message, process, log):
    """Post until Rotel listens."""
    headers = {"content-type": "application/x-protobuf"}
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            return httpx2.post(url, content=message.SerializeToString(), headers=headers).raise_for_status()
        except httpx2.TransportError:
            continue
    pytest.fail(log.read_text())
    return None


@pytest.mark.debian
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="Rotel's wheel has Python 3.11 in it")
def test_rotel_redacts_with_our_processor(tmp_path):
    processor = str(DEPLOY / "rotel" / "runrecord_rotel.py")
    http = f"127.0.0.1:{free_port()}"
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=1).body.string_value = EMAIL
    with Receiver().serving() as backend:
        process = rotel(processor, backend.endpoint, tmp_path, http)
        try:
            post(f"http://{http}/v1/traces", request(), process, tmp_path / "rotel.log")
            while not backend.bodies:
                assert process.poll() is None, (tmp_path / "rotel.log").read_text()
            post(f"http://{http}/v1/logs", logs, process, tmp_path / "rotel.log")
        finally:
            process.terminate()
            process.wait(30)
        [span] = backend.spans
    assert EMAIL.encode() not in b"".join(backend.bodies)
    found = {pair.key: pair.value for pair in span.attributes}
    assert found["text"].string_value == "write to [EMAIL]"
    assert found["list"].array_value.values[0].string_value == "[EMAIL]"
    assert found["map"].kvlist_value.values[0].value.array_value.values[0].string_value == "[EMAIL]"
    assert (found["number"].int_value, found["kept"].string_value) == (7, "as it is")
    assert (span.name, span.status.message, span.events[0].name) == ("[EMAIL]", "[EMAIL]", "[EMAIL]")
