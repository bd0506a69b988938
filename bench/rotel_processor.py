# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What somebody would write as a redaction for Rotel: each rule as a regular expression of the standard library, on each text."""

from __future__ import annotations

import os
import re
from typing import Any

from rotel_sdk.open_telemetry.common.v1 import AnyValue

from bench.rules import policy
from runrecord.processors.redaction import Redactor

_RULES = [
    (re.compile(rule.pattern.pattern.decode("latin-1")), f"[{rule.kind.upper()}]")
    for rule in Redactor(policy(int(os.environ["BENCH_RULES"])), key=bytes(32)).rules
]


def process_spans(resource_spans: Any) -> None:
    """Redact the attributes of spans in place."""
    for scope in resource_spans.scope_spans:
        for span in scope.spans:
            for pair in span.attributes:
                text = pair.value.value if pair.value is not None else None
                if isinstance(text, str):
                    redacted = text
                    for pattern, token in _RULES:
                        redacted = pattern.sub(token, redacted)
                    if redacted != text:
                        pair.value = AnyValue(redacted)
