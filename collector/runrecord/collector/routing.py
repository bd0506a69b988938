# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which exporters get a request: decided once, when it comes in, by the tenant that its resource or its transport names.

A request with resources of several tenants is cut between resources before it is redacted and stored, so that no consumer ever
holds what is not its tenant's. With each piece the intake log keeps its route, which is a key of the configuration's own table and never
text of the client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from runrecord.collector.config import Pipeline, Routing
from runrecord.collector.envelope import by_resource
from runrecord.collector.receiver.requests import Checked, count_in
from runrecord.collector.receiver.status import Code, Refusal
from runrecord.exporters.intake import IntakeRecord
from runrecord.processors.signal import Signal

ROUTE_HEADER: Final = "route"
"""Under this name the intake log keeps the route of a request; a request without it has the default one."""

Pairs = Iterable[tuple[str, str | bytes]]


class Piece(NamedTuple):
    """What of a request goes one way.

    Attributes:
        body: A serialised request.
        items: How many records it has.
        route: A key of the table; empty for the default one.
    """

    body: bytes
    items: int
    route: str = ""


def route(
    signal: Signal, checked: Checked, routing: Routing | None, headers: Pairs
) -> tuple[Checked, list[Piece]]:
    """Cut a request by tenant.

    Args:
        signal: What the request is of.
        checked: The request.
        routing: That of the signal's pipeline; None for one way only.
        headers: Of the transport, as they came.

    Returns:
        The request with what has no route counted as rejected, and its pieces.

    Raises:
        Refusal: None of it has a route.
    """
    if routing is None:
        return checked, [Piece(checked.body, checked.accepted)]
    if routing.resource_attribute is not None:
        found = by_resource(checked.body, routing.resource_attribute, routing.route)
    else:
        found = [(routing.route(_header(headers, str(routing.header))), checked.body)]
    if len(found) == 1:
        way, body = found[0]
        if way is None:
            raise Refusal(Code.PERMISSION_DENIED, f"no route for {routing.what}")
        return checked, [Piece(body, checked.accepted, way)]
    pieces = [Piece(body, count_in(signal, body), way) for way, body in found if way is not None]
    accepted = sum(piece.items for piece in pieces)
    rejected = checked.accepted - accepted
    if not rejected:
        return checked, pieces
    why = f"{rejected} without a route for {routing.what}"
    reason = f"{checked.reason}; {why}" if checked.reason else why
    return Checked(checked.body, accepted, checked.rejected + rejected, reason), pieces


def _header(headers: Pairs, wanted: str) -> str | None:
    """The value of a header; None if it is missing, or there with several values: then nobody can say who it is."""
    values = {value for name, value in headers if name.lower() == wanted.lower()}
    value = values.pop() if len(values) == 1 else None
    return value if isinstance(value, str) else None


def takes(exporter: str, pipelines: Mapping[Signal, Pipeline]) -> Callable[[IntakeRecord], bool]:
    """Return what says whether a record of the intake log is for an exporter.

    Args:
        exporter: Its name.
        pipelines: Those that end in it.
    """

    def wanted(record: IntakeRecord) -> bool:
        pipeline = pipelines.get(record.signal)
        return pipeline is not None and exporter in pipeline.ends(dict(record.headers).get(ROUTE_HEADER, ""))

    return wanted
