# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
# Generated from the registry https://schemas.acme.example/claims/1.0.0 by: runrecord generate. Do not edit.
"""The names of the metrics, with the unit and the brief of each."""

from collections.abc import Mapping
from typing import Final

__all__ = [
    "ACME_CLAIM_TRIAGE_DURATION",
    "BRIEFS",
    "UNITS",
]

ACME_CLAIM_TRIAGE_DURATION: Final = "acme.claim.triage.duration"
"""How long the triage of a claim took.

Instrument: histogram, unit: ``s``. Stability: development.
"""

UNITS: Final[Mapping[str, str]] = {
    ACME_CLAIM_TRIAGE_DURATION: "s",
}
"""The unit of each metric, by its name."""

BRIEFS: Final[Mapping[str, str]] = {
    ACME_CLAIM_TRIAGE_DURATION: "How long the triage of a claim took.",
}
"""What each metric measures, by its name: the description of its instrument."""
