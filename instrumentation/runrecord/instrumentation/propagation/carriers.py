# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Carriers that no client span describes: who is on the other side is said by the caller.

``inject_trusted`` and ``extract_trusted`` are for what stays in one trust domain (a child process, MCP over stdio, Temporal headers); ``inject`` and
``extract`` for everything else. All four use the global propagator, so that the trace context and the user's own
baggage go the same way.
"""

from typing import TypeVar

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, Setter, default_getter, default_setter

from runrecord.instrumentation.propagation.hosts import peer_of_text
from runrecord.instrumentation.propagation.policy import policy
from runrecord.instrumentation.propagation.propagator import allowed, receive, send

_C = TypeVar("_C")


def inject_trusted(
    carrier: _C,
    context: Context | None = None,
    setter: Setter[_C] = default_setter,  # pyright: ignore[reportArgumentType]
) -> None:
    """Write the trace context, the baggage, the run id and the step index into a carrier that stays in the trust domain."""
    send(carrier, context, setter, entries=True)


def extract_trusted(
    carrier: _C,
    context: Context | None = None,
    getter: Getter[_C] = default_getter,  # pyright: ignore[reportArgumentType]
) -> Context:
    """Return the context of a carrier of the trust domain, with its run; ``context`` is an empty one by default."""
    return receive(carrier, context, getter, accept=True)


def inject(
    carrier: _C,
    *,
    peer: str,
    context: Context | None = None,
    setter: Setter[_C] = default_setter,  # pyright: ignore[reportArgumentType]
) -> None:
    """Write a context for ``peer`` (a URL, ``host`` or ``host:port``): with the run only if that is allow-listed."""
    send(carrier, context, setter, entries=allowed(peer_of_text(peer)))


def extract(
    carrier: _C,
    context: Context | None = None,
    getter: Getter[_C] = default_getter,  # pyright: ignore[reportArgumentType]
) -> Context:
    """Return the context of a carrier from the network, with its run only if ``RUNRECORD_PROPAGATION_ACCEPT`` says so."""
    return receive(carrier, context, getter, accept=policy().accept)
