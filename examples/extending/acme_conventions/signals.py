# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
# Generated from the registry https://schemas.acme.example/claims/1.0.0 by: runrecord generate. Do not edit.
"""The names of the log events, and the first words of the span names."""

from typing import Final

__all__ = [
    "EVENT_ACME_CLAIM_SETTLED",
    "SPAN_TRIAGE_CLAIM",
]

EVENT_ACME_CLAIM_SETTLED: Final = "acme.claim.settled"
"""A claim was settled.

Stability: development.
"""

SPAN_TRIAGE_CLAIM: Final = "triage_claim"
"""A claim was sorted, which decides how it is handled.

Name pattern: ``triage_claim {acme.claim.class}``, kind: internal. Stability: development.
"""
