# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
# Generated from the registry https://schemas.acme.example/claims/1.0.0 by: runrecord generate. Do not edit.
"""The attribute keys of the conventions, and the values of the closed ones."""

from enum import Enum
from typing import Final

__all__ = [
    "ACME_CLAIM_CLASS",
    "ACME_CLAIM_FAST_TRACK",
    "ACME_CLAIM_ID",
    "ACME_CLAIM_SETTLEMENT",
    "AcmeClaimClass",
    "AcmeClaimSettlement",
]


ACME_CLAIM_CLASS: Final = "acme.claim.class"
"""What kind of claim it is.

One of :class:`AcmeClaimClass`. Stability: development.
"""

ACME_CLAIM_FAST_TRACK: Final = "acme.claim.fast_track"
"""Whether the claim is small and clear enough to be settled at once.

Type: boolean. Stability: development.
"""

ACME_CLAIM_ID: Final = "acme.claim.id"
"""Identifies the claim, as the claims system knows it.

Do NOT set the number of the policy or of the customer.

Type: string. Stability: development. Examples: 'c-2026-0117'.
"""

ACME_CLAIM_SETTLEMENT: Final = "acme.claim.settlement"
"""How the claim ended.

One of :class:`AcmeClaimSettlement`. Stability: development.
"""


class AcmeClaimClass(str, Enum):
    """What kind of claim it is.

    Values of ``acme.claim.class``; a reader keeps values it does not know. Stability: development.
    """

    GLASS = "glass"
    """A broken pane."""

    THEFT = "theft"
    """Something was stolen."""

    LIABILITY = "liability"
    """A third party was harmed."""


class AcmeClaimSettlement(str, Enum):
    """How the claim ended.

    Values of ``acme.claim.settlement``; a reader keeps values it does not know. Stability: development.
    """

    PAID = "paid"
    """The claim was paid."""

    REJECTED = "rejected"
    """The claim was rejected."""

    WITHDRAWN = "withdrawn"
    """The customer withdrew the claim."""
