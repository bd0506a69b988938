# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Witnesses (C2SP tlog-witness): a second party that has seen a log grow, so that its operator can't show two histories."""

from runrecord.ledger.witness.client import Cosigned, CosignError, cosign
from runrecord.ledger.witness.state import WitnessState
from runrecord.ledger.witness.witness import Answer, Witness

__all__ = ["Answer", "CosignError", "Cosigned", "Witness", "WitnessState", "cosign"]
