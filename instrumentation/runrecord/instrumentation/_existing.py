# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Finding the span that another instrumentation made, to enrich it instead of doubling it."""

from collections.abc import Mapping
from typing import cast

from opentelemetry.trace import Span

from runrecord.semconv import attributes as a


def measured_elsewhere(span: Span) -> bool:
    """Say whether the official instrumentation made ``span``, which also records the official metrics of it."""
    scope = getattr(span, "instrumentation_scope", None)
    return str(getattr(scope, "name", "")).startswith("opentelemetry.")


def existing_span(operation: str, span: Span, call_id: str | None = None) -> Span | None:
    """Return ``span`` if it is an open ``operation`` span of another instrumentation that we may enrich.

    The OpenTelemetry API can't read attributes, so this looks at the SDK's ``attributes`` where there are any.
    """
    if not span.is_recording():
        return None
    known = cast("Mapping[str, object]", getattr(span, "attributes", None) or {})
    if known.get(a.GEN_AI_OPERATION_NAME) != operation or a.RUN_ID in known:
        return None
    if call_id is not None and known.get(a.GEN_AI_TOOL_CALL_ID, call_id) != call_id:
        return None
    return span
