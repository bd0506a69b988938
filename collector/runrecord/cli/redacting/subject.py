# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What redaction makes of the id or address of a person, so that their records can be found behind it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runrecord.processors.redaction import Redactor
from runrecord.processors.signal import Signal
from runrecord.semconv import attributes as names

_KEYED: Final = re.compile(
    r"\[([A-Z0-9_]+):(?:[0-9a-f]{8}\.)?[0-9a-f]{12}\]|hmac-sha256:(?:[0-9a-f]{8}:)?[0-9a-f]{64}"
)


def written(redactor: Redactor, value: str, attributes: Sequence[str], tenant: str) -> list[str]:
    """Return what a policy writes in the place of a value, also under the keys before; nothing that others could share.

    Args:
        redactor: The policy.
        value: The value as it is before redaction.
        attributes: The attributes in which it may stand.
        tenant: Whose records they are.
    """
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    for name in attributes:
        span.attributes.add(key=name).value.string_value = value
    if tenant:
        span.attributes.add(key=names.TENANT_ID).value.string_value = tenant
    body = redactor.redact(Signal.TRACES, request.SerializeToString(), tenant or None).body
    redacted = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans[0]
    found: dict[str, None] = {}
    for pair in redacted.attributes:
        match = _KEYED.fullmatch(pair.value.string_value)
        if match is not None and pair.key in attributes:
            found[match[0]] = None
            if match[1]:
                found.update(dict.fromkeys(redactor.pseudonyms(match[1].lower(), value, tenant)))
    return list(found)
