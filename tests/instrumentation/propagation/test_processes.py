# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Real child processes, of every kind that Python can start, know the run and the step."""

import asyncio
import importlib
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.propagators._envcarrier import EnvironmentSetter

from runrecord.instrumentation import propagation
from runrecord.instrumentation.propagation.environment import variable

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"
OURS = "runrecord.run.id=run-1,runrecord.step.index=3"
NAMES = ("TRACEPARENT", "TRACESTATE", "BAGGAGE")
METHODS = [
    pytest.param("fork", marks=pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")),
    "spawn",
    "forkserver",
]


@pytest.fixture(autouse=True)
def _instrumented(_installed: None, monkeypatch: pytest.MonkeyPatch) -> Generator[None, None, None]:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    instrumentor = propagation.PropagationInstrumentor()
    instrumentor.instrument()
    yield
    instrumentor.uninstrument()


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("child_functions")


@pytest.fixture
def inside(recorder: Any) -> Any:
    with recorder.run("agent", run_id="run-1") as run, run.step(index=3) as step:
        yield step


def _environment(**kwargs: Any) -> dict[str, str]:
    done = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, check=True, **kwargs)
    return json.loads(done.stdout)


def _traceparent(step: Any) -> str:
    context = step.span_context
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def test_a_subprocess_gets_the_run_and_nothing_else_changes(inside: Any) -> None:
    before = dict(os.environ)
    found = _environment()
    assert found.pop("TRACEPARENT") == _traceparent(inside)
    assert found.pop("BAGGAGE") == OURS
    assert {k: v for k, v in found.items() if k != "LC_CTYPE"} == {
        k: v for k, v in before.items() if k != "LC_CTYPE"
    }
    assert dict(os.environ) == before


def test_outside_of_a_run_nothing_is_added() -> None:
    token = otel_context.attach(baggage.set_baggage("k", "v"))
    try:
        with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 1, False))):
            assert not set(NAMES) & set(_environment())
            assert not set(NAMES) & set(_environment(env={"A": "1"}))
    finally:
        otel_context.detach(token)


def test_the_callers_mapping_is_respected_and_not_changed(inside: Any) -> None:
    given = {"A": "1"}
    found = _environment(env=given)
    assert found["BAGGAGE"] == OURS
    assert {name for name in found if not name.startswith("LC_")} == {"A", "TRACEPARENT", "BAGGAGE"}
    assert given == {"A": "1"}
    assert _environment(env=MappingProxyType({"A": "1"}))["BAGGAGE"] == OURS
    assert _environment(env={b"A": b"1"})["BAGGAGE"] == OURS


def test_a_context_that_the_caller_put_there_is_kept(inside: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"TRACEPARENT": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}
    found = _environment(env=own)
    assert found["TRACEPARENT"] == own["TRACEPARENT"]
    assert "BAGGAGE" not in found
    assert "TRACEPARENT" in _environment(env={b"BAGGAGE": b"k=v", b"TRACEPARENT": b"x"})


def test_a_context_that_this_process_was_started_with_is_replaced(
    inside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", "00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    monkeypatch.setenv("TRACESTATE", "old=1")
    monkeypatch.setenv("BAGGAGE", "runrecord.run.id=old")
    for kwargs in ({}, {"env": dict(os.environ)}, {"env": dict(os.environb)}):
        found = _environment(**kwargs)
        assert found["TRACEPARENT"] == _traceparent(inside)
        assert found["BAGGAGE"] == OURS
        assert "TRACESTATE" not in found


def test_the_environment_can_be_given_by_position(inside: Any) -> None:
    command = [sys.executable, "-c", SHOW]
    pipe = subprocess.PIPE
    arguments = (command, -1, None, None, pipe, None, None, True, False, None, {"A": "1"})
    with subprocess.Popen(*arguments) as child:
        assert child.stdout is not None
        assert json.loads(child.stdout.read())["BAGGAGE"] == OURS


def test_errors_are_those_of_the_caller(inside: Any) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        subprocess.run(["/no/such/program"], check=True)
    assert missing.value.filename == "/no/such/program"
    with pytest.raises((TypeError, AttributeError)):
        subprocess.run([sys.executable, "-c", "pass"], env={"A": 1}, check=True)  # type: ignore[dict-item]
    with pytest.raises(TypeError):
        subprocess.Popen()  # type: ignore[call-overload]


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of one variable is Linux's")
def test_a_child_that_our_variables_would_keep_from_starting_starts_without_them(inside: Any) -> None:
    huge = baggage.set_baggage("k", "v" * 3000, inside.context)
    limit = _largest_environment()
    token = otel_context.attach(huge)
    try:
        found = _environment(env=_filled(limit))
    finally:
        otel_context.detach(token)
    assert "BAGGAGE" not in found


def _filled(size: int) -> dict[str, str]:
    filled = {f"V{number:04}": "x" * 100_000 for number in range(size // 100_008)}
    return {**filled, "LAST": "x" * (size % 100_008)}


def _largest_environment() -> int:
    """Return a size within 500 bytes below what a process can be started with."""
    low, high = 0, 64 * 1024 * 1024
    while high - low > 500:
        middle = (low + high) // 2
        try:
            with otel_context_empty():
                subprocess.run(["/bin/true"], env=_filled(middle), check=True)
            low = middle
        except OSError:
            high = middle
    return low - 2000


class otel_context_empty:  # noqa: N801
    def __enter__(self) -> None:
        self._token = otel_context.attach(otel_context.Context())

    def __exit__(self, *_: object) -> None:
        otel_context.detach(self._token)


def test_asyncio_subprocesses(inside: Any) -> None:
    async def both() -> list[dict[str, str]]:
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SHOW, stdout=asyncio.subprocess.PIPE
        )
        shell = await asyncio.create_subprocess_shell(
            f"{sys.executable} -c '{SHOW}'", stdout=asyncio.subprocess.PIPE
        )
        return [json.loads((await child.communicate())[0]) for child in (program, shell)]

    assert [found["BAGGAGE"] for found in asyncio.run(both())] == [OURS, OURS]


def test_a_popen_of_a_shell_pipe(inside: Any) -> None:
    with os.popen("printenv BAGGAGE") as output:
        assert output.read().strip() == OURS


def test_opt_out(inside: Any) -> None:
    instrumentor = propagation.PropagationInstrumentor()
    instrumentor.uninstrument()
    assert not set(NAMES) & set(_environment())
    instrumentor.instrument(processes=False)
    assert not set(NAMES) & set(_environment())


@pytest.mark.parametrize("method", METHODS)
def test_multiprocessing(inside: Any, functions: Any, method: str) -> None:
    context = multiprocessing.get_context(method)
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=functions.report, args=(sending,))
    process.start()
    sending.close()
    pid, found = receiving.recv()
    process.join()
    assert process.exitcode == 0
    assert pid != os.getpid()
    assert found == ("run-1", 3)


@pytest.mark.parametrize("method", METHODS)
def test_a_process_pool_gives_each_task_the_run_it_was_submitted_in(
    recorder: Any, functions: Any, method: str
) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        with recorder.run("a", run_id="run-a") as run, run.step(index=1):
            assert pool.submit(functions.tell, 7).result() == (7, ("run-a", 1))
            assert list(pool.map(functions.tell, [1, 2])) == [(1, ("run-a", 1)), (2, ("run-a", 1))]
        with recorder.run("b", run_id="run-b"):
            assert pool.submit(functions.here).result() == ("run-b", None)
            with pytest.raises(LookupError, match="4"):
                pool.submit(functions.fail, 4).result()
        assert pool.submit(functions.here).result() == (None, None)
        assert pool.submit(sorted, [2, 1], reverse=True).result() == [2, 1]


@pytest.mark.parametrize("method", METHODS)
def test_a_multiprocessing_pool(recorder: Any, functions: Any, method: str) -> None:
    with multiprocessing.get_context(method).Pool(1) as pool:
        with recorder.run("a", run_id="run-a"):
            told = ("run-a", None)
            assert pool.apply(functions.tell, (1,)) == (1, told)
            assert pool.apply_async(func=functions.tell, args=(1,)).get(60) == (1, told)
            assert pool.map(functions.tell, [1, 2]) == [(1, told), (2, told)]
            assert pool.starmap(functions.tell, [(1,)]) == [(1, told)]
            assert list(pool.imap(functions.tell, [1])) == [(1, told)]
            assert list(pool.imap_unordered(functions.tell, [1], 2)) == [(1, told)]
        assert pool.apply(functions.here) == (None, None)
        pool.close()
        pool.join()


def test_a_pool_of_threads(recorder: Any, functions: Any) -> None:
    with ThreadPool(1) as pool:
        with recorder.run("a", run_id="run-a"):
            unpicklable = lambda number: functions.tell(number)  # noqa: E731, PLW0108
            assert pool.map(unpicklable, [1]) == [(1, ("run-a", None))]
        assert pool.apply(functions.here) == (None, None)
        pool.close()
        pool.join()


def test_a_task_of_no_run_is_left_as_it_is(functions: Any) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(functions.here).result() == (None, None)
        with pytest.raises(TypeError, match="not callable"):
            pool.submit(7).result()  # type: ignore[arg-type]


def test_a_task_that_can_not_be_pickled_fails_as_before(inside: Any) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        task = pool.submit(lambda: 1)
        with pytest.raises((AttributeError, TypeError, Exception), match="pickle"):
            task.result()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_is_a_source_of_its_own(recorder: Any, functions: Any, telemetry: Any) -> None:
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    with recorder.run("a") as run, run.step():
        process = context.Process(target=functions.record, args=(sending,))
        process.start()
        sending.close()
        source, number = receiving.recv()
        process.join()
    assert (source, number) != (run.state.sequence.source_id, 2)
    assert source != run.state.sequence.source_id
    assert number == 0
    telemetry.check_counters()


START = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
CHILD = """
import json
from opentelemetry import baggage, trace
from runrecord.instrumentation import propagation
run = propagation.remote_run()
print(json.dumps([run and [run.run_id, run.step_index], dict(baggage.get_all()),
                  f"{trace.get_current_span().get_span_context().span_id:016x}"]))
"""


@pytest.mark.parametrize("switch", [None, "false"])
def test_a_child_under_opentelemetry_instrument_is_in_the_run(
    inside: Any, monkeypatch: pytest.MonkeyPatch, switch: str | None
) -> None:
    """In the run that started it, and its whole trace; unless that is switched off."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
    if switch is not None:
        monkeypatch.setenv("RUNRECORD_PROPAGATION_PROCESSES", switch)
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    token = otel_context.attach(baggage.set_baggage("k", "v"))
    try:
        command = [sys.executable, "-c", START, sys.executable, "-c", CHILD]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
    finally:
        otel_context.detach(token)
    run, entries, span_id = json.loads(done.stdout)
    if switch is None:
        assert run == ["run-1", 3]
        assert entries == {"k": "v"}
        assert span_id == f"{inside.span_context.span_id:016x}"
    else:
        assert (run, entries, span_id) == (None, {}, "0" * 16)


@pytest.mark.parametrize("field", ["traceparent", "x-b3-traceid", "uber-trace-id", "1a", "", "a.b"])
def test_names_of_variables_are_those_of_opentelemetry(field: str) -> None:
    carrier: dict[str, str] = {}
    EnvironmentSetter().set(carrier, field, "v")
    assert list(carrier) == [variable(field)]
