# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Carriers that no client span describes: who is on the other side is said by the caller.

``inject_trusted`` and ``extract_trusted`` are for what stays in one trust domain (a child process, MCP over stdio, Temporal headers); ``inject`` and
``extract`` for everything else. All four use the global propagator, so that the trace context and the user's own
baggage go the same way.
"""

from collections.abc import Iterable
from typing import Any, Final, TypeVar

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, Setter, default_getter, default_setter

from runrecord.instrumentation.propagation.hosts import peer_of_text
from runrecord.instrumentation.propagation.policy import policy
from runrecord.instrumentation.propagation.propagator import allowed, receive, send

_C = TypeVar("_C")
_Pairs = Iterable[tuple[str, str | bytes | None]]


class _Headers(Getter[_Pairs | None], Setter[list[Any]]):
    def get(self, carrier: _Pairs | None, key: str) -> list[str] | None:
        found = [value for name, value in carrier or () if name.lower() == key and value is not None]
        return [v.decode("latin-1") if isinstance(v, bytes) else v for v in found] or None

    def keys(self, carrier: _Pairs | None) -> list[str]:
        return [name for name, _ in carrier or ()]

    def set(self, carrier: list[Any], key: str, value: str) -> None:
        carrier[:] = [pair for pair in carrier if pair[0].lower() != key]
        carrier.append((key, value.encode("latin-1")))


HEADERS: Final = _Headers()
"""Getter and setter for lists of pairs with byte values, such as the headers of a Kafka message; None is an empty one."""


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
