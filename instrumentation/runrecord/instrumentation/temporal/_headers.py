# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What of a run travels in one Temporal header, to activities, child workflows and the next execution in a chain.

Temporal keeps headers in the history of the workflow. So this one holds ids, numbers and bounded names: the trace context, the
run, the step, and which approval an activity runs on; never content, and not the application's baggage, which the application
may have meant for one request only.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from temporalio.api.common.v1 import Payload

HEADER: Final = "runrecord"

_TRACE: Final = "trace"
_PROPAGATOR: Final = TraceContextTextMapPropagator()

Headers = Mapping[str, Payload]


def write(headers: Headers, facts: Mapping[str, Any], context: Context) -> Headers:
    """Return ``headers`` with ours added; facts that are None are left out."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, context)
    said = {name: value for name, value in facts.items() if value is not None}
    data = json.dumps({**said, _TRACE: carrier}, separators=(",", ":"), sort_keys=True).encode()
    return {**headers, HEADER: Payload(metadata={"encoding": b"json/plain"}, data=data)}


def read(headers: Headers) -> tuple[dict[str, Any], Context]:
    """Return the facts of our header, and the context of the sender, without any of this process; empty without a header."""
    payload = headers.get(HEADER)
    if payload is None:
        return {}, Context()
    try:
        said = cast("object", json.loads(payload.data))
    except ValueError:
        return {}, Context()
    if not isinstance(said, dict):
        return {}, Context()
    facts = cast("dict[str, Any]", said)
    carrier = facts.pop(_TRACE, None)
    known = cast("dict[str, str]", carrier) if isinstance(carrier, dict) else {}
    return facts, _PROPAGATOR.extract(known, Context())
