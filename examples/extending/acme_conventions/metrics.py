# Generated from the registry https://schemas.acme.example/claims/1.0.0 by: runrecord generate. Do not edit.
"""The names of the metrics, and the unit of each."""

from collections.abc import Mapping
from typing import Final

__all__ = [
    "ACME_CLAIM_TRIAGE_DURATION",
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
