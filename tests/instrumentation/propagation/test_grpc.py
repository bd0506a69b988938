# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Real gRPC calls of every shape, with the official instrumentation of client and server."""

import asyncio
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.instrumentation.grpc import (
    GrpcAioInstrumentorClient,
    GrpcInstrumentorClient,
    GrpcInstrumentorServer,
)

from runrecord.instrumentation import propagation
from runrecord.instrumentation.propagation import RemoteRun, remote_run
from runrecord.instrumentation.propagation.grpc_channels import target_allowed

SHAPES = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
Seen = list[tuple[RemoteRun | None, int, dict[str, Any]]]


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def service(self, details: Any) -> Any:
        shape = details.method.rpartition("/")[2]
        metadata = dict(details.invocation_metadata)

        def note() -> None:
            trace_id = trace.get_current_span().get_span_context().trace_id
            self._seen.append((remote_run(), trace_id, metadata))

        def answer(request: Any, _: Any) -> bytes:
            list(request)
            note()
            return b""

        def answers(request: Any, _: Any) -> Iterator[bytes]:
            list(request)
            note()
            yield b""

        handler = getattr(grpc, f"{shape}_rpc_method_handler")
        return handler(answers if shape.endswith("stream") else answer)


@pytest.fixture
def seen() -> Seen:
    return []


@pytest.fixture(params=["ours first", "ours last"])
def port(
    request: Any, allow: Any, telemetry: Any, seen: Seen, _installed: None
) -> Generator[int, None, None]:
    """A server and instrumented clients, whichever was instrumented first."""
    provider = {"tracer_provider": telemetry.tracer_provider}
    ours = propagation.PropagationInstrumentor()
    official = [GrpcInstrumentorClient(), GrpcAioInstrumentorClient(), GrpcInstrumentorServer()]
    if request.param == "ours first":
        ours.instrument(processes=False)
    for instrumentor in official:
        instrumentor.instrument(**provider)
    if request.param == "ours last":
        ours.instrument(processes=False)
    allow("127.0.0.1", accept=True)
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((_Handler(seen),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()
    for instrumentor in official:
        instrumentor.uninstrument()
    ours.uninstrument()


@pytest.fixture
def inside(recorder: Any) -> Any:
    with recorder.run("agent", run_id="run-1") as run, run.step(index=3) as step:
        yield step


def _call(target: str, shape: str, metadata: Any = None) -> None:
    with grpc.insecure_channel(target) as channel:
        method = getattr(channel, shape)(f"/test.Service/{shape}")
        result = method(iter([b"x"]) if shape.startswith("stream") else b"x", metadata=metadata, timeout=30)
        if shape.endswith("stream"):
            list(result)


def _call_aio(target: str, shape: str, metadata: Any = None) -> None:
    async def call() -> None:
        async with grpc.aio.insecure_channel(target) as channel:
            method = getattr(channel, shape)(f"/test.Service/{shape}")
            request = iter([b"x"]) if shape.startswith("stream") else b"x"
            result = method(request, metadata=metadata, timeout=30)
            if shape.endswith("stream"):
                async for _ in result:
                    pass
            else:
                await result

    asyncio.run(call())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("call", [_call, _call_aio])
def test_the_allowed_target_is_told_and_no_other(
    port: int, inside: Any, seen: Seen, shape: str, call: Callable[..., None]
) -> None:
    for target in (f"127.0.0.1:{port}", f"localhost:{port}", f"ipv4:127.0.0.1:{port}"):
        call(target, shape)
    runs = [run for run, _, _ in seen]
    assert runs == [RemoteRun("run-1", 3), None, RemoteRun("run-1", 3)]
    assert "baggage" not in seen[1][2]
    assert {trace_id for _, trace_id, _ in seen} == {inside.span_context.trace_id}


@pytest.mark.parametrize("call", [_call, _call_aio])
def test_metadata_and_baggage_of_the_user_are_kept(
    port: int, inside: Any, seen: Seen, call: Callable[..., None]
) -> None:
    token = otel_context.attach(baggage.set_baggage("k", "v"))
    try:
        call(f"127.0.0.1:{port}", "unary_unary", (("mine", "1"),))
        call(f"localhost:{port}", "unary_unary", (("mine", "1"),))
    finally:
        otel_context.detach(token)
    told, other = (metadata for _, _, metadata in seen)
    assert told["mine"] == other["mine"] == "1"
    assert told["baggage"] == "k=v,runrecord.run.id=run-1,runrecord.step.index=3"
    assert other["baggage"] == "k=v"


@pytest.mark.parametrize("call", [_call, _call_aio])
def test_outside_of_a_run_there_is_nothing_to_tell(port: int, seen: Seen, call: Callable[..., None]) -> None:
    call(f"127.0.0.1:{port}", "unary_unary")
    assert "baggage" not in seen[0][2]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("tools.internal:50051", True),
        ("tools.internal", True),
        ("dns:tools.internal:1", True),
        ("dns:///tools.internal:1", True),
        ("dns://8.8.8.8/tools.internal:1", True),
        ("ipv4:10.0.0.1:80,10.0.0.2:80", True),
        ("ipv6:[fd00::1]:80", True),
        ("ipv4:10.0.0.1:80,11.0.0.2:80", False),
        ("dns://tools.internal/evil.example:1", False),
        ("evil.example:1", False),
        ("xds:///tools.internal", False),
        ("passthrough:///evil.example", False),
        ("unix:/tools.internal", False),
        ("unix:tools.internal", False),
        ("tools.internal/evil", False),
        ("", False),
        ("tools.internal:1,evil.example:1", False),
    ],
)
def test_targets(allow: Any, target: str, expected: bool) -> None:
    allow("tools.internal", "10.0.0.0/8", "fd00::/8")
    assert target_allowed(target) == expected
