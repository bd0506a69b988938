# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Messages over librdkafka's own mock cluster, with the official instrumentation: who reads which headers."""

import time
from collections.abc import Generator
from typing import Any

import confluent_kafka
import pytest
from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry.instrumentation.confluent_kafka import ConfluentKafkaInstrumentor

from runrecord.instrumentation import propagation
from runrecord.instrumentation.propagation import RemoteRun, remote_run

TOPIC = "approvals"


@pytest.fixture
def port() -> Generator[str, None, None]:
    cluster = confluent_kafka.Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1})
    (broker,) = cluster.list_topics(timeout=30).brokers.values()
    yield str(broker.port)
    cluster.flush(30)


@pytest.fixture(autouse=True)
def _instrumented(telemetry: Any) -> Generator[None, None, None]:
    instrumentor = ConfluentKafkaInstrumentor()
    instrumentor.instrument(tracer_provider=telemetry.tracer_provider)
    yield
    instrumentor.uninstrument()


@pytest.fixture
def inside(recorder: Any) -> Any:
    with recorder.run("agent", run_id="run-1") as run, run.step(index=3) as step:
        yield step


def _produce(servers: str, headers: list[Any] | None = None) -> None:
    producer = confluent_kafka.Producer({"bootstrap.servers": servers})
    given = {} if headers is None else {"headers": headers}
    producer.produce(TOPIC, b"x", **given)
    assert producer.flush(30) == 0


def _consume(port: str, count: int) -> list[list[tuple[str, bytes]]]:
    original = confluent_kafka.Consumer.__mro__[
        1
    ]  # the messages are read by a process without instrumentation
    consumer = original(
        {"bootstrap.servers": f"127.0.0.1:{port}", "group.id": "g", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([TOPIC])
    found: list[list[tuple[str, bytes]]] = []
    deadline = time.monotonic() + 60
    while len(found) < count and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            found.append(message.headers() or [])
    consumer.close()
    return found


def test_an_allowed_cluster_is_told_and_no_other(allow: Any, port: str, inside: Any) -> None:
    allow("127.0.0.1", accept=True)
    _produce(f"127.0.0.1:{port}")
    _produce(f"localhost:{port}")
    _produce(f"localhost:{port},127.0.0.1:{port}")
    by_run = [
        (remote_run(propagation.extract(headers, getter=propagation.HEADERS)), sorted(dict(headers)))
        for headers in _consume(port, 3)
    ]
    assert sorted(by_run, key=lambda item: item[0] is None) == [
        (RemoteRun("run-1", 3), ["baggage", "traceparent"]),
        (None, ["traceparent"]),
        (None, ["traceparent"]),
    ]


def test_a_worker_takes_part_in_the_run_of_a_message(
    allow: Any, port: str, recorder: Any, telemetry: Any
) -> None:
    allow("127.0.0.1", accept=True)
    with recorder.run("agent", run_id="run-1") as run, run.step(index=3):
        _produce(f"127.0.0.1:{port}")
        (headers,) = _consume(port, 1)
        worker = telemetry.recorder(new_source=lambda: "b" * 16)
        part = worker.join(context=propagation.extract(headers, getter=propagation.HEADERS))
        assert part is not None
        part.stop()
    assert (part.run_id, part.index) == ("run-1", 3)
    sent = telemetry.one("approvals send")
    (step,) = [s for s in telemetry.named("agent_step") if "runrecord.run.records" in s.attributes]
    assert step.parent.span_id == sent.context.span_id
    telemetry.check_counters()


def test_headers_that_are_used_for_two_clusters(allow: Any, port: str, inside: Any) -> None:
    allow("127.0.0.1")
    headers: list[Any] = [("mine", b"1")]
    token = otel_context.attach(baggage.set_baggage("k", "v"))
    try:
        _produce(f"127.0.0.1:{port}", headers)
        assert dict(headers)["baggage"] == b"k=v,runrecord.run.id=run-1,runrecord.step.index=3"
        _produce(f"localhost:{port}", headers)
    finally:
        otel_context.detach(token)
    assert not [value for _, value in headers if b"run-1" in value]
    assert len(_consume(port, 2)) == 2
