# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The collector that the tests build: it starts, takes OTLP, and says what is wrong with a configuration."""

import httpx2
import pytest
from otelcol import BUILD_SECONDS, Collector, collector_program, validate

pytestmark = [pytest.mark.go, pytest.mark.timeout(BUILD_SECONDS)]

CONFIG = {
    "receivers": {"otlp": {"protocols": {"grpc": {}, "http": {}}}},
    "processors": {"redaction": {"allow_all_keys": True, "blocked_values": ["secret"]}},
    "exporters": {"file": {}},
    "service": {
        "pipelines": {
            "traces": {"receivers": ["otlp"], "processors": ["redaction"], "exporters": ["file"]},
        }
    },
}
SPAN = {
    "traceId": "11" * 16,
    "spanId": "22" * 8,
    "name": "work",
    "attributes": [{"key": "a", "value": {"stringValue": "a secret"}}],
}


def test_it_redacts_and_writes_what_it_took(tmp_path):
    with Collector.run(collector_program(), CONFIG, tmp_path) as collector:
        body = {"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}
        assert httpx2.post(f"{collector.http}/v1/traces", json=body).status_code == 200
        assert collector.stop() == 0
        [written] = collector.exported()
    [span] = written["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert span["name"] == "work"
    assert {"key": "a", "value": {"stringValue": "a ****"}} in span["attributes"]


def test_a_wrong_configuration_is_explained(tmp_path):
    assert validate(collector_program(), CONFIG, tmp_path) == ""
    wrong = {**CONFIG, "exporters": {"file": {}, "nonsense": {}}}
    assert "nonsense" in validate(collector_program(), wrong, tmp_path)
