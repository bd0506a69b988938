# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Recording while a history is replayed, which records nothing; and leaving the workflow while we record.

A workflow's code runs again from its start whenever a worker has to rebuild its state. What it records then was recorded before, by
whichever worker ran it first. So it is given a recorder that goes through the same motions, since they count steps and
segments, and emits nothing.
"""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from functools import lru_cache
from typing import Any

from opentelemetry._logs import NoOpLoggerProvider
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider, Span, Tracer
from temporalio import workflow

from runrecord.instrumentation.context_store import ContextKey, ContextStore, StoredContext
from runrecord.instrumentation.recorder import Recorder
from runrecord.semconv.commitment import TenantKey


class _ReadOnly:
    """A store that is read and never written."""

    def __init__(self, inner: ContextStore) -> None:
        self._inner = inner

    def get(self, key: ContextKey) -> StoredContext | None:
        """Return what is stored under ``key``."""
        return self._inner.get(key)

    def put(self, key: ContextKey, context: StoredContext) -> None:
        """Do nothing."""


def silent(recorder: Recorder, clock: Callable[[], float], tenant_key: TenantKey | None) -> Recorder:
    """Return a recorder that emits nothing, stores nothing, and takes its time from ``clock``."""
    return Recorder(
        tracer_provider=NoOpTracerProvider(),
        logger_provider=NoOpLoggerProvider(),
        meter_provider=NoOpMeterProvider(),
        store=_ReadOnly(recorder.store),
        tenant_key=tenant_key,
        clock=clock,
        new_source=lambda: "replay",
    )


@contextmanager
def outside() -> Generator[None, None, None]:
    """Do what is inside as if it were not in a workflow: without the sandbox, and without its clock and random numbers.

    Temporal's own tracer provider takes span ids from the workflow's random numbers, in their order; ours, made only where nothing
    is replayed, would shift them.
    """
    loop = asyncio._get_running_loop()  # noqa: SLF001  # what the SDK itself does around a workflow's turn
    with workflow.unsafe.sandbox_unrestricted(), workflow.unsafe.imports_passed_through():
        asyncio._set_running_loop(None)  # noqa: SLF001
        try:
            yield
        finally:
            asyncio._set_running_loop(loop)  # noqa: SLF001


class _OutsideTracer(Tracer):
    """Starts spans as if they were not in a workflow."""

    def __init__(self, inner: Tracer) -> None:
        self._inner = inner

    def start_span(self, *args: Any, **kwargs: Any) -> Span:
        """Start a span."""
        with outside():
            return self._inner.start_span(*args, **kwargs)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        """Start a span."""
        return self._inner.start_as_current_span(*args, **kwargs)


def for_workflows(recorder: Recorder) -> Recorder:
    """Return the recorder whose spans are started outside of the workflow that they are recorded in."""
    core = recorder._core  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    tracer = lru_cache(maxsize=1)(lambda: _OutsideTracer(core.tracer()))
    found = copy(recorder)
    found._core = replace(core, tracer=tracer)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return found
