# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The alerts and dashboards of deploy/, in a real Prometheus that scrapes a real gateway."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path

import debian
import httpx2
import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = sorted((DEPLOY / "prometheus").glob("*-alerts.yaml"))
VARIABLES = {"$window": "1m", "$instance": ".*", "$agent": ".*"}
_NAME = re.compile(r"\b(?:runrecord|otelcol)_\w+")


def queries(dashboard):
    for panel in json.loads((DEPLOY / "grafana" / f"{dashboard}.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            yield query


def alerts(file):
    return [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.stem)
def test_each_alert_is_tested_firing_and_quiet(file):
    tested = [
        (re.search(r'alertname="(\w+)"', each["expr"])[1], bool(each["exp_samples"]))
        for case in yaml.safe_load(file.with_suffix(".test.yaml").read_text())["tests"]
        for each in case["promql_expr_test"]
    ]
    assert sorted(tested) == sorted(
        (rule["alert"], fires) for rule in alerts(file) for fires in (True, False)
    )


@pytest.mark.debian
@pytest.mark.parametrize("file", RULES, ids=lambda file: file.stem)
def test_the_alerts_fire_when_they_should(file):
    promtool = debian.program("prometheus", "usr/bin/promtool")
    done = subprocess.run(
        [promtool, "test", "rules", file.with_suffix(".test.yaml").name],
        cwd=file.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


class Prometheus:
    """A real server on a loopback port."""

    def __init__(self, directory, target):
        program = debian.program("prometheus", "usr/bin/prometheus")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}/api/v1"
        config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
        config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        config["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in config["rule_files"]]
        [job] = config["scrape_configs"]
        job["static_configs"] = [{"targets": [target]}]
        (directory / "prometheus.yaml").write_text(yaml.safe_dump(config))
        self.log = directory / "prometheus.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    program,
                    f"--config.file={directory / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={directory / 'data'}",
                    f"--web.listen-address={self.url.split('/')[2]}",
                ],
                stderr=log,
                stdout=log,
            )

    def get(self, path, **parameters):
        try:
            answer = httpx2.get(f"{self.url}/{path}", params=parameters)
        except httpx2.TransportError:
            assert self.process.poll() is None, self.log.read_text()
            return {}
        # While it starts it listens already, and answers each question with 503.
        return {} if answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE else answer.json()

    def result(self, query):
        answer = self.get("query", query=query)
        assert answer.get("status", "success") == "success", (query, answer)
        return answer.get("data", {}).get("result", [])

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def prometheus(tmp_path):
    """Start servers that scrape a target; they are stopped at the end."""
    started = []

    def start(target):
        started.append(Prometheus(tmp_path, target))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.mark.debian
def test_a_prometheus_that_scrapes_a_gateway_evaluates_every_alert_and_every_graph(
    run_gateway, sink, requests, prometheus, poll
):
    gateway = run_gateway(sink.url)
    server = prometheus(gateway.metrics.split("/")[2])
    gateway.post(requests.traces(3))
    gateway.post(requests.logs(), "/v1/logs")
    gateway.post(requests.metrics(), "/v1/metrics")
    poll(lambda: server.result("runrecord_ledger_entries == 4"))

    def rules():
        groups = server.get("rules").get("data", {}).get("groups", [])
        found = [rule for group in groups for rule in group["rules"]]
        return found if found and all(rule["health"] != "unknown" for rule in found) else None

    evaluated = poll(rules)
    assert {rule["name"]: rule["health"] for rule in evaluated} == {
        rule["alert"]: "ok" for file in RULES for rule in alerts(file)
    }
    assert [rule["name"] for rule in evaluated if rule["state"] == "firing"] == []
    for query in (*queries("gateway"), *queries("agents")):
        server.result(query)
    seen = set(_NAME.findall(httpx2.get(gateway.metrics).text))
    for query in [*queries("gateway"), *(rule["expr"] for rule in alerts(RULES[1]))]:
        assert {name for name in _NAME.findall(query) if not name.endswith("_")} <= seen, query
    drawn = [query for query in queries("gateway") if "quantile" not in query]
    poll(lambda: server.result(drawn[0]))
    with_values = {query for query in drawn if server.result(query)}
    assert {query for query in drawn if "accepted_spans" in query or "process" in query} <= with_values
