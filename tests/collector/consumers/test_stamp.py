# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`stamp_ledger`: what is forwarded says where the ledger holds it, and waits until it does."""

# ruff: noqa: PLR0917 - fixtures are arguments

from __future__ import annotations

import pytest

from runrecord.collector.config_file import parse_config
from runrecord.collector.errors import ConfigError
from runrecord.ledger.administration import administer
from runrecord.ledger.erasure import Target, encode_targets
from runrecord.ledger.errors import LedgerFull
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.tlog import leaf_hash

BACKEND = "otlp_http/backend"


@pytest.fixture
def stamping(settings, sink):
    """Return a configuration in which the back end gets stamped copies."""
    config = settings(sink.url)
    config["exporters"][BACKEND]["stamp_ledger"] = True
    return config


def stamps(sink):
    """Read by span id what is stamped: origin, index and leaf hash."""
    return {
        span.span_id.hex(): tuple(
            pair.value.int_value or pair.value.string_value or 0
            for name in ("origin", "index", "leaf_hash")
            for pair in span.attributes
            if pair.key == f"runrecord.ledger.{name}"
        )
        for span in sink.spans()
    }


def test_every_governed_span_says_where_it_is_sealed_and_no_other_does(
    run_gateway, stamping, sink, requests, poll, tmp_path
):
    request = requests.traces(20)
    spans = request.resource_spans[0].scope_spans[0].spans
    spans.add(trace_id=spans[0].trace_id, span_id=b"ordinary", name="GET /")
    for forged in (spans[0], spans[20]):
        forged.attributes.add(key="runrecord.ledger.index").value.int_value = 77
    gateway = run_gateway(config=stamping)
    gateway.post(request)
    poll(lambda: len(sink.spans()) == 21)
    found = stamps(sink)
    assert found.pop(b"ordinary".hex()) == ()
    gateway.stop()
    with Ledger(tmp_path / "ledger", read_only=True) as ledger:
        expected = {
            f"{number:016x}": ("test/gateway", number, leaf_hash(ledger.log.leaf(number)).hex())
            for number in range(1, 21)  # the first entry is what the resource says of itself
        }
    assert found == expected


def test_a_span_that_is_sent_again_has_the_same_place(run_gateway, stamping, sink, requests, poll):
    gateway = run_gateway(config=stamping)
    for first in (0, 5, 0):
        gateway.post(requests.traces(5, start=first))
    poll(lambda: len(sink.spans()) == 15)
    places = [
        pair.value.int_value
        for span in sink.spans()
        for pair in span.attributes
        if pair.key == "runrecord.ledger.index"
    ]
    assert sorted(places) == sorted(
        [*range(1, 11), *range(1, 6)]
    )  # the first entry is what the resource says of itself


def test_a_span_whose_run_was_erased_before_it_was_forwarded_has_its_place(
    run_gateway, stamping, sink, requests, poll, tmp_path, sealed
):
    sink.status = 503
    gateway = run_gateway(config=stamping)
    gateway.post(requests.traces(3))
    place = tmp_path / "ledger"
    poll(lambda: len(sealed()) == 3)
    gateway.stop()  # the next one stamps anew what it sends again
    targets = encode_targets([Target("run-1")])
    asked = {"scope": "run", "legal_basis": "GDPR Art. 17", "actor": "grace", "targets": targets}
    assert administer(place, "erase", asked)["refused"] == "{}"
    sink.status = 200
    run_gateway(config=stamping)
    poll(lambda: len(sink.spans()) == 3)
    with Ledger(place, read_only=True) as ledger:
        expected = {
            f"{number:016x}": ("test/gateway", number, leaf_hash(ledger.log.leaf(number)).hex())
            for number in range(1, 4)
        }
    assert stamps(sink) == expected


def test_nothing_is_forwarded_before_the_ledger_has_it(
    run_gateway, stamping, sink, requests, poll, monkeypatch
):
    full, append, asked = [True], Ledger.append_entries, []

    def sometimes(self, entries):
        asked.append(len(entries))
        if full:
            raise LedgerFull("no room", "make some")
        return append(self, entries)

    monkeypatch.setattr(Ledger, "append_entries", sometimes)
    gateway = run_gateway(config=stamping)
    gateway.post(requests.traces(3))
    gateway.post(requests.metrics(), "/v1/metrics")
    poll(lambda: len(asked) >= 2)
    assert {path for path, _, _ in sink.requests} <= {"/v1/metrics"}
    full.clear()
    poll(lambda: len(sink.spans()) == 3)
    assert all(len(found) == 3 for found in stamps(sink).values())


def test_a_stamp_without_a_ledger_and_with_kafka_is_refused():
    text = """
exporters: {otlp_http: {endpoint: "http://localhost:1", stamp_ledger: true}}
service: {pipelines: {traces: {exporters: [otlp_http]}}}
"""
    with pytest.raises(ConfigError, match=r"otlp_http\.stamp_ledger: needs a ledger in a pipeline"):
        parse_config(text)
    text = text.replace("{traces", "{logs").replace(
        "service: {", "service: {intake: {kafka: {brokers: ['k:9092'], topic: t}}, "
    )
    with pytest.raises(ConfigError, match=r"stamp_ledger: is not available with service\.intake\.kafka"):
        parse_config(text)
