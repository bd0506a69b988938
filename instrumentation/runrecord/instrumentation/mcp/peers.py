# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Who is on the other side of a session, and what of the run goes there and is believed from there.

A child process over stdio is in the same trust domain. A host is told of the run only if ``RUNRECORD_PROPAGATION_HOSTS`` allows
it, and believed only if ``RUNRECORD_PROPAGATION_ACCEPT`` says so. Of any other transport nothing is known, so nothing is sent.
"""

import weakref
from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, cast

import wrapt
from opentelemetry import context as otel_context
from opentelemetry.context import Context

from runrecord.instrumentation import propagation
from runrecord.semconv import attributes as a

META_KEY: Final = "runrecord/context"
"""Member of ``params._meta``: a carrier of OpenTelemetry's propagators, and the id of the call.

Of its own, since the SDK writes ``traceparent`` and ``baggage`` of ``_meta`` itself, for whatever peer.
"""
_TRACE: Final = ("traceparent", "tracestate")

_hosts: Final[dict[int, str]] = {}
_pipes: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
_spawned: ContextVar[deque[None] | None] = ContextVar("runrecord-mcp-spawned", default=None)


# what the patches tell


def process_spawned() -> None:
    """Note that the task connects to a child process of its own."""
    waiting = _spawned.get()
    if waiting is None:
        _spawned.set(waiting := deque())
    waiting.append(None)


def dispatcher_made(dispatcher: Any, write_stream: object) -> None:
    """Note that a dispatcher writes to the process that the task has just spawned.

    The stdio transport writes to a bare memory stream, the HTTP ones to a stream that carries the sender's context.
    """
    waiting = _spawned.get()
    if waiting and type(_bare(write_stream)).__module__.startswith("anyio."):
        waiting.popleft()
        _pipes.add(dispatcher)


def connected(url: str, streams: tuple[object, ...]) -> list[int]:
    """Note the streams of an HTTP connection; returns what :func:`disconnected` takes."""
    keys = [id(stream) for stream in streams]
    _hosts.update(dict.fromkeys(keys, url))
    return keys


def disconnected(keys: list[int]) -> None:
    """Forget the streams of a connection that is over."""
    for key in keys:
        _hosts.pop(key, None)


def _bare(stream: object) -> object:
    """Return a stream without the proxies that other instrumentations put around it."""
    while isinstance(stream, wrapt.ObjectProxy):
        stream = cast("object", stream.__wrapped__)
    return stream


# out


def outgoing(session: object, call_id: str, context: Context) -> dict[str, str] | None:
    """Return what to tell the peer of a session of the run; None if it is not to be told, or sees it anyway."""
    dispatcher = getattr(session, "_dispatcher", None)
    carrier: dict[str, str] = {}
    url = _hosts.get(id(_bare(getattr(dispatcher, "_write_stream", None))))
    if url is not None:
        propagation.inject(carrier, peer=url, context=context)
    elif dispatcher is not None and dispatcher in _pipes:
        propagation.inject_trusted(carrier, context)
    if a.RUN_ID not in carrier.get("baggage", ""):
        return None
    return {**carrier, a.GEN_AI_TOOL_CALL_ID: call_id}


# in


def carrier_of(meta: object) -> dict[str, str]:
    """Return the texts of a ``_meta``'s carrier: ours, with the trace context of the SDK, which is nearer to the call."""
    if not isinstance(meta, Mapping):
        return {}
    known = cast("Mapping[str, object]", meta)
    ours = known.get(META_KEY)
    carrier = cast("dict[str, object]", dict(ours)) if isinstance(ours, Mapping) else {}  # pyright: ignore[reportUnknownArgumentType]
    carrier.update({name: known[name] for name in _TRACE if name in known})
    return {name: value for name, value in carrier.items() if isinstance(value, str)}


def incoming(meta: object, *, network: bool) -> tuple[Context, propagation.RemoteRun | None, str | None]:
    """Return the context that a request came with, the run, if it is believed, and the client's id of the call."""
    carrier = carrier_of(meta)
    current = otel_context.get_current()
    read = propagation.extract if network else propagation.extract_trusted
    context = read(carrier, current)
    # Not the run in which this process was started, which may have been over for long.
    run = propagation.remote_run(context) if a.RUN_ID in carrier.get("baggage", "") else None
    return context, run, carrier.get(a.GEN_AI_TOOL_CALL_ID)
