# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The curated rules: ``secrets`` (cloud, services, credentials of any kind) and ``pii``."""

from __future__ import annotations

from typing import Final

from runrecord.processors.redaction.packs.cloud import CLOUD
from runrecord.processors.redaction.packs.credentials import CREDENTIALS
from runrecord.processors.redaction.packs.models import MODELS
from runrecord.processors.redaction.packs.pii import PII
from runrecord.processors.redaction.packs.services import SERVICES
from runrecord.processors.redaction.rule import Rule

PACKS_VERSION: Final = 1
"""Raised whenever a rule changes what it finds."""
# The order settles whose name a match gets that two rules share: the specific before the general.
PACKS: Final[dict[str, tuple[Rule, ...]]] = {
    "secrets": (*CLOUD, *MODELS, *SERVICES, *CREDENTIALS),
    "pii": PII,
}

__all__ = ["PACKS", "PACKS_VERSION"]
