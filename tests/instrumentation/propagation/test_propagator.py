# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What goes into a carrier and what comes out of one, by who is on the other side."""

from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagate import extract, get_global_textmap, inject, set_global_textmap
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from runrecord.instrumentation import propagation
from runrecord.instrumentation.propagation import RemoteRun, remote_run

OURS = "runrecord.run.id=run-1,runrecord.step.index=3"


def _sent(tracer: Any, attributes: dict[str, Any], kind: SpanKind = SpanKind.CLIENT) -> dict[str, str]:
    carrier: dict[str, str] = {}
    with tracer.start_as_current_span("GET", kind=kind, attributes=attributes):
        inject(carrier)
    return carrier


@pytest.fixture
def tracer(telemetry: Any) -> Any:
    return telemetry.tracer_provider.get_tracer("test")


@pytest.fixture
def inside(recorder: Any) -> Any:
    with recorder.run("agent", run_id="run-1") as run, run.step(index=3) as step:
        yield step


ALLOWED = [
    {"url.full": "https://tools.internal/x"},
    {"http.url": "https://tools.internal/x"},
    {"server.address": "Tools.Internal."},
    {"net.peer.name": "tools.internal", "net.peer.port": 1},
    {"url.full": "http://tools.internal/", "server.address": "tools.internal", "server.port": 80},
    {"url.full": "https://api.openai.example@tools.internal/"},
]
NOT_ALLOWED = [
    {},
    {"url.full": "https://api.openai.example/v1"},
    {"url.full": "https://tools.internal@evil.example/"},
    {"url.full": "https://evil.example\\@tools.internal/"},
    {"url.full": "https://tools.internal/", "server.address": "evil.example"},
    {"url.full": "https://evil.example/", "server.address": "tools.internal"},
    {"url.full": "not a url", "server.address": "tools.internal"},
    {"network.peer.address": "tools.internal"},
    {"peer.service": "tools.internal"},
    {"http.host": "tools.internal"},
]


@pytest.mark.parametrize("attributes", ALLOWED)
def test_an_allowed_peer_is_told(allow: Any, tracer: Any, inside: Any, attributes: dict[str, Any]) -> None:
    allow("tools.internal")
    for kind in (SpanKind.CLIENT, SpanKind.PRODUCER):
        assert _sent(tracer, attributes, kind)["baggage"] == OURS


@pytest.mark.parametrize("attributes", NOT_ALLOWED)
def test_any_other_peer_is_not_told(allow: Any, tracer: Any, inside: Any, attributes: dict[str, Any]) -> None:
    allow("tools.internal")
    sent = _sent(tracer, attributes)
    assert set(sent) == {"traceparent"}


def test_a_span_that_is_not_a_clients_says_nothing_of_a_peer(allow: Any, tracer: Any, inside: Any) -> None:
    allow("tools.internal")
    for kind in (SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CONSUMER):
        assert "baggage" not in _sent(tracer, {"server.address": "tools.internal"}, kind)
    carrier: dict[str, str] = {}
    inject(carrier)  # the current span is the step's
    assert "baggage" not in carrier


def test_a_span_that_is_not_recorded_says_nothing_of_a_peer(allow: Any, inside: Any) -> None:
    allow("tools.internal")
    unsampled = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("test")
    assert "baggage" not in _sent(unsampled, {"server.address": "tools.internal"})


def test_the_baggage_of_the_user_is_untouched(allow: Any, tracer: Any, inside: Any) -> None:
    allow("tools.internal")
    token = otel_context.attach(baggage.set_baggage("tenant", "a b", baggage.set_baggage("k", "v")))
    try:
        assert _sent(tracer, {"server.address": "evil.example"})["baggage"] == "k=v,tenant=a+b"
        assert _sent(tracer, {"server.address": "tools.internal"})["baggage"] == f"k=v,tenant=a+b,{OURS}"
        assert dict(baggage.get_all()) == {"k": "v", "tenant": "a b"}
    finally:
        otel_context.detach(token)


def test_entries_that_somebody_put_into_the_baggage_are_not_sent_either(allow: Any, tracer: Any) -> None:
    token = otel_context.attach(baggage.set_baggage("runrecord.run.id", "run-0"))
    try:
        assert set(_sent(tracer, {"server.address": "evil.example"})) == {"traceparent"}
    finally:
        otel_context.detach(token)


def test_a_plain_propagator_that_was_captured_before_sends_nothing_of_ours(tracer: Any, inside: Any) -> None:
    carrier: dict[str, str] = {}
    with tracer.start_as_current_span("x", kind=SpanKind.CLIENT):
        get_global_textmap().inner.inject(carrier)  # type: ignore[attr-defined]
    assert set(carrier) == {"traceparent"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"Baggage": f"k=v,{OURS},l=w;p=1"}, {"Baggage": "k=v,l=w;p=1"}),
        ({"baggage": OURS}, {}),
        ({"baggage": "runrecord.run%2Eid=x , k = v"}, {"baggage": " k = v"}),
        ({"baggage": b"runrecord.run.id=x,k=v"}, {"baggage": b"k=v"}),
        ({"x": OURS}, {"x": OURS}),
    ],
)
def test_headers_that_are_sent_again_to_another_host_lose_ours(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    carrier = dict(before)
    inject(carrier, Context())
    assert carrier == after


def test_a_list_of_headers_that_is_sent_again_loses_ours() -> None:
    headers: list[Any] = [("k", b"v"), ("baggage", OURS.encode()), ("baggage", f"a=b,{OURS}".encode())]
    inject(headers, Context(), setter=_Append())
    assert headers == [("k", b"v"), ("baggage", b"a=b")]


class _Append:
    def set(self, carrier: list[Any], key: str, value: str) -> None:
        carrier.append((key, value.encode()))


def test_a_request_is_believed_only_if_the_policy_says_so(allow: Any) -> None:
    carrier = {"baggage": f"{OURS},k=v", "traceparent": f"00-{1:032x}-{2:016x}-01"}
    ignored = extract(carrier)
    assert remote_run(ignored) is None
    assert dict(baggage.get_all(ignored)) == {"k": "v"}
    assert trace.get_current_span(ignored).get_span_context().trace_id == 1
    allow(accept=True)
    believed = extract(carrier)
    assert remote_run(believed) == RemoteRun("run-1", 3)
    assert dict(baggage.get_all(believed)) == {"k": "v"}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("runrecord.run.id=a", RemoteRun("a")),
        ("runrecord.run.id=" + "a" * 256, RemoteRun("a" * 256)),
        ("runrecord.run.id=" + "a" * 257, None),
        ("runrecord.run.id=", None),
        ("runrecord.run.id=a%0Ab", None),
        ("runrecord.run.id=a%00", None),
        ("runrecord.run.id=%C3%BC", RemoteRun("ü")),
        ("runrecord.step.index=1", None),
        ("runrecord.run.id=a,runrecord.step.index=-1", RemoteRun("a")),
        ("runrecord.run.id=a,runrecord.step.index=1e3", RemoteRun("a")),
        ("runrecord.run.id=a,runrecord.step.index=%D9%A1", RemoteRun("a")),
        ("runrecord.run.id=a,runrecord.step.index=" + "9" * 9, RemoteRun("a", 999_999_999)),
        ("runrecord.run.id=a,runrecord.step.index=" + "9" * 10, RemoteRun("a")),
    ],
)
def test_what_can_not_be_a_run_is_none(allow: Any, header: str, expected: RemoteRun | None) -> None:
    allow(accept=True)
    found = extract({"baggage": header})
    assert remote_run(found) == expected
    assert not baggage.get_all(found)


def test_a_process_in_between_passes_the_run_on(allow: Any, tracer: Any) -> None:
    allow("tools.internal", accept=True)
    token = otel_context.attach(extract({"baggage": OURS}))
    try:
        assert _sent(tracer, {"server.address": "tools.internal"})["baggage"] == OURS
        assert "baggage" not in _sent(tracer, {"server.address": "evil.example"})
    finally:
        otel_context.detach(token)


def test_the_run_of_a_request_replaces_the_run_that_serves_it(allow: Any, recorder: Any) -> None:
    allow(accept=True)
    with recorder.run("server", run_id="other"):
        received = propagation.extract({"baggage": OURS}, otel_context.get_current())
        carrier: dict[str, str] = {}
        propagation.inject_trusted(carrier, received)
    assert carrier["baggage"] == OURS


def test_a_carrier_of_the_trust_domain_needs_no_policy(inside: Any) -> None:
    carrier: dict[str, str] = {}
    propagation.inject_trusted(carrier)
    assert carrier["baggage"] == OURS
    assert carrier["traceparent"].split("-")[2] == f"{inside.span_context.span_id:016x}"
    assert remote_run(propagation.extract_trusted(carrier)) == RemoteRun("run-1", 3)
    assert remote_run(propagation.extract(carrier)) is None


def test_a_carrier_of_pairs(inside: Any) -> None:
    headers: list[Any] = [("mine", b"1"), ("Baggage", b"old=1")]
    propagation.inject_trusted(headers, setter=propagation.HEADERS)
    assert [name for name, _ in headers] == ["mine", "traceparent", "baggage"]
    assert remote_run(propagation.extract_trusted(headers, getter=propagation.HEADERS)) == RemoteRun(
        "run-1", 3
    )
    nothing = propagation.extract_trusted(None, getter=propagation.HEADERS)
    assert remote_run(nothing) is None
    assert propagation.HEADERS.keys(headers) == ["mine", "traceparent", "baggage"]


def test_a_carrier_for_a_named_peer_asks_the_policy(allow: Any, inside: Any) -> None:
    allow("tools.internal:8443", "10.0.0.0/8")
    for peer in ("https://tools.internal:8443/mcp", "tools.internal:8443", "10.1.2.3", "10.1.2.3:99"):
        carrier: dict[str, str] = {}
        propagation.inject(carrier, peer=peer)
        assert carrier["baggage"] == OURS
    for peer in ("https://tools.internal/", "tools.internal", "", "evil.example", "11.1.2.3", "a:b:c"):
        carrier = {}
        propagation.inject(carrier, peer=peer)
        assert set(carrier) == {"traceparent"}


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("ours_is_listed", [True, False])
def test_every_way_to_configure_the_propagator_gives_the_same(
    allow: Any, tracer: Any, inside: Any, installed: bool, ours_is_listed: bool
) -> None:
    listed = propagation.RunPropagator() if ours_is_listed else W3CBaggagePropagator()
    set_global_textmap(CompositePropagator([TraceContextTextMapPropagator(), listed]))
    if installed:
        propagation.install()
        propagation.install()
    allow("tools.internal", accept=True)
    assert "baggage" not in _sent(tracer, {"server.address": "evil.example"})
    told = _sent(tracer, {"server.address": "tools.internal"})
    assert told.get("baggage") == (OURS if installed or ours_is_listed else None)
    carrier: dict[str, str] = {}
    propagation.inject_trusted(carrier)
    assert carrier["baggage"] == OURS
    assert remote_run(propagation.extract_trusted(carrier)) == RemoteRun("run-1", 3)
    allow()
    assert remote_run(propagation.extract(carrier)) is None
    propagation.uninstall()
    assert not isinstance(get_global_textmap(), propagation.RunPropagator)


def test_an_error_of_ours_sends_nothing_of_ours_and_does_no_harm(
    tracer: Any, inside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")

    class Broken:
        def __bool__(self) -> bool:
            raise RuntimeError

    propagation.set_policy(propagation.Policy(Broken()))  # type: ignore[arg-type]
    assert set(_sent(tracer, {"server.address": "tools.internal"})) == {"traceparent"}


def test_a_record_costs_no_copy_of_the_baggage_and_no_propagation(recorder: Any) -> None:
    class Counting(W3CBaggagePropagator):
        calls = 0

        def inject(self, *_: Any, **__: Any) -> None:
            Counting.calls += 1

    set_global_textmap(propagation.RunPropagator(Counting()))
    context = baggage.set_baggage("k", "v")
    token = otel_context.attach(context)
    try:
        with recorder.run("agent") as run, run.step(), run.tool("t") as tool:
            entries = [baggage._get_baggage_value(found) for found in (context, run.context, tool.context)]
    finally:
        otel_context.detach(token)
    assert all(found is entries[0] for found in entries)
    assert Counting.calls == 0
    inject({})
    assert Counting.calls == 1
