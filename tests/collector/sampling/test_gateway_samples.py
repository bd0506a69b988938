# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Tail sampling in a whole gateway: what the back end gets, what the ledger gets, and what a restart changes."""

from __future__ import annotations

import pytest

from runrecord.collector import ConfigError
from runrecord.collector.config_file import parse_config


def sampling(settings, sink, *, percentage=0, on=True, wait="1h"):
    config = settings(sink.url)
    if on:
        config["processors"]["tail_sampling"] = {"sampling_percentage": percentage, "decision_wait": wait}
        config["service"]["pipelines"]["traces"]["processors"] = ["redaction", "tail_sampling"]
    return config


def spans(requests, run, trace, **facts):
    request = requests.traces(2, run=run)
    for number, span in enumerate(request.resource_spans[0].scope_spans[0].spans):
        span.trace_id, span.span_id, span.parent_span_id = (
            trace * 16,
            bytes([trace[0], number + 1]) * 4,
            b"p" * 8,
        )
        span.name = f"{run} {number}"
    last = request.resource_spans[0].scope_spans[0].spans[1]
    for key, value in facts.items():
        last.attributes.add(key="runrecord." + key.replace("__", ".")).value.string_value = value
    return request


def names(sink):
    return sorted(span.name for span in sink.spans())


def test_a_back_end_gets_the_runs_that_matter_and_the_ledger_gets_all(  # noqa: PLR0917
    run_gateway, settings, sink, requests, poll, sealed
):
    gateway = run_gateway(config=sampling(settings, sink))
    gateway.post(spans(requests, "boring", b"\x01"))
    gateway.post(spans(requests, "denied", b"\x02"))
    gateway.post(requests.logs(), "/v1/logs")
    poll(lambda: gateway.metric("runrecord_sampling_waiting_spans") == 4)
    poll(lambda: len(sealed()) == 4)
    assert sink.spans() == []
    gateway.post(spans(requests, "denied", b"\x02", decision__outcome="deny"))
    poll(lambda: len(sink.spans()) == 4)
    assert names(sink) == ["denied 0", "denied 0", "denied 1", "denied 1"]
    poll(lambda: gateway.metric('runrecord_sampling_spans_total{decision="kept"}') == 4)
    assert [path for path, _, _ in sink.requests if path == "/v1/logs"]
    part = gateway.part("tail_sampling")
    assert (part["status"], part["waiting_spans"]) == ("ok", 2)
    assert gateway.part("otlp_http/backend traces sampled")["status"] == "ok"


def test_a_run_that_ends_with_nothing_to_tell_is_dropped(run_gateway, settings, sink, requests, poll):
    gateway = run_gateway(config=sampling(settings, sink, wait="1ms"))
    request = spans(requests, "boring", b"\x01", run__state="completed", run__outcome="success")
    request.resource_spans[0].scope_spans[0].spans[1].parent_span_id = b""
    gateway.post(request)
    poll(lambda: gateway.metric('runrecord_sampling_spans_total{decision="dropped"}') == 2)
    assert sink.spans() == []


def test_what_waits_survives_a_restart(run_gateway, settings, sink, requests, poll):
    first = run_gateway(config=sampling(settings, sink))
    first.post(spans(requests, "asked", b"\x01"))
    poll(lambda: first.metric("runrecord_sampling_waiting_spans") == 2)
    first.stop()
    second = run_gateway(config=sampling(settings, sink))
    second.post(spans(requests, "asked", b"\x01", approval__id="a1"))
    poll(lambda: len(sink.spans()) == 4)


def test_what_was_kept_and_what_waits_is_delivered_after_sampling_is_taken_out(
    run_gateway, settings, sink, requests, poll
):
    first = run_gateway(config=sampling(settings, sink))
    sink.status = 503
    first.post(spans(requests, "kept", b"\x01", approval__id="a1"))
    first.post(spans(requests, "waits", b"\x02"))
    poll(lambda: first.metric("runrecord_sampling_waiting_spans") == 2)
    poll(lambda: sink.attempts)
    first.stop()
    sink.status = 200
    second = run_gateway(config=sampling(settings, sink, on=False))
    second.post(spans(requests, "new", b"\x03"))
    poll(lambda: len(set(names(sink))) == 6)


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (
            "{traces: {processors: [redaction, tail_sampling], exporters: [ledger]}}",
            "not configured under processors",
        ),
        ("{logs: {processors: [redaction, tail_sampling], exporters: [ledger]}}", "for traces only"),
    ],
)
def test_what_does_not_fit_together(pipeline, said):
    with pytest.raises(ConfigError, match=said):
        parse_config(f"exporters: {{ledger: {{}}}}\nservice: {{pipelines: {pipeline}}}")


def test_shares_and_times_have_limits():
    for wrong in (
        "{sampling_percentage: 101}",
        "{decision_wait: 0s}",
        "{keep: [everything]}",
        "{max_waiting_mib: 0}",
    ):
        with pytest.raises(ConfigError, match=r"processors\.tail_sampling"):
            parse_config(f"processors: {{tail_sampling: {wrong}}}")
